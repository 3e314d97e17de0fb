"""Against a vLLM server of the built-in VLM: `make test-vllm`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cpu_models import cpu_vlm
from fake_server import server_model

from vaa.data.synthetic import SyntheticDataset
from vaa.models.server.model import ServerModel
from vaa.models.transformers.vlm import TransformersVLM
from vaa.models.vllm import checkpoint
from vaa.types import ChooseQuery, GenerateQuery, Video

pytestmark = pytest.mark.vllm
TINY = Path(__file__).parents[3] / "vaa/tiny/checkpoints/vlm"
IN_PLACE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' }}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<IMG_CONTEXT>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
START_SECONDS = 900


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerModel]:
    folder = tmp_path_factory.mktemp("served")
    assert checkpoint.main([str(TINY), str(folder / "tiny")]) == 0
    (folder / "parts.jinja").write_text(IN_PLACE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "model": folder / "tiny",
        "served-model-name": "tiny",
        "dtype": "float32",
        "port": port,
        "block-size": 32,
        "limit-mm-per-prompt": '{"video": 0}',
        "mm-processor-kwargs": '{"crop_to_patches": false}',
        "chat-template": folder / "parts.jinja",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager", *arguments]
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(START_SECONDS):
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(1)
        url = f"http://127.0.0.1:{port}/v1"
        yield server_model(url, model="tiny", concurrency=8, timeout=300, decoder="pyav")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def local() -> TransformersVLM:
    return cpu_vlm(TINY, decoder="pyav")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = str(tmp_path_factory.mktemp("videos"))
    dataset = SyntheticDataset(cache_dir=folder, root=None, split="test", videos=1, seconds=60.0, fps=10.0, size=64)
    return dataset.load().videos[0]


def captions(video: Video, text: str) -> list[GenerateQuery]:
    return [
        GenerateQuery(purpose="caption", video=video, at=first, frames=(first, first + 8), text=text, max_new_tokens=30)
        for first in range(0, 600, 60)
    ]


@pytest.mark.parametrize("text", ["What happens?", "At first <image> and then <image>: what happens?"])
def test_texts_equal_the_local_ones_with_images_where_the_prompt_puts_them(
    server: ServerModel, local: TransformersVLM, video: Video, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    queries = captions(video, text)
    with caplog.at_level(logging.WARNING):
        assert list(server.generate(queries)) == list(local.generate(queries))
    assert "moves all images" not in caplog.text


@pytest.mark.parametrize(
    "choices",
    [
        ("Yes", "No"),
        ("```\nAnomalous scenes.", "```\nNormal scenes."),  # readout=probability
        ("[1]", "[0]"),  # readout=zero_one
        tuple(f"[{k / 10:.1f}]" for k in range(11)),  # readout=eleven
    ],
)
def test_probabilities_of_every_readout_equal_the_local_ones(
    server: ServerModel, local: TransformersVLM, video: Video, choices: tuple[str, ...]
) -> None:
    queries = [
        ChooseQuery(purpose="rate", video=video, at=q.at, frames=q.frames, text="Rate it.", choices=choices)
        for q in captions(video, "")
    ]
    for own, other in zip(replace(server).choose(queries), local.choose(queries), strict=True):
        np.testing.assert_allclose(np.asarray(own), np.asarray(other), atol=1e-5)
