"""LAVAD's captions, summaries and scores replayed and written again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from author_files import by_window, read_json, sentence, write_data_set, write_json
from in_process import run
from word_vectors import DIMENSIONS, WORD_VECTORS

from vaa.export.__main__ import main
from vaa.loading import load_run


def write_lavad(root: Path, rng: np.random.Generator, lengths: dict[str, int]) -> dict[str, Any]:
    """Captions of every frame, summaries and first scores of every 16th, features of every frame."""
    files: dict[str, Any] = {}
    (root / "features").mkdir()
    for name, n in lengths.items():
        size = len(range(0, n, 16))
        files[f"captions/raw/blip/{name}.json"] = by_window(n, [sentence(rng) for _ in range(n)], step=1)
        files[f"captions/summary/llama/blip/{name}.json"] = by_window(n, [sentence(rng) for _ in range(size)])
        files[f"scores/raw/llama/blip/{name}.json"] = by_window(n, rng.integers(0, 11, size=size).astype(float) / 10)
        np.save(root / f"features/{name}_CLIP_features.npy", rng.normal(size=(n, DIMENSIONS)))
    for path, content in files.items():
        write_json(root / path, content)
    return files


def replayed(folder: Path, root: Path, files: Path, vlm: str, llm: str) -> Path:
    return run(
        folder, "method=lavad", "data=ucf_crime", f"data.root={root}", "vlm=recorded", f"vlm.root={files}",
        f"vlm.captions=raw/{vlm}", "llm=recorded", f"llm.root={files}", f"llm.captions=summary/{llm}",
        f"llm.scores=raw/{llm}", "encoder=recorded", f"encoder.root={root / 'features'}", *WORD_VECTORS,
    )  # fmt: skip


def test_a_replay_writes_what_it_has_read_and_what_follows_from_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    lengths = write_data_set(tmp_path, rng, 4, longest=500)
    files = write_lavad(tmp_path, rng, lengths)
    first = replayed(tmp_path / "run", tmp_path, tmp_path, "blip", "llama/blip")
    out = tmp_path / "out"
    assert main([str(first), "--layout", "lavad", "--out", str(out)]) == 0
    for path, content in files.items():
        ours = path.replace("llama/blip", "recorded/recorded").replace("blip", "recorded")
        assert read_json(out / ours) == content, path
    second = replayed(tmp_path / "again", tmp_path, out, "recorded", "recorded/recorded")
    history = load_run(first).run.evaluation.history
    for video in lengths:
        assert load_run(first).track(video).tolist() == load_run(second).track(video).tolist()
        refined = read_json(out / f"scores/refined/recorded/recorded/{video}.json")
        track = history[video]["refine"].track
        assert track is not None
        assert list(refined.values()) == track.values.tolist()
        assert list(map(int, refined)) == track.starts.tolist()
        windows = read_json(out / f"captions/clean/recorded/{video}.json")
        captions = files[f"captions/raw/blip/{video}.json"]
        assert list(windows) == list(refined)
        for segment in history[video]["window"].segments:
            assert list(windows[str(segment.at)]) == [str(frame) for frame in segment.frames]
            assert set(windows[str(segment.at)].values()) <= set(captions.values())
