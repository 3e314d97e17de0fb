"""URF's files replayed and written again: made-up ones with nothing left out, and the released ones."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from author_files import evaluate, read_json, write_data_set, write_urf
from in_process import run

from vaa.export.__main__ import main
from vaa.loading import load_run

WITHOUT_VIDEOS = ("stages.locate_window=null", "stages.draw=null", "smoothing=filter10")


def replayed(folder: Path, root: Path, files: Path, *args: str) -> Path:
    """A run of all of URF's tasks over the data set in `root`, from the results in `files`."""
    roots = (f"data.root={root}", f"vlm.root={files}", f"llm.root={files}")
    return run(folder, "method=urf_full", "data=ucf_crime", "vlm=recorded", "llm=recorded", *roots, *args)


def exported(run_folder: Path, out: Path, layout: str = "urf") -> dict[str, Any]:
    assert main([str(run_folder), "--layout", layout, "--out", str(out)]) == 0
    return {file.relative_to(out).as_posix(): read_json(file) for file in sorted(out.rglob("*.json"))}


def scores_of(run_folder: Path) -> dict[str, dict[str, list[float]]]:
    """Stage -> video -> its scores per frame."""
    loaded = load_run(run_folder)
    return {
        stage: {video: loaded.track(video, stage).tolist() for video in loaded.run.videos}
        for stage in ("score", "rerate", "smooth")
    }


def test_a_replay_writes_the_files_that_it_has_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    lengths = write_data_set(tmp_path / "data", rng, 12)
    files = write_urf(tmp_path / "data", rng, lengths)
    first = replayed(tmp_path / "run", tmp_path / "data", tmp_path / "data", *WITHOUT_VIDEOS)
    ours = {path.replace("recorded", "m"): content for path, content in exported(first, tmp_path / "out").items()}
    assert ours.keys() == files.keys()
    phrases = "scores/m/suspicious_part_phrases.json"
    assert {name: ast.literal_eval(text) for name, text in ours.pop(phrases).items()} == {
        name: ast.literal_eval(text) for name, text in files.pop(phrases).items()
    }
    for path, content in ours.items():
        assert content == files[path], path


def test_our_files_are_read_back_with_the_same_scores_in_every_stage(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lengths = write_data_set(tmp_path / "data", rng, 9)
    write_urf(tmp_path / "data", rng, lengths)
    first = replayed(tmp_path / "run", tmp_path / "data", tmp_path / "data", *WITHOUT_VIDEOS)
    exported(first, tmp_path / "out")
    second = replayed(tmp_path / "again", tmp_path / "data", tmp_path / "out", *WITHOUT_VIDEOS)
    assert scores_of(first) == scores_of(second)
    assert any(scores_of(first)["rerate"][video] != values for video, values in scores_of(first)["score"].items())
    assert load_run(first).metrics == load_run(second).metrics
    window = tmp_path / "out/scores/recorded/highest_lowest_intervals.json"
    recorded = ("suspicious_window=recorded", f"suspicious_window.find_window.file={window}")
    third = replayed(tmp_path / "third", tmp_path / "data", tmp_path / "out", *recorded, *WITHOUT_VIDEOS)
    assert scores_of(first)["smooth"] == scores_of(third)["smooth"]


def test_the_authors_evaluation_of_our_files_gives_our_metric(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    lengths = write_data_set(tmp_path / "data", rng, 12)
    write_urf(tmp_path / "data", rng, lengths)
    folder = replayed(tmp_path / "run", tmp_path / "data", tmp_path / "data", *WITHOUT_VIDEOS)
    exported(folder, tmp_path / "out")
    refined = evaluate(tmp_path / "out/refined_scores/recorded", tmp_path / "data")
    assert refined == pytest.approx(load_run(folder).metrics["roc_auc"], abs=1e-12)
    assert evaluate(tmp_path / "out/scores/recorded", tmp_path / "data") != refined


RELEASED = ("vlm.captions=video_llama3_json_results", "vlm.scores=videollama3", "llm.scores=videollama3")


def released(path: str) -> str:
    return path.replace("captions/recorded", "captions/video_llama3_json_results").replace("recorded", "videollama3")


def test_the_released_files_come_out_as_they_went_in(tmp_path: Path, shared: Path) -> None:
    """The first 60 videos of UCF-Crime, three of which are rated again; captions up to white space."""
    root = shared / "recorded/urf/ucf_crime"
    folder = run(
        tmp_path / "run", "experiment=urf_ucf_replay", f"data.root={root}", *RELEASED,
        "llm.refined_scores=videollama3", "limit=60",
    )  # fmt: skip
    ours = exported(folder, tmp_path / "out")
    counts = {name: sum(path.startswith(f"{name}/") for path in ours) for name in ("captions", "refined_scores")}
    assert counts == {"captions": 60, "refined_scores": 60}
    for path, content in ours.items():
        theirs = read_json(root / released(path))
        if path.endswith("phrases.json"):
            assert content.keys() <= theirs.keys()
        elif path.endswith("intervals.json"):
            assert content == {video: theirs[video] for video in content}
        elif path.startswith("captions/"):
            assert content == {frame: " ".join(text.split()) for frame, text in theirs.items()}
        else:
            assert content == theirs, path
