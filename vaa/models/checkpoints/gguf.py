"""GGUF files, the format of llama.cpp: read once and written as safetensors, which load in a second."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

from vaa.errors import ModelError


def convert(file: Path, folder: Path) -> None:
    """Write the model and the tokenizer of a GGUF file as float32 safetensors to a new folder.

    The weights keep the values that their few bits have. transformers does not save a model that it has read from
    GGUF, so they are copied into a new one.

    Raises:
        ModelError: transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("gguf").setLevel(logging.ERROR)
    folder_and_file = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that no setting switches off
            tokenizer = AutoTokenizer.from_pretrained(**folder_and_file, trust_remote_code=False)
            read = AutoModelForCausalLM.from_pretrained(**folder_and_file, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, KeyError, IndexError, ImportError, RuntimeError) as error:
        raise ModelError(f"{file.name}: not a GGUF file that transformers reads: {error}") from error
    config = type(read.config)(**{k: v for k, v in read.config.to_dict().items() if k != "quantization_config"})
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
