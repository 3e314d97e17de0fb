"""A stream is scored as the causal run of the finished file: the same questions, the same scores, as they come."""

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
from sources import served, written

from vaa.cache import AnswerCache
from vaa.data.synthetic import SyntheticDataset
from vaa.engines.local import LocalEngine
from vaa.errors import VaaError
from vaa.models.base import Model
from vaa.pipeline import analyse
from vaa.streaming.stream import Stream
from vaa.streaming.watch import watch
from vaa.types import Answer, Dataset, NoAnswer, Query

HOUSE = Path(__file__).parents[2]
Make = Callable[..., Stream]
METHODS = {
    "corevad": ["position=none"],
    "vera": ["position=none", "refinement.share=0.4"],
    "plain": ["refinement=retrieval", "smoothing=savgol", "smoothing.size=5", "stages.ask=null", "readout=eleven"],
    "urf": [*(f"stages.{name}=null" for name in ("suspect", "tag", "usable", "gate", "reconsider"))],
}


@dataclass
class Counting:
    """The local engine; counts what is asked, and the frames of the stream that are kept at the time."""

    asked: int = 0
    kept: int = 0
    _local: LocalEngine = field(default_factory=LocalEngine)

    def ask(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        self.asked += len(queries)
        folder = queries[0].video.path
        self.kept = max(self.kept, len(list(folder.iterdir())) if folder.is_dir() else 0)
        return self._local.ask(model, queries)

    def release(self, model: Model) -> None:
        self._local.release(model)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return SyntheticDataset(
        root=str(tmp_path_factory.mktemp("world")), split="test", videos=1, seconds=24.0, fps=10.0, size=128
    ).load()


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HOUSE)  # the tiny checkpoints' paths are relative to it


def stages(method: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(HOUSE / "conf"), version_base="1.3"):
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
    made, live, whole = stages(method, "online.look_back=4"), Counting(), Counting()
    (video,) = world.videos
    result = analyse(world.videos, {}, made, whole, AnswerCache(None))
    watched = watch(stream(url=str(video.path), late=3.0), made, live, tmp_path, 0.5)
    before = list(made)[list(made).index("arrive") - 1]
    report = result.history[video.id][before]
    assert report.track is not None
    found = read(tmp_path)
    assert [entry["score"] for entry in found] == report.track.values.tolist()
    assert [entry["frames"] for entry in found] == [[segment.start, segment.stop] for segment in report.segments]
    assert len(set(report.track.values)) > 2
    assert whole.asked <= live.asked <= 1.2 * whole.asked  # equal texts are asked again when they are long gone
    longest = max(segment.stop - segment.start for segment in report.segments)
    assert live.kept <= 2 * longest + 3.0 * video.fps + 1
    assert (watched.segments, watched.failed, watched.connections, watched.lost) == (len(found), 0, 1, 0)
    assert len(capsys.readouterr().out.splitlines()) == len(found)


@pytest.mark.slow
def test_what_comes_later_changes_no_score_of_a_whole_method(world: Dataset) -> None:
    made, cache = stages("corevad"), AnswerCache(None)
    (video,) = world.videos
    whole = analyse([video], {}, made, LocalEngine(), cache).reports[video.id].track
    assert whole is not None
    for n in (95, 151):
        cut = analyse([replace(video, n_frames=n)], {}, made, LocalEngine(), cache).reports[video.id].track
        assert cut is not None
        known = n - 1 - int(cut.starts[0])  # the last frame is the end of a segment that is cut
        assert cut.values[:known].tolist() == whole.values[:known].tolist()
        assert cut.starts[0] == whole.starts[0] == 29


@pytest.mark.slow
def test_a_source_that_drops_begins_anew(transport: Path, stream: Make, tmp_path: Path) -> None:
    with served([transport.read_bytes()] * 2) as url, pytest.raises(VaaError, match="no frame for 1 s"):
        watch(stream(url=url, patience=1.0), stages("corevad"), LocalEngine(), tmp_path, 0.5)
    found = read(tmp_path)
    assert {entry["connection"] for entry in found} == {1, 2}
    first, second = ([e for e in found if e["connection"] == k] for k in (1, 2))
    assert [e["frames"] for e in first] == [e["frames"] for e in second]
    assert first[0]["frames"] == [0, 30]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=scored", "scores.root=."], "window, and causal=true"),
        (["method=corevad", "position=none"], "window, and causal=true"),
    ],
)
def test_what_is_no_causal_run_is_refused(stream: Make, tmp_path: Path, overrides: list[str], message: str) -> None:
    with initialize_config_dir(str(HOUSE / "conf"), version_base="1.3"):
        made = instantiate(compose("config", overrides), _convert_="all")["stages"]
    with pytest.raises(VaaError, match=message):
        watch(stream(url="x"), made, LocalEngine(), tmp_path, 0.5)


@pytest.mark.slow
def test_run_py_watches_until_control_c(transport: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.ts"
    command = [sys.executable, str(HOUSE / "run.py"), "data=stream", f"data.url={path}", "data.follow=true",
               "data.patience=600", "causal=true", "position=none", f"hydra.run.dir={tmp_path / 'run'}"]  # fmt: skip
    with written(path, transport.read_bytes(), 20), subprocess.Popen(
        command, cwd=HOUSE, env={**os.environ, "WANDB_MODE": "disabled"}, stdout=subprocess.PIPE,
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
    said = "".join(lines)
    assert process.returncode == 0, said
    assert "built-in tiny model" in said
    assert "segments scored, 0 not, 1 connections, 0 frames lost" in said
    assert "Traceback" not in said
    assert read(tmp_path / "run")[0]["frames"] == [0, 30]


def test_run_py_says_that_a_stream_wants_a_causal_method(tmp_path: Path) -> None:
    command = [sys.executable, str(HOUSE / "run.py"), "data=stream", "data.url=x.ts", f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "causal=true" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
