"""Reads back what an offline W&B run left on disk."""

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
    """What W&B left on disk of each run: the run itself, config, summary and exit code."""
    wandb.teardown()
    runs = []
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda f: f.stat().st_mtime_ns):
        found: dict[str, Any] = {"run": None, "config": {}, "summary": {}, "exit": None}
        for record in records(file):
            kind = record.WhichOneof("record_type")
            found["run"] = record.run if kind == "run" else found["run"]
            found["exit"] = record.exit.exit_code if kind == "exit" else found["exit"]
            for name, updates in (
                ("config", [*record.config.update, *record.run.config.update]),
                ("summary", record.summary.update),
            ):
                for update in updates:
                    found[name][update.key or ".".join(update.nested_key)] = json.loads(update.value_json)
        runs.append(found)
    return runs
