"""A checkpoint's folder as vLLM reads it: complete with the files of an InternVL processor."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vaa import process
from vaa.errors import ModelError, OutputError, VaaError
from vaa.models.checkpoints.files import resolve_checkpoint

_PROCESSOR, _VIDEO, _TOKENIZER = "processor_config.json", "video_preprocessor_config.json", "tokenizer_config.json"
_TEMPLATE = "chat_template.jinja"
_ADDED = (_PROCESSOR, _VIDEO, _TOKENIZER)


def missing_files(folder: Path) -> bool:
    """Whether this is the folder of an InternVL checkpoint without the files that vLLM needs of its processor.

    Raises:
        ModelError: there is no config.json, or it cannot be read.
    """
    if _read(folder / "config.json").get("model_type") != "internvl":
        return False
    tokenizer = _read(folder / _TOKENIZER)
    names = tokenizer.get("extra_special_tokens")
    known = {**tokenizer, **(names if isinstance(names, dict) else {})}
    return not ((folder / _PROCESSOR).is_file() and (folder / _VIDEO).is_file() and "video_token" in known)


def complete(source: Path, target: Path) -> None:
    """Fill the empty folder `target` with links to the files of `source` and what its processor lacks.

    The token of videos, which vaa never shows, is the end of a frame: the processor only needs its name.

    Raises:
        ModelError: a file cannot be read.
    """
    for file in source.iterdir():
        if file.is_file() and file.name not in _ADDED:
            (target / file.name).symlink_to(file.resolve())
    image = _read(source / "preprocessor_config.json")
    tokenizer = _read(source / _TOKENIZER)
    config = _read(source / "config.json")
    tokenizer.setdefault("video_token", tokenizer.get("end_image_token", "</img>"))
    processor = {"processor_class": "InternVLProcessor", "image_seq_length": config["image_seq_length"]}
    video = {**image, "image_processor_type": None, "video_processor_type": "InternVLVideoProcessor"}
    added = {_PROCESSOR: processor, _TOKENIZER: tokenizer, _VIDEO: video}
    for name, content in added.items():
        kept = {key: value for key, value in content.items() if value is not None}
        (target / name).write_text(json.dumps(kept, indent=2), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Write a folder that `vllm serve` can read; 0, or the exit status of the error on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m vaa.models.vllm.checkpoint",
        description="Write a folder with links to an InternVL checkpoint's files and those that a vLLM server needs.",
    )
    parser.add_argument("source", help="the checkpoint's folder, such as vaa/tiny/checkpoints/vlm")
    parser.add_argument("target", type=Path, help="the folder to write; it must not exist")
    args = parser.parse_args(arguments)
    try:
        if args.target.exists():
            raise OutputError(f"{args.target}: exists already; give another folder or remove it.")
        source = Path(resolve_checkpoint(args.source))
        if not missing_files(source):
            raise ModelError(f"{source}: no InternVL checkpoint, or complete already: vLLM reads it as it is.")
        args.target.mkdir(parents=True)
        complete(source, args.target)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    sys.stdout.write(f"{args.target}: written, for vllm serve {args.target}\n")
    return 0


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{file}: cannot be read ({error}). vLLM needs it.") from error


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
