from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vaa.doctor import estimate as estimates
from vaa.doctor.estimate import ModelWork, count_queries, estimate
from vaa.doctor.machine import matrix_rate
from vaa.stages.base import Stage
from vaa.types import Video

CONF = str(Path(__file__).parents[2] / "conf")


def stages(*overrides: str) -> dict[str, Stage]:
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config", [*overrides, "data=folder", "data.root=."])
    every = instantiate(config.stages, _convert_="all")
    return {name: stage for name, stage in every.items() if stage is not None}


def videos(*lengths: int) -> list[Video]:
    return [Video(f"v{k}", Path(f"v{k}.mp4"), n, 30.0) for k, n in enumerate(lengths)]


def counts(method: dict[str, Stage], *lengths: int) -> list[float]:
    return [count for _, count in count_queries(method, videos(*lengths), {})]


def test_queries_are_counted_from_the_windows_of_the_method(caplog: pytest.LogCaptureFixture) -> None:
    assert counts(stages("method=plain", "window=frames30x8"), 300, 95) == [10 + 4]
    assert counts(stages("method=plain", "window=frames30x8", "window.length=100"), 300, 95) == [3 + 1]
    # The frames and descriptions that two stages embed are embedded once.
    assert counts(stages("method=corevad"), 300) == [10, 300 + 10]
    assert counts(stages("method=lavad"), 300)[-1] < 300 + 500  # frames of overlapping windows count once
    assert caplog.records == []  # of the made-up answers


def test_stages_that_depend_on_answers_are_counted_at_most() -> None:
    plain, urf = counts(stages("method=plain", "window=frames30x8"), 3000), counts(stages("method=urf"), 3000)
    assert sum(urf) > 2 * sum(plain)  # captions, ratings, tags, second ratings


def test_many_videos_are_scaled_up() -> None:
    exact = counts(stages("method=plain", "window=frames30x8"), *[300] * 20)
    assert counts(stages("method=plain", "window=frames30x8"), *[300] * 200) == pytest.approx([10 * exact[0]])
    assert counts(stages("method=plain", "window=frames30x8")) == []


def works(method: dict[str, Stage], **fields: Any) -> list[ModelWork]:
    work = {"parameters": 8e9, "tokens": 2000.0, "dtype": "float32", "on_gpu": False, **fields}
    return [ModelWork(model=model, name="some/model", **work) for model, _ in count_queries(method, videos(30), {})]


def test_the_time_is_queries_times_arithmetic_over_the_measured_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    method = stages("method=plain", "window=frames30x8")
    monkeypatch.setattr(estimates, "matrix_rate", lambda dtype, on_gpu: 100e12)
    first, line, last = estimate(works(method), method, videos(90_000), {})
    assert "1 videos, 50 minutes" in first
    # 2 * 8e9 * 2000 / (0.3 * 100e12) = 1.07 s a query, 3,000 queries
    for part in ("some/model: 3,000 queries x 1.1 s = about 53 min", "8e+09 parameters", "30% of the 1e+02 TFLOP/s"):
        assert part in line
    assert "without decoding" in last
    monkeypatch.setattr(estimates, "matrix_rate", lambda dtype, on_gpu: 1e12)
    assert "= about 4 days" in list(estimate(works(method), method, videos(90_000), {}))[1]


def test_the_disk_that_vectors_of_frames_take_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    method = stages("method=corevad")
    monkeypatch.setattr(estimates, "matrix_rate", lambda dtype, on_gpu: 1e12)
    lines = list(estimate(works(method, vector=512), method, videos(100_000), {}))
    assert any("at most 0.21 GB beside the cache" in line for line in lines)  # 103,334 x 513 x 4 bytes
    assert not any("GB" in line for line in estimate(works(method), method, videos(100_000), {}))


def test_the_time_of_a_server_is_not_known() -> None:
    method = stages("method=plain", "window=frames30x8")
    text = "\n".join(estimate(works(method, parameters=None), method, videos(300), {}))
    assert "10 queries; their time is not known" in text


def test_the_rate_of_a_matrix_product_is_measured() -> None:
    assert 1e8 < matrix_rate("float32", on_gpu=False) < 1e15
