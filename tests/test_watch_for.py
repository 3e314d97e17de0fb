"""Three real clips, three definitions, a server that answers by what it is shown: three right alerts."""

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


@pytest.fixture
def server(shared: Path) -> Iterator[FakeServer]:
    """Knows each clip by its frames; says YES to the clip's definition, and writes a sentence when asked to."""
    known: dict[str, list[np.ndarray]] = {}
    for name in SEEN:
        with av.open(str(shared / "videos" / f"{name}.mp4")) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        known[name] = [signature(frame) for frame in frames[::5]]

    def answer(body: dict[str, Any], before: int) -> Reply:
        picture = signature(images(body)[0])
        name = min(known, key=lambda clip: min(float(np.abs(picture - other).mean()) for other in known[clip]))
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


def test_each_clip_gets_the_alert_of_its_own_definition(server: FakeServer, shared: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "data=folder", f"data.root={shared / 'videos'}"]
    command += [f"watch_for={', '.join(SEEN.values())}", "vlm=server", "vlm.model=fake", f"vlm.base_url={server.url}"]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    process = subprocess.run(
        [*command, "page=null", "plots=false"],
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
