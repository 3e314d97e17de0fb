"""The page of a run in a browser: Debian's chromium, controlled by Playwright, from disk, without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import opened, wait_until
from test_page import finished, scored

from vaa.frame_times import FrameTimes
from vaa.process import PROJECT_ROOT
from vaa.report.page.build import Page
from vaa.report.runs import Run
from vaa.types import GroundTruth, Span

pytestmark = pytest.mark.slow
AT = "document.querySelector('video').currentTime"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run: the built-in models on three short synthetic videos."""
    where = tmp_path_factory.mktemp("real")
    videos = ["method=corevad", "data.videos=3", "data.seconds=30.0"]
    overrides = [*videos, "cache=null", "plots=false", "wandb.mode=disabled"]
    command = [sys.executable, str(PROJECT_ROOT / "run.py"), *overrides, "hydra.run.dir=run", "alerts.threshold=0.1"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"page: {where / 'run/report.html'}" in done.stdout + done.stderr
    return where / "run"


def test_a_video_plays_and_a_click_on_its_track_seeks(tab: Any, folder: Path) -> None:
    opened(tab, folder)
    tab.locator("a.row").first.click()
    tab.wait_for_selector(".plot .main-svg")
    wait_until(tab, "document.querySelector('video').readyState >= 2")
    cursor = "document.querySelector('.cursor').style.transform"
    before = tab.evaluate(cursor)
    tab.keyboard.press("Space")
    wait_until(tab, f"{AT} > 0.3")
    wait_until(tab, f"{cursor} !== '{before}'")
    tab.keyboard.press("Space")
    assert tab.evaluate("document.querySelector('video').paused")
    box = tab.locator(".plot").bounding_box()
    tab.mouse.click(box["x"] + 52 + 0.75 * (box["width"] - 66), box["y"] + 80)
    wait_until(tab, f"Math.abs({AT} - 22.5) < 1.0")
    wait_until(tab, "/^0:00:2[123]/.test(document.querySelector('.moment h2').textContent)")
    text = tab.locator(".stage-texts li p").first.text_content()
    assert text
    assert re.match(r"[A-Z]", text)


def test_tracks_are_switched_by_click_and_by_key(tab: Any, folder: Path) -> None:
    opened(tab, folder, "#video=test_00")
    lines = ".plot .scatterlayer .trace .js-line"
    chips = tab.locator(".chip[data-stage]")
    pressed = [chip.get_attribute("aria-pressed") for chip in chips.all()]
    assert len(pressed) >= 3
    assert (pressed[0], pressed[-1]) == ("true", "true")
    shown = tab.locator(lines).count()
    assert shown == pressed.count("true")
    chips.first.click()
    wait_until(tab, f"document.querySelectorAll('{lines}').length === {shown - 1}")
    assert chips.first.get_attribute("aria-pressed") == "false"
    tab.keyboard.press("1")
    wait_until(tab, f"document.querySelectorAll('{lines}').length === {shown}")


def test_the_keys_move_between_videos_and_screens(tab: Any, folder: Path) -> None:
    opened(tab, folder)
    tab.keyboard.press("j")
    chosen = tab.locator("a.row.selected .id").text_content()
    tab.keyboard.press("Enter")
    wait_until(tab, f"document.querySelector('#video h1')?.textContent === '{chosen}'")
    tab.keyboard.press("k")
    wait_until(tab, f"document.querySelector('#video h1')?.textContent !== '{chosen}'")
    tab.keyboard.press("ArrowRight")
    wait_until(tab, f"{AT} === 5")
    tab.keyboard.press(".")
    wait_until(tab, f"Math.abs({AT} - 5.1) < 0.01")
    tab.keyboard.press("?")
    assert tab.locator("#help").is_visible()
    tab.keyboard.press("Escape")
    tab.keyboard.press("/")
    wait_until(tab, "document.activeElement.id === 'search'")
    assert tab.locator("#video").is_hidden()
    tab.keyboard.type("test_02")
    wait_until(tab, "document.querySelectorAll('a.row').length === 1")
    tab.keyboard.press("Enter")
    wait_until(tab, "document.querySelector('#video h1')?.textContent === 'test_02'")
    tab.keyboard.press("Escape")
    wait_until(tab, "document.querySelector('#video').hidden")


def test_dark_and_light_follow_the_system_and_the_switch(tab: Any, folder: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    tab.emulate_media(color_scheme="dark")
    opened(tab, folder)
    dark = tab.evaluate(ground)
    assert sum(map(int, re.findall(r"\d+", dark))) < 150
    tab.keyboard.press("d")
    light = tab.evaluate(ground)
    assert sum(map(int, re.findall(r"\d+", light))) > 600
    tab.keyboard.press("d")
    assert tab.evaluate(ground) == dark
    tab.evaluate("localStorage.clear()")


def test_on_a_phone_nothing_is_wider_than_the_screen(tab: Any, folder: Path) -> None:
    tab.set_viewport_size({"width": 360, "height": 740})
    for hash_ in ("", "#video=test_01"):
        opened(tab, folder, hash_)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_folder_with_copies_can_be_moved(tab: Any, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "carried")
    Page(copy=True).write(Run(tmp_path / "carried"))
    shutil.move(tmp_path / "carried", tmp_path / "there")
    opened(tab, tmp_path / "there", "#video=test_00")
    wait_until(tab, "document.querySelector('video').readyState >= 1")
    assert "/there/page/media/0.mp4" in tab.evaluate("document.querySelector('video').currentSrc")


def test_a_search_among_800_videos_draws_few_rows(tab: Any, tmp_path: Path) -> None:
    reports = [scored(f"clip_{k:03}__{k % 7}", [0.001 * k, 0.5, 0.2]) for k in range(800)]
    truths = {report.video.id: GroundTruth((Span(10, 20, "x"),), "x") for report in reports}
    Page(copy=False).write(finished(tmp_path, reports, truths))
    opened(tab, tmp_path)
    drawn = tab.locator("a.row").count()
    assert 5 < drawn < 60
    assert tab.locator("#count").text_content() == "800"
    took, added = tab.evaluate(
        """() => { const search = document.getElementById("search"), begun = performance.now();
        const watch = new MutationObserver(() => {}); watch.observe(document.body, {childList: true, subtree: true});
        search.value = "clip_437"; search.dispatchEvent(new Event("input")); document.querySelector("a.row").offsetTop;
        const nodes = watch.takeRecords().flatMap(record => [...record.addedNodes]);
        return [performance.now() - begun, nodes.filter(node => node.matches?.("a.row")).length]; }"""
    )
    print(f"found among 800 in {took:.1f} ms, {drawn} rows drawn before, {added} since")
    assert tab.locator("a.row .id").all_text_contents() == ["clip_437__3"]
    assert 1 <= added < 60
    tab.fill("#search", "")
    tab.evaluate("scrollTo(0, 20000)")
    wait_until(tab, "document.querySelectorAll('a.row').length > 5")
    assert tab.locator("a.row").count() < 60


def test_a_click_during_which_the_list_is_drawn_again_opens_the_video(tab: Any, folder: Path) -> None:
    opened(tab, folder)
    tab.locator("a.row").first.scroll_into_view_if_needed()
    box = tab.locator("a.row").first.bounding_box()
    tab.mouse.move(box["x"] + 20, box["y"] + 20)
    tab.mouse.down()
    tab.evaluate("vaa.renderTable()")
    tab.mouse.up()
    tab.wait_for_selector(".plot .main-svg")


def test_escape_right_after_enter_in_the_search_closes_the_video(tab: Any, folder: Path) -> None:
    opened(tab, folder)
    tab.focus("#search")
    focused = tab.evaluate(
        """() => { const enter = new KeyboardEvent("keydown", {key: "Enter", bubbles: true});
        document.activeElement.dispatchEvent(enter); return document.activeElement.id; }"""
    )
    assert focused != "search"


def test_a_missing_video_has_a_note_and_the_rest_works(tab: Any, tmp_path: Path) -> None:
    Page(copy=False).write(finished(tmp_path, [scored("lost", [0.1, 0.9, 0.3])], {}, ("A notice.",)))
    opened(tab, tmp_path, "#video=lost")
    assert "no video file to play" in tab.locator(".unplayable").text_content()
    assert "A notice." in tab.locator(".notices").text_content()
    box = tab.locator(".plot").bounding_box()
    tab.mouse.click(box["x"] + 52 + 0.5 * (box["width"] - 66), box["y"] + 80)
    wait_until(tab, "/^0:00:01/.test(document.querySelector('.moment h2').textContent)")
    assert tab.locator(".stage-texts .score").last.text_content() == "0.900"
    tab.keyboard.press("Space")


def test_texts_of_models_and_files_are_never_html(tab: Any, tmp_path: Path) -> None:
    evil = "<img src=x onerror='window.pwned=1'></script><script>window.pwned=1</script>"
    truth = {evil: GroundTruth((Span(0, 10, evil),), evil, text=evil)}
    Page(copy=False).write(finished(tmp_path, [scored(evil, [0.9, 0.9, 0.1], text=evil)], truth, (evil,)))
    opened(tab, tmp_path)
    assert tab.locator("a.row .id").text_content() == evil
    tab.locator("a.row").click()
    tab.wait_for_selector(".plot .main-svg")
    assert tab.locator("#video h1").text_content() == evil
    assert evil in tab.locator(".stage-texts").text_content()
    assert tab.evaluate("[window.pwned, document.images.length]") == [None, 0]


def test_times_of_a_varying_rate_are_those_of_its_frames(tab: Any, tmp_path: Path) -> None:
    plain = scored("motion", [0.1, 0.9])
    times = FrameTimes(np.concatenate([np.arange(10) / 10, 50 + np.arange(10) / 10]))
    report = replace(plain, video=replace(plain.video, fps=20 / 51, times=times))
    Page(copy=False).write(finished(tmp_path, [report], {}))
    opened(tab, tmp_path, "#video=motion")
    moment = "document.querySelector('.moment h2').textContent"
    tab.keyboard.press("n")  # the alert
    wait_until(tab, f"{moment}.startsWith('0:00:50.0 frame 10 ')")
    tab.keyboard.press(".")
    wait_until(tab, f"{moment}.startsWith('0:00:50.1 frame 11 ')")
    tab.keyboard.press(",")
    tab.keyboard.press(",")
    wait_until(tab, f"{moment}.startsWith('0:00:00.9 frame 9 ')")
    band = tab.evaluate("document.querySelector('.plot').layout.shapes.find((s) => s.opacity === 0.95)")
    assert (band["x0"], band["x1"]) == (50, 51)
    ends = tab.evaluate("document.querySelector('.plot').data.map((line) => [line.x[0], line.x.at(-1)])")
    assert ends == [[0, 51]] * len(ends)
