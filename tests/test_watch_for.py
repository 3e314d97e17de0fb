"""Three real clips, three definitions, a server that answers by what it is shown: three right alerts with pictures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake_server import FakeServer, Reply, completion, images, top_logprobs
from PIL import Image

ROOT = Path(__file__).parents[1]
SEEN = {"robbery": "a robbery", "car_accident": "a car crash", "earthquake": "an earthquake"}


def signature(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((8, 8)), dtype=np.float64)


def decoded(file: Path) -> list[np.ndarray]:
    """The signatures of the frames of a video."""
    with av.open(str(file)) as container:
        small = (frame.reformat(width=8, height=8, format="rgb24") for frame in container.decode(video=0))
        return [picture.to_ndarray().astype(np.float64) for picture in small]


@pytest.fixture
def known(shared: Path) -> dict[str, list[np.ndarray]]:
    """The frames of each clip."""
    return {name: decoded(shared / "videos" / f"{name}.mp4") for name in SEEN}


def clip_of(picture: np.ndarray, known: dict[str, list[np.ndarray]]) -> str:
    """The clip that has the most similar frame."""
    return min(known, key=lambda clip: min(float(np.abs(picture - other).mean()) for other in known[clip][::5]))


@pytest.fixture
def server(known: dict[str, list[np.ndarray]]) -> Iterator[FakeServer]:
    """Knows each clip by its frames; says YES to the clip's definition, and writes a sentence when asked to."""

    def answer(body: dict[str, Any], before: int) -> Reply:
        name = clip_of(signature(images(body)[0]), known)
        text = " ".join(part.get("text", "") for part in body["messages"][-1]["content"])
        asked = re.search(r"this: (.*)\?", text)
        if asked is None:
            return completion(f"The camera sees {SEEN[name]}.")
        yes = -0.05 if asked[1] == SEEN[name] else -4.0
        return completion("YES", logprobs=top_logprobs(YES=yes, NO=float(np.log(1 - np.exp(yes)))))

    fake = FakeServer()
    fake.script = answer
    yield fake
    fake.close()


def test_each_clip_gets_the_alert_of_its_own_definition(
    server: FakeServer, known: dict[str, list[np.ndarray]], shared: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "data=folder", f"data.root={shared / 'videos'}"]
    command += [f"watch_for={', '.join(SEEN.values())}", "vlm=server", "vlm.model=fake", f"vlm.base_url={server.url}"]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    process = subprocess.run(
        [*command, "alerts.clips=true", "page=null", "plots=false"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (file,) = (tmp_path / "outputs").rglob("alerts.json")
    alerts = json.loads(file.read_text())["alerts"]
    assert {(alert["video"], alert["definition"]) for alert in alerts} == set(SEEN.items())
    assert len(alerts) == len(SEEN)
    assert all(alert["text"] == f"The camera sees {alert['definition']}." for alert in alerts)
    questions = [body for body in server.bodies if body.get("logprobs")]
    sentences = [body for body in server.bodies if not body.get("logprobs")]
    assert len(questions) == len(SEEN) * len(sentences)  # only what is found is described, once
    for alert in alerts:
        with Image.open(file.parent / alert["still"]) as still:
            assert clip_of(signature(np.asarray(still)), known) == alert["video"]
        pictures = decoded(file.parent / alert["clip"])
        roll, n_frames = 2.0 * alert["fps"], len(known[alert["video"]])
        length = min(n_frames, alert["stop"] + roll) - max(0.0, alert["start"] - roll)
        assert abs(len(pictures) - length) <= 2
        first = known[alert["video"]][max(0, round(alert["start"] - roll))]
        assert float(np.abs(pictures[0] - first).mean()) < 3.0
        assert {clip_of(picture, known) for picture in (pictures[0], pictures[-1])} == {alert["video"]}
