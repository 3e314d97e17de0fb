"""Reads the files of an offline W&B run."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

BLOCK = 32768


def records(file: Path) -> Iterator[Any]:
    """The records of a .wandb file: a LevelDB log (blocks of 32 KiB, parts of type full, first, middle, last)."""
    data, at, whole = file.read_bytes(), 7, b""
    while at < len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def read_back(folder: Path) -> list[dict[str, Any]]:
    """The content of each run on disk.

    The run itself, config, summary and exit code; `artifacts` in order (`used`: as an input; `files`: path -> file);
    `tables` and `curves`: key -> rows; `panels`: key -> how a curve is drawn.
    """
    wandb.teardown()
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda f: f.stat().st_mtime_ns)
    return [_read(file) for file in files]


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = {"run": None, "config": {}, "summary": {}, "exit": None, "logged": set(), "panels": {}}
    content |= {"artifacts": [], "tables": {}, "curves": {}}
    for record in records(file):
        kind = record.WhichOneof("record_type")
        content["run"] = record.run if kind == "run" else content["run"]
        content["exit"] = record.exit.exit_code if kind == "exit" else content["exit"]
        for name, updates in (
            ("config", [*record.config.update, *record.run.config.update]),
            ("summary", record.summary.update),
        ):
            for update in updates:
                if list(update.nested_key[:2]) == ["_wandb", "visualize"]:
                    content["panels"][update.nested_key[2]] = json.loads(update.value_json)["panel_config"]
                else:
                    content[name][update.key or ".".join(update.nested_key)] = json.loads(update.value_json)
        content["logged"] |= {item.key or item.nested_key[0] for item in record.history.item}
        if kind == "artifact":
            _artifact(content, record.artifact)
    return content


def _artifact(content: dict[str, Any], record: Any) -> None:
    """A table's artifact is read into rows by column, pictures as paths into `files` of its row's cell."""
    files = {entry.path: Path(entry.local_path) for entry in record.manifest.contents}
    artifact = {"name": record.name, "type": record.type, "digest": record.digest, "used": record.use_after_commit}
    if record.type != "run_table":
        metadata = json.loads(record.metadata) if record.metadata else {}
        content["artifacts"].append({**artifact, "metadata": metadata, "files": files})
        return
    for path in (path for path in files if path.endswith(".table.json")):
        table = json.loads(files[path].read_text())
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
        for cell in (cell for row in rows for cell in row.values() if isinstance(cell, dict) and "path" in cell):
            cell["file"] = files[cell["path"]]
        group, _, name = path.removesuffix(".table.json").partition("/")
        content[group][name] = rows
