"""CoReVAD's responses replayed and written again, raw and cleaned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from author_files import read_json, sentence, write_data_set, write_json
from in_process import run
from word_vectors import DIMENSIONS, WORD_VECTORS, text_vector

from vaa.errors import DataError
from vaa.export.__main__ import main
from vaa.loading import load_run


def write_corevad(root: Path, rng: np.random.Generator, lengths: dict[str, int]) -> dict[str, list[str]]:
    """Raw responses and CLIP features of each frame; returns the responses."""
    answers = {}
    for name, n in lengths.items():
        verdicts = rng.choice(["Anomalous", "Normal"], size=len(range(0, n, 30)))
        answers[name] = [f"{verdict} scenes. {sentence(rng)}." for verdict in verdicts]
        features = rng.normal(size=(n, DIMENSIONS)).astype(np.float16)
        (root / "features").mkdir(exist_ok=True)
        np.save(root / f"features/{name}_CLIP_features.npy", features)
    write_json(root / "outputs/VLM_responses_ucf.json", answers)
    return answers


def cleaned(responses: list[str], features: np.ndarray) -> list[str]:
    """CoReVAD's LRC.py."""
    vision = np.stack([features[k : k + 30].astype(np.float32).mean(axis=0) for k in range(0, len(features), 30)])
    fit = vision @ np.stack([text_vector(text) for text in responses]).T
    best = []
    for i in range(len(vision)):
        near = np.arange(max(0, i - 1), min(len(responses), i + 2))
        best.append(responses[near[np.argmax(fit[i, near])]])
    return best


def test_raw_and_cleaned_responses_are_written_and_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lengths = write_data_set(tmp_path, rng, 8, longest=900)
    answers = write_corevad(tmp_path, rng, lengths)
    features = ("encoder=recorded", f"encoder.root={tmp_path / 'features'}", *WORD_VECTORS)
    roots = ("method=corevad", "data=ucf_crime", f"data.root={tmp_path}", "vlm=recorded")
    first = run(tmp_path / "run", *roots, f"vlm.root={tmp_path / 'outputs'}", *features)
    out = tmp_path / "out"
    assert main([str(first), "--layout", "corevad", "--out", str(out)]) == 0
    assert read_json(out / "outputs/VLM_responses_ucf.json") == answers
    assert read_json(out / "outputs/VLM_responses_LRC_ucf.json") == {
        name: cleaned(texts, np.load(tmp_path / f"features/{name}_CLIP_features.npy"))
        for name, texts in answers.items()
    }
    both = (*roots, f"vlm.root={out / 'outputs'}", *features)
    again = run(tmp_path / "again", *both, "vlm.verdict=VLM_responses_ucf")
    from_cleaned = run(tmp_path / "cleaned", *both, "vlm.verdict=VLM_responses_LRC_ucf", "stages.clean=null")
    assert load_run(first).metrics["roc_auc"] == load_run(again).metrics["roc_auc"]
    for video in lengths:
        expected = load_run(first).track(video).tolist()
        assert load_run(again).track(video).tolist() == expected
        assert load_run(from_cleaned).track(video).tolist() == expected


def test_recorded_responses_that_a_run_does_not_clean_stay_cleaned_ones(tmp_path: Path, shared: Path) -> None:
    recorded = shared / "recorded"
    roots = (f"data.root={recorded / 'urf/ucf_crime'}", f"vlm.root={recorded / 'corevad'}", "limit=20")
    folder = run(tmp_path / "run", "experiment=corevad_ucf_lavad", *roots)
    assert main([str(folder), "--layout", "corevad"]) == 0
    (file,) = (folder / "export/corevad").rglob("*.json")
    ours, theirs = read_json(file), read_json(recorded / "corevad/VLM_responses_LRC_ucf.json")
    assert file.name == "VLM_responses_LRC_ucf.json"
    assert len(ours) == 20
    assert ours == {video: [" ".join(text.split()) for text in theirs[video]] for video in ours}


def test_names_lose_their_hash_as_in_the_authors_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/test.txt").write_text("v=a__#1_label_A 0 99 4\n")
    (tmp_path / "annotations/Temporal.txt").write_text("v=a__#1_label_A A -1 -1\n")
    write_json(tmp_path / "VLM_responses_xd.json", {"v=a__1_label_A": [f"Normal scenes. {sentence(rng)}."] * 4})
    folder = run(
        tmp_path / "run", "experiment=corevad_xd", f"data.root={tmp_path}", f"vlm.root={tmp_path}",
        "vlm.verdict=VLM_responses_xd", "protocol=lavad",
    )  # fmt: skip
    assert main([str(folder), "--layout", "corevad", "--out", str(tmp_path / "out")]) == 0
    written = read_json(tmp_path / "out/outputs/VLM_responses_LRC_xd.json")
    assert written == read_json(tmp_path / "VLM_responses_xd.json")


def test_a_run_with_other_segments_or_without_responses_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(7)
    lengths = write_data_set(tmp_path, rng, 2)
    for name, n in lengths.items():
        write_json(tmp_path / f"scores/{name}.json", {str(at): 0.5 for at in range(0, n, 16)})
        write_json(tmp_path / f"vera/{name}.json", {str(at): {"score": at // 16 % 2} for at in range(0, n, 16)})
    data = ("data=ucf_crime", f"data.root={tmp_path}")
    scored = run(tmp_path / "scored", "method=scored", f"scores.root={tmp_path / 'scores'}", *data)
    vera = run(
        tmp_path / "run", "method=vera", "window=every16", "vlm=recorded", f"vlm.root={tmp_path}", "vlm.verdict=vera",
        "refinement=none", *data,
    )  # fmt: skip
    for folder, message in ((scored, "has no responses of a VLM about"), (vera, "are not 30 frames each")):
        assert main([str(folder), "--layout", "corevad", "--out", str(tmp_path / "out")]) == DataError.exit_status
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_a_live_run_is_replayed_from_its_own_files(tmp_path: Path) -> None:
    """The built-in models on two synthetic videos; only the encoder runs again."""
    data = ("data=synthetic", f"data.cache_dir={tmp_path / 'videos'}", "data.videos=2", "data.seconds=20")
    live = run(tmp_path / "live", "method=corevad", *data)
    out = tmp_path / "out"
    assert main([str(live), "--layout", "corevad", "--out", str(out)]) == 0
    files = ("vlm=recorded", f"vlm.root={out / 'outputs'}", "vlm.verdict=VLM_responses_synthetic")
    replay = run(tmp_path / "replay", "method=corevad", "encoder=tiny_clip", *files, *data)
    for video in load_run(live).run.videos:
        assert load_run(live).track(video).tolist() == load_run(replay).track(video).tolist()
    responses = read_json(out / "outputs/VLM_responses_synthetic.json")
    assert {len(texts) for texts in responses.values()} == {7}
