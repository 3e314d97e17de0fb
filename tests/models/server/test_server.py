from __future__ import annotations

import gc
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_server import FakeServer, Reply, failed, handle, said, shown, tops
from PIL import Image
from queries import choose_query

from vaa.errors import VaaError
from vaa.models import base
from vaa.models.base import VLM
from vaa.models.server import backoff, messages
from vaa.models.server.model import ServerModel
from vaa.types import Answer, GenerateQuery, NoAnswer, Query, Video
from vaa.video import sources

HOUSE = Path(__file__).parents[3]
KEY = "sk-secret-0123456789abcdef"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def server(fake: FakeServer) -> ServerModel:
    made: ServerModel = handle(fake.url)
    return made


def ask(text: str = "what happens?", *frames: int, path: Path = Path("none.mp4"), **fields: Any) -> GenerateQuery:
    limit = fields.pop("max_new_tokens", 8)
    return GenerateQuery(
        purpose="verdict",
        video=Video("clip", path, 25, 10.0),
        at=0,
        frames=frames,
        text=text,
        max_new_tokens=limit,
        **fields,
    )


def one(server: ServerModel, query: Query | None = None) -> Answer | NoAnswer:
    (result,) = base.answer(server, [query or ask()])
    return result


def reason(result: Answer | NoAnswer) -> str:
    assert isinstance(result, NoAnswer)
    return result.reason


def content(body: dict[str, Any]) -> Any:
    return body["messages"][-1]["content"]


def test_the_request_is_the_question_and_nothing_else(fake: FakeServer, server: ServerModel, clip: Path) -> None:
    query = ask("Frame1: <image>\nFrame2: <image> What?", 0, 20, path=clip, system="Be brief")
    assert one(server, query) == "fine"
    (body,) = fake.bodies
    parts = content(body)
    assert [part.get("text") for part in parts] == ["Frame1: ", None, "\nFrame2: ", None, " What?"]
    seen = sources.frames(query.video, (0, 20), "decord")
    np.testing.assert_array_equal(np.stack(shown(body)), seen)
    assert body == {
        "model": "fake",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": parts}],
        "temperature": 0,
        "max_tokens": 8,
    }


def test_without_marks_the_frames_come_first(fake: FakeServer, server: ServerModel, clip: Path) -> None:
    one(server, ask("What?", 0, 5, 9, path=clip))
    assert [part["type"] for part in content(fake.bodies[0])] == ["image_url"] * 3 + ["text"]


def test_an_llm_is_sent_plain_text_and_what_is_none_is_left_out(fake: FakeServer, server: ServerModel) -> None:
    given = replace(server, temperature=None, top_p=0.5, seed=7, limit="max_completion_tokens", extra={"top_k": 3})
    one(given, ask("Hello"))
    one(given, ask("Bye", max_new_tokens=0))
    common = {"model": "fake", "top_p": 0.5, "seed": 7, "top_k": 3}
    first, second = fake.bodies
    assert first == {**common, "messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": 8}
    assert second == {**common, "messages": [{"role": "user", "content": "Bye"}]}


@pytest.mark.parametrize("image_format", ["jpeg95", "png"])
def test_frames_are_shrunk_and_never_enlarged(
    fake: FakeServer, server: ServerModel, clip: Path, image_format: str
) -> None:
    query = ask("What?", 3, path=clip)
    for side in (48, 1000):
        one(replace(server, image_format=image_format, max_side=side), query)
    small, whole = (shown(body)[0] for body in fake.bodies)
    (frame,) = sources.frames(query.video, (3,), "decord")
    expected = np.asarray(Image.fromarray(frame).resize((48, 32), Image.Resampling.LANCZOS))
    assert (small.shape, whole.shape) == ((32, 48, 3), (64, 96, 3))
    assert np.abs(small.astype(int) - expected).mean() < 3
    assert np.abs(whole.astype(int) - frame).mean() < 3
    assert f"data:image/{image_format.rstrip('59')};base64," in str(content(fake.bodies[0])[0])


@pytest.mark.parametrize(("frames", "marks"), [((0,), 2), ((0, 1), 1), ((), 1)])
def test_as_many_images_are_marked_as_there_are_frames(
    server: ServerModel, clip: Path, frames: tuple[int, ...], marks: int
) -> None:
    with pytest.raises(VaaError, match=f"verdict prompt marks {marks} images for {len(frames)} frames"):
        one(server, ask("<image>" * marks, *frames, path=clip))


def test_a_video_that_cannot_be_decoded_costs_only_its_own_question(
    fake: FakeServer, server: ServerModel, clip: Path
) -> None:
    good, bad = ask("What?", 0, path=clip), ask("What?", 0)
    first, second, third = server.generate([good, bad, good])
    assert (first, third) == ("fine", "fine")
    assert "none.mp4: no such video file" in reason(second)
    assert len(fake.bodies) == 2


def test_answers_come_in_order_whichever_is_ready_first(fake: FakeServer, server: ServerModel) -> None:
    last = threading.Event()

    def script(body: dict[str, Any], before: int) -> Reply:
        if content(body) == "0":
            assert last.wait(5)
        if content(body) == "3":
            last.set()
        return said(f"to {content(body)}")

    fake.script = script
    assert list(server.generate([ask(str(k)) for k in range(20)])) == [f"to {k}" for k in range(20)]


def test_an_answer_is_handed_on_before_the_last_question_is_asked(fake: FakeServer, server: ServerModel) -> None:
    go_on = threading.Event()

    def script(body: dict[str, Any], before: int) -> Reply:
        assert content(body) == "0" or go_on.wait(5)
        return said("fine")

    fake.script = script
    answers = server.generate([ask(str(k)) for k in range(50)])
    assert next(answers) == "fine"
    assert len(fake.bodies) <= 1 + server.concurrency
    go_on.set()
    assert len(list(answers)) == 49


def test_as_many_questions_are_under_way_as_allowed(fake: FakeServer, server: ServerModel) -> None:
    together = threading.Barrier(4)

    def script(body: dict[str, Any], before: int) -> Reply:
        together.wait(5)  # breaks, and the test with it, unless four are there
        return said("fine")

    fake.script = script
    assert len(list(server.generate([ask(str(k)) for k in range(12)]))) == 12
    assert fake.most == 4


def test_who_stops_listening_waits_for_nobody(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: said("fine") if content(body) == "0" else Reply(silent=True)
    answers = server.generate([ask(str(k)) for k in range(50)])
    assert next(answers) == "fine"
    before = threading.active_count()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(answers.close).result(timeout=2)  # type: ignore[attr-defined]
    assert threading.active_count() < before + 1
    assert not any(thread.name == "vaa-server" for thread in threading.enumerate())


PASSING = {
    "429": (failed(429, "slow down", Retry_After="0.01"), "HTTP 429: .*slow down"),
    "500": (failed(500, "a fault"), "HTTP 500: .*a fault"),
    "503": (Reply(503, b"<html>busy</html>", {"Content-Type": "text/html"}), "HTTP 503: .*busy"),
    "half": (replace(said("fine"), half=True), "the connection broke"),
    "garbage": (Reply(200, b"\xff\xfe no json"), "not a chat completion"),
    "page": (Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}), "not a chat completion.*hello"),
    "list": (Reply(200, [1, 2]), "not a chat completion"),
    "error": (Reply(200, {"error": {"message": "overloaded"}}), "not a chat completion.*overloaded"),
    "nothing": (Reply(silent=True), "no answer within timeout=0.4 s"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again(fake: FakeServer, server: ServerModel, name: str) -> None:
    reply, says = PASSING[name]
    server = replace(server, timeout=0.4 if reply.silent else 5)
    fake.script = lambda body, before: reply if before < 2 else said("at last")
    assert one(server) == "at last"
    assert len(fake.bodies) == 3
    fake.script = lambda body, before: reply if content(body) == "bad" else said("fine")
    first, lost, last = server.generate([ask("a"), ask("bad"), ask("b")])
    assert (first, last) == ("fine", "fine")
    assert isinstance(lost, NoAnswer)
    assert re.search(says + r".*\(attempt 3 of 3\)", lost.reason), lost.reason


def test_the_wait_doubles_and_the_server_may_wish_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = [[backoff.pause(attempt, 1.0, 0.0) for _ in range(200)] for attempt in (1, 2, 3, 30)]
    assert all(low / 2 <= min(span) < max(span) <= low for span, low in zip(spans, (1, 2, 4, 60), strict=True))
    assert backoff.pause(1, 1.0, 7.0) == 7.0
    assert backoff.wished({}) == 0
    assert backoff.wished({"retry-after": "3"}) == 3
    assert backoff.wished({"retry-after": "3", "retry-after-ms": "250"}) == 0.25
    assert backoff.wished({"retry-after": "soon"}) == 0
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    assert backoff.wished({"retry-after": formatdate(1_700_000_020, usegmt=True)}) == 20
    assert backoff.wished({"retry-after": formatdate(1_600_000_000, usegmt=True)}) == 0


def test_retry_after_is_waited_for_and_said(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    waited: list[float] = []
    monkeypatch.setattr(backoff, "pause", lambda attempt, base, wished: waited.append(wished) or 0.0)
    fake.script = lambda body, before: failed(429, "slow down", Retry_After="17") if before < 2 else said("fine")
    assert one(server) == "fine"
    assert waited == [17, 17]
    assert caplog.text.count("asks to wait 17 s: HTTP 429: slow down") == 2


def test_a_server_that_wants_a_day_is_not_waited_for(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: failed(429, "the quota of the day is spent", Retry_After="86400")
    assert "quota of the day" in reason(one(server))
    assert len(fake.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (said(None, refusal="I will not look at this."), "the model refused: I will not look at this"),
        (said("It", finish="content_filter"), "content filter stopped the answer"),
        (failed(400, "filtered", code="content_filter"), "content filter refused the question"),
        (said(""), "the answer is empty (finish_reason stop)"),
        (said(None, finish="length"), "the answer is empty (finish_reason length: all 8 tokens went before the text"),
        (failed(400, "this model's maximum context length is 4096 tokens"), "HTTP 400: "),
        (failed(413, "too large"), "too large"),
    ],
    ids=["refusal", "filter", "filtered prompt", "empty", "thinking", "400", "413"],
)
def test_no_answer_has_a_reason_and_is_not_asked_again(
    fake: FakeServer, server: ServerModel, reply: Reply, says: str
) -> None:
    fake.script = lambda body, before: reply if content(body) == "bad" else said("fine")
    first, lost, last = server.generate([ask("a"), ask("bad"), ask("b")])
    assert (first, last) == ("fine", "fine")
    assert says in reason(lost)
    assert len(fake.bodies) == 3


def test_a_cut_answer_is_kept_and_said_once(
    fake: FakeServer, server: ServerModel, caplog: pytest.LogCaptureFixture
) -> None:
    fake.script = lambda body, before: said(content(body), finish="length" if content(body) in "abc" else "stop")
    caplog.set_level(logging.INFO)
    assert list(server.generate([ask(text) for text in "abcde"])) == list("abcde")
    (warning,) = (record.message for record in caplog.records if record.levelno == logging.WARNING)
    assert "3 of 5 answers were cut" in warning
    (told,) = (record.message for record in caplog.records if record.levelno == logging.INFO)
    assert told == f"fake at {server.base_url}: 5 answers, 50 prompt tokens, 15 completion tokens"
    list(server.generate([ask("f")]))
    assert server.usage == {"answers": 6, "cut": 3, "prompt_tokens": 60, "completion_tokens": 18}


def test_a_server_that_counts_nothing_is_no_trouble(fake: FakeServer, server: ServerModel) -> None:
    reply = said("fine")
    fake.script = lambda body, before: replace(reply, body={**reply.body, "usage": None})
    assert one(server) == "fine"
    assert server.usage["prompt_tokens"] == 0


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (failed(401, f"Incorrect key {KEY}"), "refuses the key.*Is that in VAA_TEST_KEY right"),
        (failed(403, "not yours"), "refuses the key.*not yours"),
        (failed(404, "The model `fake` does not exist."), "no model 'fake'.*It has: fake, other.*model=NAME"),
    ],
)
def test_what_no_question_can_mend_ends_the_run(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, reply: Reply, says: str
) -> None:
    monkeypatch.setenv("VAA_TEST_KEY", KEY)
    fake.script = lambda body, before: reply
    with pytest.raises(VaaError, match=says) as raised:
        one(replace(server, api_key_env="VAA_TEST_KEY"))
    assert KEY not in str(raised.value)
    assert len(fake.bodies) == 1


def test_a_server_without_a_key_and_one_without_a_list(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: failed(401, "who are you?")
    with pytest.raises(VaaError, match="api_key_env=NAME"):
        one(server)
    fake.script, fake.models = lambda body, before: failed(404, "no such page"), None
    with pytest.raises(VaaError, match="does its address end in /v1"):
        one(server)


def test_a_server_never_reached_ends_the_run_and_says_how_to_start_one(server: ServerModel) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(VaaError, match=rf"No server is reached at {url}.*attempt 3 of 3.*vllm serve fake.*base_url="):
        one(replace(server, base_url=url))


def test_a_server_that_stops_answering_ends_the_run_before_every_question_is_lost(
    fake: FakeServer, server: ServerModel
) -> None:
    fake.script = lambda body, before: said("fine") if content(body) in "01" else failed(500, "out of memory")
    answers: list[Answer | NoAnswer] = []
    with pytest.raises(VaaError, match=r"left 8 questions in a row without an answer.*out of memory.*remembered"):
        answers.extend(server.generate([ask(str(k)) for k in range(500)]))
    assert answers[:2] == ["fine", "fine"]
    assert len(answers) < 2 + 2 * server.concurrency
    assert len(fake.bodies) < 100


def test_the_key_is_sent_and_nowhere_else(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("VAA_TEST_KEY", f" {KEY}\n")
    keyed = replace(server, api_key_env="VAA_TEST_KEY")
    assert one(keyed) == "fine"
    assert fake.headers[0]["authorization"] == f"Bearer {KEY}"
    fake.script = lambda body, before: failed(400, f"I was given {fake.headers[0]['authorization']}")
    seen = [caplog.text, repr(keyed), str(keyed.identity), str(keyed.usage), reason(one(keyed)), str(fake.bodies)]
    assert not [text for text in seen if KEY in text]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # another server's, which this one must not get
    one(server)
    assert KEY not in str(fake.headers[-1])


def test_a_key_that_is_not_there_is_named(server: ServerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAA_TEST_KEY", raising=False)
    with pytest.raises(VaaError, match="api_key_env=VAA_TEST_KEY: this environment variable is not set"):
        one(replace(server, api_key_env="VAA_TEST_KEY"))


def test_a_missing_client_is_named(server: ServerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(VaaError, match=r"pip install 'vaa\[server\]'"):
        one(server)


def test_choices_are_weighed_by_their_first_tokens(fake: FakeServer, server: ServerModel) -> None:
    top = tops(Normal=-0.5, **{" Yes": -3.0, "Yes": -1.0, "No": -2.0, "Anom": -1.0, "An": -0.1, "A": -0.01})
    fake.script = lambda body, before: said("No", finish="length", logprobs=top)
    pairs = [("Yes", "No"), ("No", "Yes"), ("Anomalous", "Normal"), ("Normal", "No")]
    answers = list(server.choose([choose_query(ask("which?"), pair) for pair in pairs]))
    expected = [(-1, -2), (-2, -1), (-1, -0.5), (-0.5, -2)]
    for answer, logits in zip(answers, expected, strict=True):
        weights = np.exp(logits)
        np.testing.assert_allclose(answer, weights / weights.sum())
    assert fake.bodies[0] == {
        "model": "fake",
        "messages": [{"role": "user", "content": "which?"}],
        "max_tokens": 1,
        "logprobs": True,
        "top_logprobs": 20,
        "temperature": 1.0,
        "top_p": 1.0,
    }
    assert server.usage["cut"] == 0


@pytest.mark.parametrize(
    "logprobs", [None, {"content": None}, {"content": []}, {"content": [{"token": "a"}]}, {"content": [{}]}, "none"]
)
def test_a_server_without_logprobs_cannot_weigh_choices(fake: FakeServer, server: ServerModel, logprobs: Any) -> None:
    fake.script = lambda body, before: said("Yes", logprobs=logprobs)
    with pytest.raises(VaaError, match="gives no log-probabilities"):
        one(server, choose_query(ask(), ("Yes", "No")))


def test_a_server_that_refuses_logprobs_cannot_weigh_choices(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: failed(400, "'logprobs' is not supported with this model")
    with pytest.raises(VaaError, match=r"gives no log-probabilities.*not supported with this model"):
        one(server, choose_query(ask(), ("Yes", "No")))


@pytest.mark.parametrize(
    ("choices", "missing"),
    [(("Yes", "No", "Maybe"), "Maybe"), (("Anomalous", "Another", "Yes"), "Anomalous"), (("Nobody", "Yes"), "Nobody")],
)
def test_a_choice_that_is_not_among_the_top_is_never_guessed(
    fake: FakeServer, server: ServerModel, choices: tuple[str, ...], missing: str
) -> None:
    fake.script = lambda body, before: said("Yes", logprobs=tops(Yes=-0.1, N=-2.0, M=-3.0, An=-4.0, No=-5.0))
    if missing == "Nobody":
        fake.script = lambda body, before: said("Yes", logprobs=tops(Yes=-0.1, N=-2.0))
    assert f"no token of its own for the choice '{missing}'" in reason(one(server, choose_query(ask(), choices)))


def test_the_identity_is_what_the_answer_hangs_on(server: ServerModel) -> None:
    assert isinstance(server, VLM)
    patience = {"concurrency": 9, "timeout": 1.0, "retries": 0, "backoff": 3.0, "api_key_env": "X", "decoder": "pyav"}
    same = [replace(server, **{name: value}) for name, value in patience.items()]
    same.append(replace(server, base_url="https://elsewhere:1/v1"))
    assert {handle.identity for handle in same} == {server.identity}
    hangs: dict[str, Any] = {"model": "b", "revision": "awq", "top_p": 0.5, "seed": 1, "extra": {"top_k": 1}}
    hangs |= {"image_format": "jpeg80", "max_side": 448, "limit": "max_completion_tokens"}
    other = [replace(server, **{name: value}) for name, value in hangs.items()]
    other.append(replace(server, temperature=0.7, seed=3))
    assert len({handle.identity for handle in [server, *other]}) == 1 + len(other)
    assert replace(server, temperature=0.7).identity is None
    assert replace(server, temperature=None).identity is None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("base_url", "localhost:8000", "give the address of a server"),
        ("base_url", f"http://me:{KEY}@host/v1", "no key belongs into it"),
        ("base_url", "http://node7:8000/v1", "plain http.*https address, or allow_http=true"),
        ("base_url", "http://localhost.evil.org/v1", "plain http"),
        ("concurrency", 0, "concurrency=0: give at least 1"),
        ("retries", -1, "retries=-1: give at least 0"),
        ("max_side", 0, "max_side=0: give at least 1"),
        ("image_format", "webp", "image_format=webp: choose png, or jpeg"),
        ("image_format", "jpeg", "image_format=jpeg: choose png, or jpeg"),
        ("image_format", "jpeg101", "choose png, or jpeg"),
    ],
)
def test_a_wrong_field_says_what_to_give(server: ServerModel, field: str, value: Any, says: str) -> None:
    with pytest.raises(VaaError, match=says) as raised:
        replace(server, **{field: value})
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("host", ["http://localhost:8000", "http://[::1]:8000", "http://127.0.0.2", "https://node7"])
def test_plain_http_is_for_this_machine(server: ServerModel, host: str) -> None:
    assert replace(server, base_url=f"{host}/v1").base_url.startswith(host)
    assert replace(server, base_url="http://node7:8000/v1", allow_http=True).identity == server.identity


def test_nothing_asked_is_nothing_opened(server: ServerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    assert list(server.generate([])) == []
    server.release()


@pytest.mark.parametrize(
    "text",
    [
        '{"error": {"message": "busy"}}',
        '{"error": "busy"}',
        '{"object": "error", "message": "busy"}',
        '{"detail": "busy"}',
        "busy",
        '"busy"',
    ],
)
def test_a_server_s_complaint_in_whatever_form(text: str) -> None:
    assert messages.complaint(text).strip('"') == "busy"


def test_long_words_of_a_server_are_cut() -> None:
    assert messages.brief("a\n b") == "a b"
    assert len(messages.brief("x" * 10_000)) < 400


def test_through_run_py_with_a_key_that_stays_secret(fake: FakeServer, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "house"
    (folder / "clips").mkdir(parents=True)
    shutil.copy(clip, folder / "clips")
    fake.script = lambda body, before: said("```\nAnomalous scenes.\nA square runs.\n```")
    overrides = ["vlm=server", f"vlm.base_url={fake.url}", "vlm.model=fake", "vlm.api_key_env=VAA_TEST_KEY"]
    overrides += ["~stages.clean", "~stages.refine", "data=folder", "data.root=clips", "window.length=10"]
    environment = {**os.environ, "WANDB_MODE": "offline", "VAA_TEST_KEY": KEY}
    command = [sys.executable, str(HOUSE / "run.py"), *overrides, "plots=false", "cache=memo.sqlite"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fake at http://127.0.0.1" in done.stdout + done.stderr
    assert len(fake.bodies) == 3
    assert fake.headers[0]["authorization"] == f"Bearer {KEY}"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".wandb" for file in files)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in done.stdout + done.stderr
    gc.collect()
