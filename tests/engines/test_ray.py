"""engine=ray on a cluster of its own: the same answers as here, and nothing is lost with a worker."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from vaa import process as interrupt
from vaa.engines.local import LocalEngine
from vaa.engines.ray import RayEngine
from vaa.errors import VaaError
from vaa.models.recorded import RecordedModel
from vaa.models.transformers.encoder import ClipEncoder
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import Answer, GenerateQuery, NoAnswer, Query, Video

pytestmark = pytest.mark.slow
HOUSE = Path(__file__).parents[2]
BOUND = 60.0  # seconds until a condition is given up that a busy machine meets late
ENGINE = RayEngine(address=None, workers=2, gpus=None, cpus=0.5, chunk=4, attempts=2)


@dataclass(frozen=True)
class Echo:
    """Answers in capitals; some texts make it do other things. `folder` holds a file for each process it was in.

    It answers nothing before it was called in `processes` of them.
    """

    folder: str
    identity: str = "echo"
    pause: float = 0.0
    processes: int = 1

    def generate(self, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        (Path(self.folder) / str(os.getpid())).touch()
        wait_for(lambda: len(list(Path(self.folder).iterdir())) >= self.processes)
        for query in queries:
            time.sleep(self.pause)
            if query.text == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            if query.text == "wrong":
                raise VaaError("checkpoint 'x' is not there: give another one")
            if query.text == "defect":
                raise ZeroDivisionError("one by nothing")
            if query.text == "loud":
                logging.getLogger("vaa").warning("slow attention is used")
            yield NoAnswer("does not play") if query.text == "blind" else query.text.upper()

    def release(self) -> None:
        """Nothing is held."""


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def workers() -> list[psutil.Process]:
    """The processes of our actors."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("ray::Worker") or "ray::Worker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(processes: Sequence[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=BOUND)[1]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    mine = psutil.Process().children(recursive=True)
    assert mine
    ray.shutdown()
    assert gone(mine)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    echo = Echo(str(tmp_path))
    yield echo
    ENGINE.release(echo)
    assert gone(workers())


def texts(*said: str) -> list[Query]:
    return [
        GenerateQuery(
            purpose="tell", video=Video("v", Path("v.mp4"), 99, 10.0), at=k, frames=(), text=text, max_new_tokens=8
        )
        for k, text in enumerate(said)
    ]


def test_answers_come_in_order_from_several_processes_and_what_cannot_be_seen_is_unanswered(echo: Echo) -> None:
    queries = texts(*(f"q{k}" for k in range(39)), "blind")
    both = replace(echo, processes=2)
    answers = list(ENGINE.ask(both, queries))
    assert answers[:39] == [f"Q{k}" for k in range(39)]
    assert answers[39] == NoAnswer("does not play")
    assert len(list(Path(echo.folder).iterdir())) == 2
    ENGINE.release(both)
    assert list(ENGINE.ask(echo, [])) == []


def test_a_worker_killed_from_outside_loses_nothing(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    slow = replace(echo, pause=0.1)
    stream = ENGINE.ask(slow, texts(*(f"q{k}" for k in range(40))))
    answers = [next(stream)]
    victims = [int(file.name) for file in Path(echo.folder).iterdir()]
    os.kill(victims[0], signal.SIGKILL)
    answers += stream
    assert answers == [f"Q{k}" for k in range(40)]
    assert "A worker was lost over 4 questions" in caplog.text
    ENGINE.release(slow)


def test_a_question_nobody_survives_is_reported_and_the_others_are_answered(echo: Echo) -> None:
    said = [f"q{k}" for k in range(10)]
    said[6] = "deadly"
    answers = list(ENGINE.ask(echo, texts(*said)))
    assert [answer for k, answer in enumerate(answers) if k != 6] == [f"Q{k}" for k in range(10) if k != 6]
    assert isinstance(answers[6], NoAnswer)
    assert "v.mp4: the process that was asked about frame 6 ended, 2 times over" in answers[6].reason


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("wrong", VaaError, "checkpoint 'x' is not there: give another one"),
        ("defect", ZeroDivisionError, "one by nothing"),
    ],
)
def test_an_error_ends_the_run_with_its_own_words_and_the_workers_go(
    echo: Echo, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        list(ENGINE.ask(echo, texts("fine", text)))
    assert str(caught.value) == message
    assert gone(workers())


def test_breaking_off_ends_the_workers(echo: Echo) -> None:
    stream = ENGINE.ask(replace(echo, pause=0.2), texts(*(f"q{k}" for k in range(40))))
    next(stream)
    wait_for(lambda: len(workers()) == 2)  # the second may still be starting
    mine = workers()
    stream.close()  # type: ignore[attr-defined]
    assert gone(mine)


def test_another_models_workers_make_room(echo: Echo) -> None:
    other = replace(echo, identity="other")
    assert list(ENGINE.ask(echo, texts("a"))) == ["A"]
    assert list(ENGINE.ask(echo, texts("b"))) == ["B"]
    assert len(list(Path(echo.folder).iterdir())) == 1  # the same process
    mine = workers()
    assert list(ENGINE.ask(other, texts("b"))) == ["B"]
    assert gone(mine)
    ENGINE.release(other)


def test_what_a_worker_warns_of_is_said_once(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    list(ENGINE.ask(echo, texts(*["loud"] * 12)))
    assert caplog.messages == ["slow attention is used"]


def frames_of(clip: Path) -> list[Query]:
    video = Video("clip", clip, 25, 10.0)
    text = "Frame: <image> what happens here"
    return [
        GenerateQuery(purpose="look", video=video, at=k, frames=(k,), text=text, max_new_tokens=6) for k in range(24)
    ]


def test_the_tiny_vlm_answers_as_it_does_here_though_a_worker_is_killed(
    internvl: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TransformersVLM(
        str(internvl), None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 2, "decord", None, "pil"
    )
    queries = frames_of(clip)
    here = list(LocalEngine().ask(model, queries))
    assert len({*here}) > 1
    with caplog.at_level(logging.INFO, logger="vaa"):
        stream = ENGINE.ask(model, queries)
        there = [next(stream)]
        os.kill(workers()[-1].pid, signal.SIGKILL)
        there += stream
    assert there == here
    told = [record.message for record in caplog.records if "waiting for pixels" in record.message]
    assert [line.partition(" in ")[0] for line in told] == [f"The workers' time, added up: {len(queries)} questions"]
    ENGINE.release(model)
    model.release()


def test_vectors_are_the_same(clip_checkpoint: Path, clip: Path) -> None:
    means = [0.5, 0.5, 0.5]
    model = ClipEncoder(str(clip_checkpoint), None, "float32", "cpu", means, means, "bicubic", 4, "decord", 1, 0, "pil")
    queries = [replace(query, text="", max_new_tokens=0) for query in frames_of(clip)]
    here, there = list(LocalEngine().ask(model, queries)), list(ENGINE.ask(model, queries))
    np.testing.assert_allclose(np.stack(there), np.stack(here), rtol=0, atol=1e-6)  # type: ignore[arg-type]
    ENGINE.release(model)
    model.release()


def run(folder: Path, engine: list[str]) -> dict[str, object]:
    """What a run of run.py in a process of its own found, report by report; no process may be left of it."""
    small = ["data.videos=2", "data.seconds=20", "cache=null", "plots=false", "page=null"]
    command = [sys.executable, str(HOUSE / "run.py"), "method=corevad", *engine, *small]
    environment = {**os.environ, "WANDB_MODE": "disabled", "VAA_TEST": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert gone([process for process in psutil.process_iter() if marked(process, str(folder))])
    newest = max((folder / "outputs/corevad").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return {file.name: json.loads(file.read_text()) for file in sorted((newest / "reports").iterdir())}


def marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("VAA_TEST") == mark
    except psutil.Error:
        return False


def test_a_whole_run_is_the_same_run(tmp_path: Path) -> None:
    here = run(tmp_path, [])
    there = run(tmp_path, ["engine=ray", "engine.workers=2", "engine.cpus=0.5"])
    assert len(here) == 2
    assert answers(here) == answers(there)


def answers(reports: dict[str, object]) -> list[str]:
    """Every text in them, in order; numbers may differ in their last digits."""
    if isinstance(reports, str):
        return [reports]
    parts = reports.values() if isinstance(reports, dict) else reports if isinstance(reports, list) else ()
    return [text for part in parts for text in answers(part)]


def test_control_c_takes_in_what_is_under_way(echo: Echo) -> None:
    answers: list[Answer | NoAnswer] = []
    stream = ENGINE.ask(replace(echo, pause=0.1), texts(*(f"q{k}" for k in range(40))))
    with pytest.raises(KeyboardInterrupt), interrupt.graceful_interrupts():
        press_and_read_on(stream, answers)
    assert answers == [f"Q{k}" for k in range(len(answers))]
    assert 4 <= len(answers) < 40
    assert gone(workers())


def press_and_read_on(stream: Iterator[Answer | NoAnswer], answers: list[Answer | NoAnswer]) -> None:
    answers.append(next(stream))
    signal.raise_signal(signal.SIGINT)
    while True:
        answers.append(next(stream))


def test_recorded_answers_come_through_it_too(tmp_path: Path) -> None:
    (tmp_path / "VLM_responses.json").write_text(json.dumps({"v": ["Normal scenes.", "Anomalous scenes."]}))
    model = RecordedModel(str(tmp_path), None, None, None, None, None, None)
    queries = [
        GenerateQuery(
            purpose="verdict",
            video=Video("v", Path("v.mp4"), 90, 10.0),
            at=at,
            frames=(at,),
            text="?",
            max_new_tokens=8,
        )
        for at in (0, 30, 60)
    ]
    here, there = list(LocalEngine().ask(model, queries)), list(ENGINE.ask(model, queries))
    assert there == here
    assert there[:2] == ["Normal scenes.", "Anomalous scenes."]
    assert isinstance(there[2], NoAnswer)
    ENGINE.release(model)
