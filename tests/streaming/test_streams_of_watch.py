"""A stream gets the same queries and scores as a causal run on the finished file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from live_sources import growing_file, serve

from vaa.cache import AnswerCache
from vaa.data.synthetic import SyntheticDataset
from vaa.engines.base import LocalEngine
from vaa.errors import ConfigError, DataError
from vaa.evaluation.alert_intervals import Hysteresis
from vaa.models.base import Model
from vaa.pipeline import analyse
from vaa.streaming.stream import Stream
from vaa.streaming.watch import watch
from vaa.types import Answer, ChooseQuery, Dataset, GenerateQuery, NoAnswer, Query

HALF = Hysteresis(threshold=0.5, end=0.5)
ROOT = Path(__file__).parents[2]
ROUNDING = 1e-6
"""A stream's embeddings are computed in other batches than a file's, and some kernels (AVX2, SSE) add their terms in
another order: scores differed by 1.2e-7. Scores of different segments are at least 5e-4 apart."""
Make = Callable[..., Stream]
METHODS = {
    "corevad": ["position=none"],
    "watch": ["smoothing=savgol", "smoothing.size=5"],
    "vera": ["position=none", "refinement.fraction=0.4"],
    "plain": ["refinement=retrieval", "smoothing=savgol", "smoothing.size=5", "stages.query=null", "readout=eleven"],
    "urf": [*(f"stages.{name}=null" for name in ("find_window", "tag", "filter_tags", "gate", "rerate"))],
}


@dataclass
class CountingEngine:
    """The local engine; counts the queries of chat models, and the largest number of stored frames of a stream.

    Embeddings are not counted: a file's are of blocks of frames, a stream's of segments.
    """

    n_queries: int = 0
    max_stored: int = 0
    _local: LocalEngine = field(default_factory=LocalEngine)

    def answer(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        self.n_queries += sum(isinstance(query, GenerateQuery | ChooseQuery) for query in queries)
        folder = queries[0].video.path
        self.max_stored = max(self.max_stored, len(list(folder.iterdir())) if folder.is_dir() else 0)
        return self._local.answer(model, queries)

    def release(self, model: Model) -> None:
        self._local.release(model)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return SyntheticDataset(
        cache_dir=str(tmp_path_factory.mktemp("world")),
        root=None,
        split="test",
        videos=1,
        seconds=24.0,
        fps=10.0,
        size=128,
    ).load()


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the paths of the tiny checkpoints are relative


def stages(method: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", [f"method={method}", "causal=true", "decoder=pyav", *METHODS[method], *overrides])
    parts = instantiate(cfg, _convert_="all")
    return dict(parts["online"]({name: stage for name, stage in parts["stages"].items() if stage is not None}))


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_stream_is_scored_as_the_finished_file(
    method: str, world: Dataset, stream: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method_stages = stages(method, "online.look_back=4")
    live, offline = CountingEngine(), CountingEngine()
    (video,) = world.videos
    result = analyse(world.videos, {}, method_stages, offline, AnswerCache(None))
    stats = watch(stream(url=str(video.path), max_delay=3.0), method_stages, live, tmp_path, HALF)
    before = list(method_stages)[list(method_stages).index("delay") - 1]
    report = result.history[video.id][before]
    assert report.track is not None
    entries = read(tmp_path)
    assert [entry["score"] for entry in entries] == pytest.approx(report.track.values.tolist(), abs=ROUNDING)
    assert [entry["frames"] for entry in entries] == [[segment.start, segment.stop] for segment in report.segments]
    assert len(set(report.track.values)) > 2
    assert offline.n_queries <= live.n_queries <= 1.2 * offline.n_queries  # only recent answers are cached
    longest = max(segment.stop - segment.start for segment in report.segments)
    assert live.max_stored <= 2 * longest + 3.0 * video.fps + 1
    assert (stats.segments, stats.failed, stats.connections, stats.lost_frames) == (len(entries), 0, 1, 0)
    assert len(capsys.readouterr().out.splitlines()) == len(entries)


@pytest.mark.slow
def test_later_frames_do_not_change_the_scores_of_a_method(world: Dataset) -> None:
    method, cache = stages("corevad"), AnswerCache(None)
    (video,) = world.videos
    full = analyse([video], {}, method, LocalEngine(), cache).reports[video.id].track
    assert full is not None
    for n in (95, 151):
        cut = analyse([replace(video, n_frames=n)], {}, method, LocalEngine(), cache).reports[video.id].track
        assert cut is not None
        known = n - 1 - int(cut.starts[0])  # the last frame ends a segment that is cut off
        assert cut.values[:known].tolist() == pytest.approx(full.values[:known].tolist(), abs=ROUNDING)
        assert cut.starts[0] == full.starts[0] == 29


@pytest.mark.slow
def test_scoring_starts_again_after_a_reconnect(transport: Path, stream: Make, tmp_path: Path) -> None:
    with serve([transport.read_bytes()] * 2) as url, pytest.raises(DataError, match="no frame for 1 s"):
        watch(stream(url=url, reconnect_timeout=1.0), stages("corevad"), LocalEngine(), tmp_path, HALF)
    entries = read(tmp_path)
    assert {entry["connection"] for entry in entries} == {1, 2}
    first, second = ([e for e in entries if e["connection"] == k] for k in (1, 2))
    assert [e["frames"] for e in first] == [e["frames"] for e in second]
    assert first[0]["frames"] == [0, 30]


@pytest.mark.parametrize("overrides", [["method=scored", "scores.root=."], ["method=corevad", "position=none"]])
def test_a_method_that_is_not_causal_is_refused(stream: Make, tmp_path: Path, overrides: list[str]) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        method_stages = instantiate(compose("config", overrides), _convert_="all")["stages"]
    with pytest.raises(ConfigError, match="causal=true"):
        watch(stream(url="x"), method_stages, LocalEngine(), tmp_path, HALF)


@pytest.mark.slow
def test_run_py_watches_a_stream_until_control_c(transport: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.ts"
    command = [sys.executable, str(ROOT / "run.py"), "data=stream", f"data.url={path}", "data.follow=true",
               "data.reconnect_timeout=600",
               f"hydra.run.dir={tmp_path / 'run'}"]  # fmt: skip
    with growing_file(path, transport.read_bytes(), 20), subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "WANDB_MODE": "disabled"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if len(lines) > 3 and line[:1].isdigit():
                os.kill(process.pid, signal.SIGINT)
                break
        lines += process.stdout
    output = "".join(lines)
    assert process.returncode == 0, output
    assert "built-in tiny model" in output
    assert "data=stream implies causal=true" in output
    assert "segments scored, 0 failed, 1 connections, 0 frames lost" in output
    assert "Traceback" not in output
    assert read(tmp_path / "run")[0]["frames"] == [0, 30]


def test_run_py_refuses_a_stream_with_a_method_that_is_not_causal(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "data=stream", "data.url=x.ts", "causal=false",
               f"hydra.run.dir={tmp_path}"]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert result.returncode == ConfigError.exit_status
    assert "causal=true" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
