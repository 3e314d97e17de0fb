"""Every method runs with any refinement, smoothing and weighting by position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from vaa.cache import AnswerCache
from vaa.data.synthetic import SyntheticDataset
from vaa.engines.base import LocalEngine
from vaa.pipeline import RunResult, analyse
from vaa.stages.base import ModelStage, Transform
from vaa.types import Dataset

CONF = Path(__file__).parents[1] / "conf"


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


REFINEMENTS, SMOOTHINGS, POSITIONS = choices("refinement"), choices("smoothing"), choices("position")
SOURCES = {
    "corevad": [[], ["readout=probability"]],
    "urf": [[]],
    "lavad": [["stages.sample.stride=10"]],
    "vera": [[], ["readout=zero_one", "prompt=vera_ucf_digit"]],
    "probe": [[]],
    "plain": [[], ["readout=eleven"]],
}
WITHOUT_DESCRIPTIONS = ("vera", "probe", "plain")  # only numbers, no sentences for a refinement to compare


@pytest.fixture(scope="module", autouse=True)
def _conf() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def stages(method: str, *overrides: str) -> dict[str, Any]:
    cfg = compose("config", [f"method={method}", *overrides])
    return dict(instantiate(cfg, _convert_="all")["stages"])


def rows(method: str) -> Iterator[tuple[list[str], str, str, str]]:
    """Combinations in which, over all methods, every two choices of different groups occur together."""
    shift = list(SOURCES).index(method)
    for k, smoothing in enumerate(SMOOTHINGS):
        refinement = REFINEMENTS[(k + shift) % len(REFINEMENTS)]
        yield SOURCES[method][k % len(SOURCES[method])], refinement, smoothing, POSITIONS[(k // 2 + shift) % 2]


def test_every_pair_of_choices_occurs() -> None:
    covered = [(m, *row[1:]) for m in SOURCES for row in rows(m)]
    groups = (list(SOURCES), REFINEMENTS, SMOOTHINGS, POSITIONS)
    for i, j in combinations(range(4), 2):
        assert {(row[i], row[j]) for row in covered} == set(product(groups[i], groups[j]))


@pytest.mark.parametrize("method", SOURCES)
def test_a_method_consists_of_the_choices(method: str) -> None:
    for source, refinement, smoothing, position in rows(method):
        chosen = {"refine": f"refinement/{refinement}", "smooth": f"smoothing/{smoothing}"}
        mixed = stages(method, *source, *(name.replace("/", "=") for name in chosen.values()), f"position={position}")
        assert all(isinstance(stage, Transform | ModelStage) for stage in mixed.values())
        places = [list(mixed).index(name) for name in ("score", "refine", "smooth", "frames", "position")]
        assert places == sorted(places)
        for stage, file in chosen.items():
            target = yaml.safe_load((CONF / f"{file}.yaml").read_text(encoding="utf-8"))["_target_"]
            assert target == f"{type(mixed[stage]).__module__}.{type(mixed[stage]).__name__}"


@pytest.mark.parametrize(("method", "readout"), [("corevad", "zero_one"), ("vera", "probability")])
def test_a_readout_that_the_parser_cannot_score_is_refused(method: str, readout: str) -> None:
    with pytest.raises(InstantiationException, match="conf/readout"):
        stages(method, f"readout={readout}")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two videos of twenty seconds, the first with an anomaly."""
    folder = tmp_path_factory.mktemp("dataset")
    return SyntheticDataset(
        cache_dir=str(folder), root=None, split="test", videos=2, seconds=20.0, fps=10.0, size=128
    ).load()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> AnswerCache:
    return AnswerCache(str(tmp_path_factory.mktemp("cache") / "answers.sqlite"))


@pytest.fixture(autouse=True)
def _in_the_project_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF.parent)  # the tiny checkpoints' paths are relative to it


def analysed(dataset: Dataset, cache: AnswerCache, method: str, *overrides: str) -> RunResult:
    return analyse(dataset.videos, dataset.truths, stages(method, *overrides), LocalEngine(), cache)


def assert_complete(result: RunResult, video_count: int = 2) -> None:
    assert result.failures == []
    assert len(result.reports) == video_count
    for report in result.reports.values():
        assert report.track is not None
        assert report.track.values.shape == (report.video.n_frames,)
        assert np.isfinite(report.track.values).all()
        assert report.track.values.min() >= 0
        assert report.track.values.max() <= 1 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("method", SOURCES)
def test_each_method_runs_with_the_tiny_models(dataset: Dataset, cache: AnswerCache, method: str) -> None:
    result = analysed(dataset, cache, method, *SOURCES[method][0])
    assert_complete(result)
    assert sum(report.n_unparsed for report in result.reports.values()) == 0
    assert sum(report.n_answers for report in result.reports.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("method", SOURCES)
def test_each_method_runs_with_every_applicable_refinement(
    dataset: Dataset, cache: AnswerCache, method: str, refinement: str
) -> None:
    position, smoothing = POSITIONS[len(method) % 2], SMOOTHINGS[(len(method) + len(refinement)) % len(SMOOTHINGS)]
    chosen = [f"refinement={refinement}", f"smoothing={smoothing}", f"position={position}", *SOURCES[method][-1]]
    result = analysed(dataset, cache, method, *chosen)
    if method in WITHOUT_DESCRIPTIONS and refinement in ("softmax", "nearest_summaries"):
        assert len(result.failures) == 2
        assert all("no segment has a description" in failure.reason for failure in result.failures)
    else:
        assert_complete(result)


@pytest.mark.slow
def test_choices_change_the_scores_as_expected(dataset: Dataset, cache: AnswerCache) -> None:
    """Similar windows share their scores; the expected scores are computed from the run's queries."""
    plain = analysed(dataset, cache, "plain", "refinement=none")
    mixed = analysed(
        dataset, cache, "plain", "refinement=retrieval", "refinement.fraction=1.0", "refinement.temperature=1e6"
    )
    for video, report in mixed.reports.items():
        scores = plain.history[video]["score"].track
        assert scores is not None
        assert report.track is not None
        np.testing.assert_allclose(report.track.values, math.fsum(scores.values) / len(scores.values), atol=1e-5)


@pytest.mark.slow
def test_lavads_reports_contain_captions_then_summaries(dataset: Dataset, cache: AnswerCache) -> None:
    result = analysed(dataset, cache, "lavad", "stages.sample.stride=10")
    (video, *_) = result.reports
    history = result.history[video]
    captions = {response.description for response in history["describe"].responses}
    assert len(history["describe"].responses) == 20
    assert {response.description for response in history["clean"].responses} <= captions
    for segment, response in zip(history["window"].segments, history["window"].responses, strict=True):
        lines = response.description.split("\n ")
        assert len(lines) == len(segment.frames)
        assert set(lines) <= captions
    assert len(history["summarise"].responses) == len(history["window"].segments) == 13
