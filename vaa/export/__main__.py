"""`python -m vaa.export RUN --layout NAME`: write a finished run in the authors' layout, or its scores alone."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vaa import process
from vaa.errors import ConfigError, VaaError
from vaa.export import corevad, lavad, scores, urf
from vaa.export.content import ExportFile
from vaa.report.files import write_bytes, write_json
from vaa.report.run_folder import output_errors
from vaa.report.runs import Run, find_run

LAYOUTS: dict[str, Callable[[Run], Iterator[ExportFile]]] = {
    "urf": urf.files,
    "corevad": corevad.files,
    "lavad": lavad.files,
    "npy": scores.npy,
    "csv": scores.csv,
    "vadtree": scores.vadtree,
    "detections": scores.detections,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files and print their names; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        run = find_run(args.run)
        out = args.out or run.folder / "export" / args.layout
        names = write(run, args.layout, out)
        failed = f"; {len(run.failures)} videos failed in the run and are left out" if run.failures else ""
        sys.stdout.write("\n".join([f"written to {out}{failed}:", *(f"  {line}" for line in named(names)), ""]))
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def write(run: Run, layout: str, out: Path) -> list[str]:
    """Write a run in a layout into a new folder; returns the paths of the files under it.

    Raises:
        ConfigError: the folder has files already.
        DataError: the run lacks what the layout needs; nothing is written then.
        OutputError: a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not empty. Give a new folder with --out, or remove it first.")
    names = []
    try:
        with output_errors(out.parent):
            for file in LAYOUTS[layout](run):
                if isinstance(file.content, bytes):
                    write_bytes(out / file.path, file.content)
                else:
                    write_json(out / file.path, file.content, indent=True)
                names.append(file.path)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return names


def named(names: Sequence[str]) -> list[str]:
    """A line for each file, and one for all files of single videos in a folder."""
    folders = Counter(name.rpartition("/")[0] for name in names)
    single = {folder for folder, count in folders.items() if count > 3}
    lines = []
    for folder in folders:
        own = [name for name in names if name.rpartition("/")[0] == folder]
        lines += [f"{folder}/ ({len(own)} files)"] if folder in single else own
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.export", description=__doc__)
    parser.add_argument("run", help="the folder of a finished run")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), required=True, help="whose programs are to read it")
    out_help = "the folder to write, new or empty (RUN/export/LAYOUT)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out_help)
    return parser


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
