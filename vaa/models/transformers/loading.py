"""Loading a checkpoint with transformers: without remote code, on the given device, in the given precision."""

from __future__ import annotations

import logging
import sys
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from vaa.errors import ConfigError, ModelError
from vaa.models.checkpoints import internvl2, videollama3
from vaa.models.checkpoints import layout as layouts
from vaa.models.checkpoints.files import check_shard_index
from vaa.models.checkpoints.hub import access_hint, find_checkpoint
from vaa.models.checkpoints.weights import find_weights

log = logging.getLogger("vaa")

_ATTENTION = ("flash_attention_2", "sdpa", "eager")
"""From fast to slow."""


def load(auto: Any, checkpoint: str, revision: str | None, **options: Any) -> Any:
    """Call `auto.from_pretrained` without remote code.

    Raises:
        ModelError: there is no such folder, the hub is not reached, the folder or repository cannot be read, or
            transformers does not know its architecture.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging as transformers_logging

    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()
    path = find_checkpoint(checkpoint, revision)
    layout = layouts.detect((internvl2.LAYOUT, videollama3.LAYOUT), path, revision)
    if layout is not None:
        return layouts.load(layout, auto.__name__, path, revision, **options)
    try:
        if auto.__name__.startswith("AutoModel"):
            check_shard_index(Path(path))
            path, revision, options["use_safetensors"] = find_weights(path, revision)
        result = auto.from_pretrained(path, revision=revision, trust_remote_code=False, **options)
        return internvl2.restart_rope(result) if "attn_implementation" in options else result
    except (OSError, ValueError, KeyError, ImportError, SafetensorError, UnpicklingError) as error:
        if hint := access_hint(checkpoint, error):
            raise ModelError(hint) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, UnpicklingError):
            reason = "its pickled weights hold code or something else than tensors. Do not trust this checkpoint."
        raise ModelError(
            f"The checkpoint '{checkpoint}' (revision {revision or 'main'}) cannot be loaded by "
            f"{auto.__name__}: {reason}\n"
            "Give a folder in Hugging Face format or a hub name whose architecture transformers supports without "
            "remote code. Weights are read from .safetensors or pytorch_model.bin; convert other formats first."
        ) from error


def load_with_attention(
    auto: Any, checkpoint: str, revision: str | None, attention: str, options: dict[str, Any]
) -> Any:
    """Load a model with this attention implementation; where it is not installed, warn and use the next slower one."""
    slower = _ATTENTION[_ATTENTION.index(attention) :] if attention in _ATTENTION else (attention,)
    for implementation, fallback in zip(slower, (*slower[1:], None), strict=True):
        try:
            return load(auto, checkpoint, revision, attn_implementation=implementation, **options)
        except ModelError as error:
            if fallback is None or "attention" not in str(error.__cause__).lower():
                raise
            log.warning(
                "attention=%s is not available, using %s instead: %s", implementation, fallback, error.__cause__
            )
    raise AssertionError("unreachable")


def loading_options(device_map: str, dtype: str, quantization: str) -> dict[str, Any]:
    """Return the options of `from_pretrained` for devices and precision.

    Raises:
        ConfigError: an unknown dtype or quantization.
    """
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in dtypes:
        raise ConfigError(f"dtype={dtype}: choose one of {', '.join(dtypes)}.")
    options: dict[str, Any] = {"dtype": dtypes[dtype], "device_map": device_map}
    if quantization == "none":
        return options
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # it warns at every multiplication
    if quantization == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif quantization in ("nf4", "fp4"):
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=quantization, bnb_4bit_compute_dtype=dtypes[dtype]
        )
    else:
        raise ConfigError(f"quantization={quantization}: choose one of none, int8, nf4, fp4.")
    return options


def count_tokens(checkpoint: str, revision: str | None, text: str) -> int:
    """The number of tokens of a text by a checkpoint's tokenizer, without special tokens.

    Raises:
        ModelError: the tokenizer cannot be loaded.
    """
    return len(_tokenizer(checkpoint, revision)(text, add_special_tokens=False)["input_ids"])


@cache
def _tokenizer(checkpoint: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    return load(AutoTokenizer, checkpoint, revision)


def free_memory() -> None:
    """Return the memory of unused tensors to the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
