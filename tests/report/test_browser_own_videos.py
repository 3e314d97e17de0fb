"""A user's own videos through run.py and in a browser: a codec that browsers lack, and labels marked in the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import odd_videos
import pytest
from browsing import opened, wait_until
from making import make_clip
from PIL import Image
from test_page import data

from vaa.process import PROJECT_ROOT
from vaa.report.page.build import Page
from vaa.report.runs import Run

pytestmark = pytest.mark.slow
COUNTS = "document.querySelector('.threshold output').textContent"
CLIPS = ["data=folder", "data.root=clips", "cache=cache.sqlite", "plots=false", "wandb.mode=disabled"]


def run(folder: Path, *overrides: str) -> None:
    command = [sys.executable, str(PROJECT_ROOT / "run.py"), *CLIPS, *overrides]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HEVC clip of 40 frames with bar codes and an H.264 clip of 6 s; each is one alert."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "clips").mkdir()
    odd_videos.plain(folder / "clips/camera.mp4", "libx265")
    make_clip(folder / "clips/yard.mp4", 60)
    run(folder, "hydra.run.dir=run", "alerts.threshold=0.0", "page.copy=encoded")
    return folder


def test_an_encoded_copy_of_an_hevc_video_plays(tab: Any, folder: Path) -> None:
    opened(tab, folder / "run", "#video=camera")
    wait_until(tab, "document.querySelector('video').readyState >= 2")
    assert tab.evaluate("document.querySelector('video').videoWidth") == odd_videos.SIZE[0]
    tab.keyboard.press("Space")
    wait_until(tab, "document.querySelector('video').currentTime > 0.3")
    assert tab.locator(".unplayable").is_hidden()
    assert tab.locator(".stills").is_hidden()
    assert data(folder / "run/page/videos/0.js")["stills"] == []


def test_without_a_copy_of_an_hevc_video_stills_along_it_are_shown(tab: Any, folder: Path) -> None:
    shutil.copytree(folder / "run", folder / "linked")
    Page(copy=False).write(Run(folder / "linked"))
    stills = data(folder / "linked/page/videos/0.js")["stills"]
    frames = [round(seconds * odd_videos.RATE) for seconds, _ in stills]
    assert len(frames) == 12
    assert frames == sorted(set(frames))
    assert max(np.diff([0, *frames, odd_videos.N])) <= 6
    for frame, (_, still) in zip(frames, stills, strict=True):
        with Image.open(folder / "linked" / still) as image:
            assert odd_videos.codes(np.asarray(image)[None]) == [frame]
    assert data(folder / "linked/page/videos/1.js")["stills"] == []  # H.264
    opened(tab, folder / "linked", "#video=camera&t=1.2")
    wait_until(tab, "!document.querySelector('.stills').hidden")
    assert "--encode" in tab.locator(".unplayable").text_content()
    wait_until(tab, "[...document.querySelectorAll('.stills img')].every((still) => still.naturalWidth === 128)")
    assert tab.locator(".stills button").count() == 13  # and that of the alert
    assert tab.locator(".stills button", has_text="alert").count() == 1
    nearest = int(np.abs(np.array(frames) - 30).argmin())
    shown = tab.locator(".stills button[aria-current='true']")
    assert shown.locator("img").get_attribute("src") == stills[nearest][1]
    box, strip = shown.bounding_box(), tab.locator(".stills").bounding_box()
    assert strip["x"] <= box["x"] <= strip["x"] + strip["width"] - box["width"]
    for k in (11, 3):
        tab.locator(f".stills img[src$='0_{k}.jpg']").click()
        wait_until(tab, f"document.querySelector('.moment h2').textContent.includes('frame {frames[k]} ')")
        current = tab.locator(".stills button[aria-current='true'] img").get_attribute("src")
        assert current == stills[k][1]


def test_intervals_marked_in_the_page_are_the_labels_of_a_run(tab: Any, folder: Path) -> None:
    opened(tab, folder / "run")
    assert tab.evaluate(COUNTS) == "2 alerts"
    tab.locator("input[type=range]").focus()
    tab.keyboard.press("End")
    wait_until(tab, f"{COUNTS} === '0 alerts'")
    opened(tab, folder / "run", "#video=yard&t=1")
    tab.keyboard.press("i")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("o")
    wait_until(tab, "vaa.marks(1).length === 1")
    tab.fill("[aria-label='class of interval 1']", "a delivery")
    tab.keyboard.press("Enter")
    tab.fill("[aria-label='end of interval 1']", "0:04.5")
    tab.keyboard.press("Enter")
    wait_until(tab, "vaa.marks(1)[0].stop === 4.5")
    with tab.expect_download() as download:
        tab.get_by_text("save labels.csv").click()
    download.value.save_as(folder / "labels.csv")
    tab.evaluate("localStorage.clear()")
    run(folder, "hydra.run.dir=labelled", "data.labels=labels.csv", "alerts.threshold=0.0", "page=null")
    truth = json.loads((folder / "labelled/truth.json").read_text())["videos"]
    assert (truth["yard"]["anomalous"], truth["yard"]["class"]) == ([[10, 45]], "a delivery")
    assert truth["camera"]["anomalous"] == []
    metrics = json.loads((folder / "labelled/metrics.json").read_text())
    assert (metrics["events"], metrics["events_hit"], metrics["false_alerts"]) == (1, 1, 1)
    assert 0 <= metrics["roc_auc"] <= 1
    assert metrics["model_queries"] == 0
