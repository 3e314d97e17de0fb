"""What is the same for every checkpoint that transformers loads: its identity, its device, its refusals."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.process import PROJECT_ROOT

log = logging.getLogger("vaa")

_WHOLE = 16 * 2**20
_ATTENTION = ("flash_attention_2", "sdpa", "eager")


def source(checkpoint: str) -> str:
    """A folder as given, one of this project whatever the working directory is, or else a name on the hub."""
    house = PROJECT_ROOT / checkpoint
    return str(house) if not Path(checkpoint).is_dir() and house.is_dir() else checkpoint


def identity(checkpoint: str, revision: str | None) -> str:
    """Name a checkpoint by what is in it: a hub name by its revision, a folder by its files.

    Small files count by content; large ones by size and time of change, since hashing them would take as long as
    loading them.
    """
    folder = Path(source(checkpoint))
    if not folder.is_dir():
        return f"{checkpoint}@{revision or 'main'}"
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(p for p in folder.iterdir() if p.is_file()):
        stat = file.stat()
        digest.update(file.name.encode())
        digest.update(file.read_bytes() if stat.st_size <= _WHOLE else f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return f"{folder.name}#{digest.hexdigest()}"


def load(auto: Any, checkpoint: str, revision: str | None, **options: Any) -> Any:
    """Call `auto.from_pretrained` without remote code, and say what to do when it cannot be had.

    Raises:
        VaaError: the folder or the hub's repository cannot be read, or its architecture is not known natively.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging as console

    from vaa.models.checkpoints import internvl2, videollama3
    from vaa.models.checkpoints import layout as original

    if not sys.stderr.isatty():
        console.disable_progress_bar()
    layout = original.detect((internvl2.LAYOUT, videollama3.LAYOUT), checkpoint, revision)
    if layout is not None:
        return original.load(layout, auto.__name__, checkpoint, revision, **options)
    try:
        if auto.__name__.startswith("AutoModel"):
            check_shards(Path(source(checkpoint)))
            options["use_safetensors"] = True  # other formats are pickles: reading one can run what it says
        found = auto.from_pretrained(source(checkpoint), revision=revision, trust_remote_code=False, **options)
        return internvl2.restart_rope(found) if "attn_implementation" in options else found
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise VaaError(
            f"The checkpoint '{checkpoint}' (revision {revision or 'main'}) cannot be loaded by "
            f"{auto.__name__}: {reason}\n"
            "Give a folder in Hugging Face format or a hub name whose architecture transformers knows natively. "
            "Weights are read from .safetensors files only: others (pytorch_model.bin) can hold code. Save them anew."
        ) from error


def check_shards(folder: Path) -> None:
    """Refuse an index that names weights outside its folder.

    Raises:
        VaaError: it does.
    """
    index = folder / "model.safetensors.index.json"
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values()) if index.is_file() else set()
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise VaaError(f"{index}: not an index of weights: {error!r}") from error
    if outside := sorted(str(name) for name in names if Path(str(name)).name != name or name == ".."):
        raise VaaError(f"{index}: names weights outside its folder: {outside[0]}. Do not trust this checkpoint.")


def attentive(auto: Any, checkpoint: str, revision: str | None, attention: str, options: dict[str, Any]) -> Any:
    """Load a model with this implementation of attention or, saying so, with the next slower one that is there."""
    slower = _ATTENTION[_ATTENTION.index(attention) :] if attention in _ATTENTION else (attention,)
    for wanted, instead in zip(slower, (*slower[1:], None), strict=True):
        try:
            return load(auto, checkpoint, revision, attn_implementation=wanted, **options)
        except VaaError as error:
            if instead is None or "attention" not in str(error.__cause__).lower():
                raise
            log.warning("attention=%s is not to be had here, %s is used instead: %s", wanted, instead, error.__cause__)
    raise AssertionError("unreachable")


def placement(device_map: str, dtype: str, quantization: str) -> dict[str, Any]:
    """Options of `from_pretrained` for where and how precisely the weights are held.

    Raises:
        VaaError: an unknown dtype or quantization.
    """
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise VaaError(f"dtype={dtype}: choose one of {', '.join(known)}.")
    options: dict[str, Any] = {"dtype": known[dtype], "device_map": device_map}
    if quantization == "none":
        return options
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # it warns at every multiplication
    if quantization == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif quantization in ("nf4", "fp4"):
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=quantization, bnb_4bit_compute_dtype=known[dtype]
        )
    else:
        raise VaaError(f"quantization={quantization}: choose one of none, int8, nf4, fp4.")
    return options


def free() -> None:
    """Return the memory of models nobody holds any more."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
