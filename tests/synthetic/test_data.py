from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaa.data.synthetic import SyntheticDataset
from vaa.errors import VaaError
from vaa.types import Dataset
from vaa.video import sources


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SyntheticDataset:
    return SyntheticDataset(
        root=str(tmp_path_factory.mktemp("synthetic")), split="val", videos=3, seconds=16.0, fps=10.0, size=128
    )


@pytest.fixture(scope="module")
def dataset(made: SyntheticDataset) -> Dataset:
    return made.load()


def test_videos_are_files_as_long_as_the_catalogue_says(dataset: Dataset) -> None:
    assert [v.n_frames for v in dataset.videos] == [160] * 3
    for each in dataset.videos:
        assert sources.probe(each.path, "pyav") == (160, 10.0)
    frames = sources.frames(dataset.videos[0], [0, 80, 159], "pyav")
    assert frames.shape == (3, 128, 128, 3)


def test_the_truth_serves_detection_localisation_and_understanding(dataset: Dataset) -> None:
    truths = [dataset.truths[v.id] for v in dataset.videos]
    assert [bool(truth.spans) for truth in truths] == [True, False, True]
    for truth in truths:
        inside = {f for span in truth.spans for f in range(span.start, span.end + 1)}
        assert {box.frame for box in truth.boxes} <= inside
        assert len(truth.boxes) >= 0.8 * len(inside)
        assert all(0 <= span.start <= span.end < 160 for span in truth.spans)
        assert all(0 <= edge <= 128 for box in truth.boxes for edge in box.xyxy)
        assert truth.label == (truth.spans[0].label if truth.spans else "Normal")
        assert ("normal" in truth.text) == (not truth.spans)


def test_the_second_load_draws_nothing(made: SyntheticDataset, dataset: Dataset) -> None:
    before = dataset.videos[0].path.stat().st_mtime_ns
    assert made.load().truths == dataset.truths
    assert dataset.videos[0].path.stat().st_mtime_ns == before


def test_splits_differ(made: SyntheticDataset, dataset: Dataset) -> None:
    other = SyntheticDataset(root=made.root, split="test", videos=1, seconds=16.0, fps=10.0, size=128).load()
    mine = sources.frames(dataset.videos[0], [50], "pyav")
    assert not np.array_equal(mine, sources.frames(other.videos[0], [50], "pyav"))


def test_nothing_unfinished_is_left_behind(made: SyntheticDataset, dataset: Dataset) -> None:
    assert not list(Path(made.root).glob("*.tmp"))


@pytest.mark.parametrize(("split", "size", "said"), [("dev", 128, "data.split=dev"), ("val", 100, "data.size=100")])
def test_a_wrong_field_is_named(tmp_path: Path, split: str, size: int, said: str) -> None:
    with pytest.raises(VaaError, match=said):
        SyntheticDataset(root=str(tmp_path), split=split, videos=1, seconds=16.0, fps=10.0, size=size).load()
