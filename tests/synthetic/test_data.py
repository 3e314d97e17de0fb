from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from vaa.data.synthetic import SyntheticDataset
from vaa.errors import ConfigError
from vaa.process import PROJECT_ROOT
from vaa.types import Dataset
from vaa.video import sources


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> SyntheticDataset:
    return SyntheticDataset(
        cache_dir=str(tmp_path_factory.mktemp("synthetic")),
        root=None,
        split="val",
        videos=3,
        seconds=16.0,
        fps=10.0,
        size=128,
    )


@pytest.fixture(scope="module")
def dataset(loader: SyntheticDataset) -> Dataset:
    return loader.load()


def test_videos_are_files_of_the_stated_length(dataset: Dataset) -> None:
    assert [v.n_frames for v in dataset.videos] == [160] * 3
    for each in dataset.videos:
        assert sources.probe(each.path, "pyav") == sources.VideoInfo(160, 10.0)
    frames = sources.frames(dataset.videos[0], [0, 80, 159], "pyav")
    assert frames.shape == (3, 128, 128, 3)


def test_the_ground_truth_has_spans_boxes_and_texts(dataset: Dataset) -> None:
    truths = [dataset.truths[v.id] for v in dataset.videos]
    assert [bool(truth.spans) for truth in truths] == [True, False, True]
    for truth in truths:
        inside = {f for span in truth.spans for f in range(span.start, span.stop)}
        assert {box.frame for box in truth.boxes} <= inside
        assert len(truth.boxes) >= 0.8 * len(inside)
        assert all(0 <= span.start < span.stop <= 160 for span in truth.spans)
        assert all(0 <= edge <= 128 for box in truth.boxes for edge in box.xyxy)
        assert truth.label == (truth.spans[0].label if truth.spans else "Normal")
        assert ("normal" in truth.text) == (not truth.spans)


def test_the_second_load_renders_nothing(loader: SyntheticDataset, dataset: Dataset) -> None:
    before = dataset.videos[0].path.stat().st_mtime_ns
    assert loader.load().truths == dataset.truths
    assert dataset.videos[0].path.stat().st_mtime_ns == before


def test_splits_differ(loader: SyntheticDataset, dataset: Dataset) -> None:
    other = dataclasses.replace(loader, split="test", videos=1).load()
    frame = sources.frames(dataset.videos[0], [50], "pyav")
    assert not np.array_equal(frame, sources.frames(other.videos[0], [50], "pyav"))


def test_no_temporary_folder_remains(loader: SyntheticDataset, dataset: Dataset) -> None:
    assert not list(Path(loader.cache_dir).glob("*.tmp"))


@pytest.mark.parametrize(("split", "size", "message"), [("dev", 128, "data.split=dev"), ("val", 100, "data.size=100")])
def test_an_invalid_field_is_named(tmp_path: Path, split: str, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticDataset(
            cache_dir=str(tmp_path), root=None, split=split, videos=1, seconds=16.0, fps=10.0, size=size
        ).load()


def test_a_folder_of_the_user_is_refused_and_nothing_is_drawn_into_it(tmp_path: Path, clip: Path) -> None:
    fields = yaml.safe_load((PROJECT_ROOT / "conf/data/synthetic.yaml").read_text())
    del fields["_target_"]
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError, match=r"data\.root=.*data=folder data\.root="):
            SyntheticDataset(**{**fields, "root": str(root)})
    assert list(tmp_path.iterdir()) == [clip]


def test_by_default_it_is_rendered_in_the_folder_of_the_cache() -> None:
    data, conf = (
        yaml.safe_load((PROJECT_ROOT / f"conf/{name}.yaml").read_text()) for name in ("data/synthetic", "config")
    )
    assert Path(data["cache_dir"]).parent == Path(conf["cache"]).parent
