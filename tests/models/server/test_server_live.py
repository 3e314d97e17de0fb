"""Against another server: `transformers serve` with tiny random checkpoints."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import server_model
from making import make_tokenizer

from vaa.errors import ConfigError
from vaa.models.server.model import ServerModel
from vaa.types import ChooseQuery, GenerateQuery, NoAnswer, Query, Video
from vaa.video import sources

pytestmark = pytest.mark.slow
TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' }}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama and a LLaVA, which needs no torchvision."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlamaForCausalLM,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder, tokenizer = tmp_path_factory.mktemp("served"), make_tokenizer()
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    text: dict[str, Any] = {**sizes, **ids, "vocab_size": len(tokenizer) + 8, "initializer_range": 0.3}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**text)).save_pretrained(folder / "llama")
    tokenizer.save_pretrained(folder / "llama")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**sizes, image_size=32, patch_size=8, projection_dim=16),
        text_config=LlamaConfig(**text),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder / "llava")
    LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder / "llava")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package, reason="`transformers serve` needs pip install 'transformers[serving]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", program, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log_file = tmp_path_factory.mktemp("log") / "serve.log"
    with log_file.open("wb") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            for _ in range(1200):
                assert process.poll() is None, log_file.read_text()
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.send_signal(signal.SIGKILL)


def served_model(url: str, model: str) -> ServerModel:
    result: ServerModel = server_model(url, model=model, concurrency=2, timeout=100, retries=1)
    return result


def local(folder: Path, query: Query) -> str:
    """The answer of the same checkpoint in this process."""
    import torch
    from PIL import Image
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

    system = f"<system>{query.system}" if query.system else ""
    text = f"{system}<user>{query.text}<assistant>"
    auto = AutoModelForImageTextToText if query.frames else AutoModelForCausalLM
    model: Any = auto.from_pretrained(folder)
    if query.frames:
        frames = sources.frames(query.video, query.frames, "decord")
        processor: Any = AutoProcessor.from_pretrained(folder)
        inputs = processor(images=[Image.fromarray(frame) for frame in frames], text=text, return_tensors="pt")
    else:
        processor = AutoTokenizer.from_pretrained(folder)
        inputs = processor(text, add_special_tokens=False, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=query.max_new_tokens)
    (answer,) = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return str(answer)


def test_a_served_checkpoint_answers_like_a_local_one(served: str, checkpoints: Path, clip: Path) -> None:
    video = Video("clip", clip, 25, 10.0)
    texts = [("what happens here", ""), ("a car", "Normal scenes")]
    llm = [
        GenerateQuery(purpose="any", video=video, at=0, frames=(), text=text, system=system, max_new_tokens=9)
        for text, system in texts
    ]
    frame_sets = [(0, 24), (0, 7), (23, 24)]
    vlm = [
        GenerateQuery(purpose="any", video=video, at=0, frames=frames, text="a <image> b <image> car", max_new_tokens=9)
        for frames in frame_sets
    ]
    vlm += [GenerateQuery(purpose="any", video=video, at=0, frames=(5,), text="<image>in the street", max_new_tokens=4)]
    for name, queries in (("llama", llm), ("llava", vlm)):
        model = served_model(served, str(checkpoints / name))
        assert list(model.generate(queries)) == [local(checkpoints / name, query) for query in queries]
        assert model.usage["answers"] == len(queries)
        assert model.usage["completion_tokens"] <= 9 * len(queries)
        assert model.usage["prompt_tokens"] > 5 * len(queries)


def test_a_missing_model_and_missing_logprobs_are_reported(served: str, checkpoints: Path) -> None:
    query = GenerateQuery(
        purpose="any", video=Video("clip", Path("none.mp4"), 25, 10.0), at=0, frames=(), text="Which?", max_new_tokens=4
    )
    (answer,) = served_model(served, "nobody/nothing").generate([query])
    assert isinstance(answer, NoAnswer)
    # For a missing model it sends HTTP 500 or, under load, no response.
    assert "1 retries" in answer.reason
    choice_query = ChooseQuery(purpose="any", video=query.video, at=0, frames=(), text="Which?", choices=("a", "b"))
    with pytest.raises(ConfigError, match="no log-probabilities"):
        list(served_model(served, str(checkpoints / "llama")).choose([choice_query]))
