"""engine=ray on its own cluster: the same answers as engine=local, also when a worker is lost."""

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
from cpu_models import cpu_encoder, cpu_vlm
from making import recorded_model

from vaa import process
from vaa.engines.base import LocalEngine
from vaa.engines.ray import RayEngine
from vaa.errors import ModelError
from vaa.types import Answer, ChooseQuery, EmbedQuery, Floats, GenerateQuery, NoAnswer, Query, Video

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]
TIMEOUT = 60.0  # seconds to wait for a condition; a busy machine is slow
ENGINE = RayEngine(address=None, workers=2, gpus=None, cpus=0.5, chunk=4, attempts=2)


@dataclass(frozen=True)
class Echo:
    """Answers each text in capitals; some texts make it fail.

    It writes a file to `folder` for each process it runs in, and waits until it runs in `processes` of them.
    """

    folder: str
    identity: str = "echo"
    pause: float = 0.0
    processes: int = 1

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        (Path(self.folder) / str(os.getpid())).touch()
        wait_for(lambda: len(list(Path(self.folder).iterdir())) >= self.processes)
        for query in queries:
            time.sleep(self.pause)
            if query.text == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            if query.text == "error":
                raise ModelError("checkpoint 'x' does not exist: give another one")
            if query.text == "defect":
                raise ZeroDivisionError("division by zero")
            if query.text == "warn":
                logging.getLogger("vaa").warning("slow attention is used")
            yield NoAnswer("damaged video") if query.text == "unreadable" else query.text.upper()

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        raise NotImplementedError

    def release(self) -> None:
        """Nothing to free."""


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def workers() -> list[psutil.Process]:
    """The worker processes of this test's cluster."""
    workers = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.name().startswith("ray::Worker") or "ray::Worker" in " ".join(child.cmdline()):
                workers.append(child)
        except psutil.Error:
            continue
    return workers


def ended(processes: Sequence[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=TIMEOUT)[1]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    if not ray.is_initialized():  # only tests ran whose runs are processes of their own
        return
    cluster = psutil.Process().children(recursive=True)
    assert cluster
    ray.shutdown()
    assert ended(cluster)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    echo = Echo(str(tmp_path))
    yield echo
    ENGINE.release(echo)
    assert ended(workers())


def make_queries(*texts: str) -> list[Query]:
    return [
        GenerateQuery(
            purpose="any", video=Video("v", Path("v.mp4"), 99, 10.0), at=k, frames=(), text=text, max_new_tokens=8
        )
        for k, text in enumerate(texts)
    ]


def test_answers_come_in_order_from_several_processes(echo: Echo) -> None:
    queries = make_queries(*(f"q{k}" for k in range(39)), "unreadable")
    both = replace(echo, processes=2)
    answers = list(ENGINE.answer(both, queries))
    assert answers[:39] == [f"Q{k}" for k in range(39)]
    assert answers[39] == NoAnswer("damaged video")
    assert len(list(Path(echo.folder).iterdir())) == 2
    ENGINE.release(both)
    assert list(ENGINE.answer(echo, [])) == []


def test_the_queries_of_a_killed_worker_are_answered_by_another(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    slow = replace(echo, pause=0.1)
    stream = ENGINE.answer(slow, make_queries(*(f"q{k}" for k in range(40))))
    answers = [next(stream)]
    victims = [int(file.name) for file in Path(echo.folder).iterdir()]
    os.kill(victims[0], signal.SIGKILL)
    answers += stream
    assert answers == [f"Q{k}" for k in range(40)]
    assert "A worker was lost; its 4 queries are sent again" in caplog.text
    ENGINE.release(slow)


def test_a_query_that_ends_every_worker_has_no_answer_and_the_others_do(echo: Echo) -> None:
    texts = [f"q{k}" for k in range(10)]
    texts[6] = "deadly"
    answers = list(ENGINE.answer(echo, make_queries(*texts)))
    assert [answer for k, answer in enumerate(answers) if k != 6] == [f"Q{k}" for k in range(10) if k != 6]
    assert isinstance(answers[6], NoAnswer)
    assert "v.mp4: 2 worker processes ended while answering the query for frame 6" in answers[6].reason


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("error", ModelError, "checkpoint 'x' does not exist: give another one"),
        ("defect", ZeroDivisionError, "division by zero"),
    ],
)
def test_an_error_in_a_worker_is_raised_unchanged_and_ends_the_workers(
    echo: Echo, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        list(ENGINE.answer(echo, make_queries("fine", text)))
    assert str(caught.value) == message
    assert ended(workers())


def test_closing_the_stream_of_answers_ends_the_workers(echo: Echo) -> None:
    stream = ENGINE.answer(replace(echo, pause=0.2), make_queries(*(f"q{k}" for k in range(40))))
    next(stream)
    wait_for(lambda: len(workers()) == 2)  # the second may still be starting
    running = workers()
    stream.close()  # type: ignore[attr-defined]
    assert ended(running)


def test_the_workers_of_another_model_are_ended_first(echo: Echo) -> None:
    other = replace(echo, identity="other")
    assert list(ENGINE.answer(echo, make_queries("a"))) == ["A"]
    assert list(ENGINE.answer(echo, make_queries("b"))) == ["B"]
    assert len(list(Path(echo.folder).iterdir())) == 1  # the same process
    running = workers()
    assert list(ENGINE.answer(other, make_queries("b"))) == ["B"]
    assert ended(running)
    ENGINE.release(other)


def test_a_warning_of_the_workers_is_logged_once(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    list(ENGINE.answer(echo, make_queries(*["warn"] * 12)))
    assert caplog.messages == ["slow attention is used"]


def frames_of(clip: Path) -> list[Query]:
    video = Video("clip", clip, 25, 10.0)
    text = "Frame: <image> what happens here"
    return [
        GenerateQuery(purpose="look", video=video, at=k, frames=(k,), text=text, max_new_tokens=6) for k in range(24)
    ]


def test_the_tiny_vlm_gives_the_same_answers_although_a_worker_is_killed(
    internvl: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = cpu_vlm(internvl, batch_size=2, workers=None)
    queries = frames_of(clip)
    expected = list(LocalEngine().answer(model, queries))
    assert len({*expected}) > 1
    with caplog.at_level(logging.INFO, logger="vaa"):
        stream = ENGINE.answer(model, queries)
        answers = [next(stream)]
        os.kill(workers()[-1].pid, signal.SIGKILL)
        answers += stream
    assert answers == expected
    messages = [record.message for record in caplog.records if "waiting for frames" in record.message]
    assert [text.partition(" in ")[0] for text in messages] == [f"Time of all workers: {len(queries)} queries"]
    ENGINE.release(model)
    model.release()


def test_embeddings_are_the_same(clip_checkpoint: Path, clip: Path) -> None:
    model = cpu_encoder(clip_checkpoint)
    queries = [EmbedQuery(video=query.video, at=query.at, frames=query.frames) for query in frames_of(clip)]
    expected, vectors = list(LocalEngine().answer(model, queries)), list(ENGINE.answer(model, queries))
    np.testing.assert_allclose(np.stack(vectors), np.stack(expected), rtol=0, atol=1e-6)  # type: ignore[arg-type]
    ENGINE.release(model)
    model.release()


def run(folder: Path, engine: list[str]) -> dict[str, object]:
    """File name -> report of a run of run.py in its own process; checks that no process of it is left."""
    small = ["data.videos=2", "data.seconds=20", "cache=null", "plots=false", "page=null"]
    command = [sys.executable, str(PROJECT / "run.py"), "method=corevad", *engine, *small]
    environment = {**os.environ, "WANDB_MODE": "disabled", "VAA_TEST": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert ended([candidate for candidate in psutil.process_iter() if has_mark(candidate, str(folder))])
    newest = max((folder / "outputs/corevad").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return {file.name: json.loads(file.read_text()) for file in sorted((newest / "reports").iterdir())}


def has_mark(candidate: psutil.Process, mark: str) -> bool:
    try:
        return candidate.environ().get("VAA_TEST") == mark
    except psutil.Error:
        return False


@pytest.mark.long
def test_a_whole_run_gives_the_same_texts(tmp_path: Path) -> None:
    expected = run(tmp_path, [])
    reports = run(tmp_path, ["engine=ray", "engine.workers=2", "engine.cpus=0.5"])
    assert len(expected) == 2
    assert texts_of(expected) == texts_of(reports)


def texts_of(reports: dict[str, object]) -> list[str]:
    """All texts, in order; numbers may differ in their last digits."""
    if isinstance(reports, str):
        return [reports]
    parts = reports.values() if isinstance(reports, dict) else reports if isinstance(reports, list) else ()
    return [text for part in parts for text in texts_of(part)]


def test_control_c_collects_the_chunks_being_answered(echo: Echo) -> None:
    answers: list[Answer | NoAnswer] = []
    stream = ENGINE.answer(replace(echo, pause=0.1), make_queries(*(f"q{k}" for k in range(40))))
    with pytest.raises(KeyboardInterrupt), process.graceful_interrupts():
        interrupt_and_collect(stream, answers)
    assert answers == [f"Q{k}" for k in range(len(answers))]
    assert 4 <= len(answers) < 40
    assert ended(workers())


def interrupt_and_collect(stream: Iterator[Answer | NoAnswer], answers: list[Answer | NoAnswer]) -> None:
    answers.append(next(stream))
    signal.raise_signal(signal.SIGINT)
    while True:
        answers.append(next(stream))


def test_recorded_answers_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "VLM_responses.json").write_text(json.dumps({"v": ["Normal scenes.", "Anomalous scenes."]}))
    model = recorded_model(tmp_path)
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
    expected, answers = list(LocalEngine().answer(model, queries)), list(ENGINE.answer(model, queries))
    assert answers == expected
    assert answers[:2] == ["Normal scenes.", "Anomalous scenes."]
    assert isinstance(answers[2], NoAnswer)
    ENGINE.release(model)
