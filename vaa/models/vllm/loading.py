"""Loading a checkpoint into vLLM's engine: only layouts that it reads without remote code."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.base import Quantization
from vaa.models.checkpoints import internvl2, videollama3
from vaa.models.checkpoints import layout as layouts
from vaa.models.checkpoints.hub import find_checkpoint
from vaa.models.transformers.families import FrameProcessor
from vaa.models.transformers.loading import load
from vaa.models.vllm import checkpoint as checkpoints
from vaa.models.vllm import engine
from vaa.models.vllm.frames import vllm_frames
from vaa.models.vllm.requests import VllmModel
from vaa.models.vllm.settings import VllmSettings

_CONVERTERS = {internvl2.LAYOUT.name: "internvl2", videollama3.LAYOUT.name: "videollama3"}


def load_model(
    checkpoint: str,
    revision: str | None,
    *,
    dtype: str,
    quantization: Quantization,
    settings: VllmSettings,
    frame_processor: Callable[[Any, Any], FrameProcessor] | None,
    chat: bool = True,
) -> VllmModel:
    """Start an engine; `frame_processor` makes one of a config and an image processor, None for an LLM.

    Without `chat` the text of a query is continued, without a chat template.

    Raises:
        ConfigError: vLLM is not installed.
        ModelError: the checkpoint's family or layout is not supported, or vLLM cannot start it.
    """
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer

    engine.version()
    _refuse_original_layout(checkpoint, revision)
    tokenizer, frames = load(AutoTokenizer, checkpoint, revision), None
    if frame_processor is not None:
        config = load(AutoConfig, checkpoint, revision)
        processor = load(AutoImageProcessor, checkpoint, revision, backend="pil")
        frames = vllm_frames(frame_processor(config, processor))
    path, folder = find_checkpoint(checkpoint, revision), None
    if frames is not None and Path(path).is_dir() and checkpoints.missing_files(Path(path)):
        folder = tempfile.TemporaryDirectory(prefix="vaa-vllm-")
        checkpoints.complete(Path(path), Path(folder.name))
        path = folder.name
    started = engine.start(
        path,
        revision,
        dtype=dtype,
        quantization=quantization,
        settings=settings,
        processor_options=frames.options if frames else {},
    )
    return VllmModel(engine=started, tokenizer=tokenizer, frames=frames, folder=folder, chat=chat)


def _refuse_original_layout(checkpoint: str, revision: str | None) -> None:
    """Refuse a checkpoint in its authors' own layout, which vLLM would run with their code or not at all.

    Raises:
        ModelError: it is one.
    """
    layout = layouts.detect((internvl2.LAYOUT, videollama3.LAYOUT), checkpoint, revision)
    if layout is not None:
        raise ModelError(
            f"backend=vllm: '{checkpoint}' is in {layout.name}'s original layout. Convert it once (python -m "
            f"vaa.models.checkpoints.{_CONVERTERS[layout.name]} {checkpoint} FOLDER) and give checkpoint=FOLDER, or "
            "set backend=transformers."
        )
