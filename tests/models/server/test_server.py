from __future__ import annotations

import base64
import gc
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_server import FakeServer, Reply, completion, error, images, server_model, top_logprobs
from PIL import Image
from queries import choose_query

from vaa.errors import ConfigError, ModelError
from vaa.generation import GenerationConfig
from vaa.models import base
from vaa.models.base import VLM
from vaa.models.server import client, messages
from vaa.models.server.model import ServerModel
from vaa.types import Answer, GenerateQuery, NoAnswer, Query, Video
from vaa.video import sources

PROJECT = Path(__file__).parents[3]
KEY = "sk-secret-0123456789abcdef"


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def server(fake: FakeServer) -> ServerModel:
    model: ServerModel = server_model(fake.url)
    return model


def query(text: str = "what happens?", *frames: int, path: Path = Path("none.mp4"), **fields: Any) -> GenerateQuery:
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


def answer_one(server: ServerModel, sent: Query | None = None) -> Answer | NoAnswer:
    (result,) = base.answer(server, [sent or query()])
    return result


def reason(result: Answer | NoAnswer) -> str:
    assert isinstance(result, NoAnswer)
    return result.reason


def content(body: dict[str, Any]) -> Any:
    return body["messages"][-1]["content"]


def test_the_request_contains_the_query_only(fake: FakeServer, server: ServerModel, clip: Path) -> None:
    sent = query("Frame1: <image>\nFrame2: <image> What?", 0, 20, path=clip, system="Be brief")
    assert answer_one(server, sent) == "fine"
    (body,) = fake.bodies
    parts = content(body)
    assert [part.get("text") for part in parts] == ["Frame1: ", None, "\nFrame2: ", None, " What?"]
    expected = sources.frames(sent.video, (0, 20), "decord")
    np.testing.assert_array_equal(np.stack(images(body)), expected)
    assert body == {
        "model": "fake",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": parts}],
        "temperature": 0,
        "max_tokens": 8,
    }


def test_without_image_marks_frames_precede_the_text(fake: FakeServer, server: ServerModel, clip: Path) -> None:
    answer_one(server, query("What?", 0, 5, 9, path=clip))
    assert [part["type"] for part in content(fake.bodies[0])] == ["image_url"] * 3 + ["text"]


def test_a_querys_own_generation_settings_are_sent(fake: FakeServer, server: ServerModel) -> None:
    own = GenerationConfig(temperature=0.7, top_p=0.8, top_k=20, seed=3306)
    answer_one(server, replace(query("Hello"), generation=own))
    (body,) = fake.bodies
    assert {name: body[name] for name in ("temperature", "top_p", "top_k", "seed")} == asdict(own)


def test_text_only_queries_send_a_string_and_none_fields_are_omitted(fake: FakeServer, server: ServerModel) -> None:
    changed = replace(
        server,
        generation=GenerationConfig(temperature=None, top_p=0.5, top_k=None, seed=7),
        token_limit="max_completion_tokens",
        extra={"top_k": 3},
    )
    answer_one(changed, query("Hello"))
    answer_one(changed, query("Bye", max_new_tokens=0))
    common = {"model": "fake", "top_p": 0.5, "seed": 7, "top_k": 3}
    first, second = fake.bodies
    assert first == {**common, "messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": 8}
    assert second == {**common, "messages": [{"role": "user", "content": "Bye"}]}


@pytest.mark.parametrize("image_format", ["jpeg95", "png"])
def test_frames_are_reduced_and_never_enlarged(
    fake: FakeServer, server: ServerModel, clip: Path, image_format: str
) -> None:
    sent = query("What?", 3, path=clip)
    for side in (48, 1000):
        answer_one(replace(server, image_format=image_format, max_side=side), sent)
    small, whole = (images(body)[0] for body in fake.bodies)
    (frame,) = sources.frames(sent.video, (3,), "decord")
    expected = np.asarray(Image.fromarray(frame).resize((48, 32), Image.Resampling.LANCZOS))
    assert (small.shape, whole.shape) == ((32, 48, 3), (64, 96, 3))
    assert np.abs(small.astype(int) - expected).mean() < 3
    assert np.abs(whole.astype(int) - frame).mean() < 3
    assert f"data:image/{image_format.rstrip('59')};base64," in str(content(fake.bodies[0])[0])


@pytest.mark.parametrize(("frames", "n_marks"), [((0,), 2), ((0, 1), 1), ((), 1)])
def test_the_number_of_image_marks_is_the_number_of_frames(
    server: ServerModel, clip: Path, frames: tuple[int, ...], n_marks: int
) -> None:
    with pytest.raises(ConfigError, match=f"verdict prompt has {n_marks} <image> marks for {len(frames)} frames"):
        answer_one(server, query("<image>" * n_marks, *frames, path=clip))


def test_a_video_that_cannot_be_decoded_affects_only_its_own_query(
    fake: FakeServer, server: ServerModel, clip: Path
) -> None:
    good, bad = query("What?", 0, path=clip), query("What?", 0)
    first, second, third = server.generate([good, bad, good])
    assert (first, third) == ("fine", "fine")
    assert "none.mp4: no such video file" in reason(second)
    assert len(fake.bodies) == 2


def test_answers_come_in_order_regardless_of_which_is_ready_first(fake: FakeServer, server: ServerModel) -> None:
    last = threading.Event()

    def script(body: dict[str, Any], before: int) -> Reply:
        if content(body) == "0":
            assert last.wait(50)
        if content(body) == "3":
            last.set()
        return completion(f"to {content(body)}")

    fake.script = script
    assert list(server.generate([query(str(k)) for k in range(20)])) == [f"to {k}" for k in range(20)]


def test_an_answer_is_yielded_before_the_last_query_is_sent(fake: FakeServer, server: ServerModel) -> None:
    proceed = threading.Event()

    def script(body: dict[str, Any], before: int) -> Reply:
        assert content(body) == "0" or proceed.wait(50)
        return completion("fine")

    fake.script = script
    answers = server.generate([query(str(k)) for k in range(50)])
    assert next(answers) == "fine"
    assert len(fake.bodies) <= 1 + server.concurrency
    proceed.set()
    assert len(list(answers)) == 49


def test_as_many_requests_as_allowed_run_concurrently(fake: FakeServer, server: ServerModel) -> None:
    together = threading.Barrier(4)

    def script(body: dict[str, Any], before: int) -> Reply:
        together.wait(50)  # fails unless four requests wait here
        return completion("fine")

    fake.script = script
    assert len(list(server.generate([query(str(k)) for k in range(12)]))) == 12
    assert fake.max_concurrent == 4


def test_closing_the_stream_of_answers_cancels_pending_requests(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: completion("fine") if content(body) == "0" else Reply(silent=True)
    answers = server.generate([query(str(k)) for k in range(50)])
    assert next(answers) == "fine"
    before = threading.active_count()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(answers.close).result(timeout=30)  # type: ignore[attr-defined]
    assert threading.active_count() < before + 1
    assert not any(thread.name == "vaa-server" for thread in threading.enumerate())


TEMPORARY = {
    "429": (error(429, "slow down", Retry_After="0.01"), "HTTP 429: .*slow down"),
    "500": (error(500, "a fault", Retry_After="0.01"), "HTTP 500: .*a fault"),
    "503": (Reply(503, b"<html>busy</html>", {"Content-Type": "text/html", "Retry-After": "0.01"}), "HTTP 503: .*busy"),
    "half": (replace(completion("fine"), half=True), "the connection broke"),
    "garbage": (Reply(200, b"\xff\xfe no json"), "not a chat completion"),
    "page": (Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}), "not a chat completion.*hello"),
    "list": (Reply(200, [1, 2]), "not a chat completion"),
    "error": (Reply(200, {"error": {"message": "overloaded"}}), "not a chat completion.*overloaded"),
    "nothing": (Reply(silent=True), "no answer within timeout=2 s"),
}


@pytest.mark.parametrize("name", TEMPORARY)
def test_temporary_failures_are_retried(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.001)
    reply, message = TEMPORARY[name]
    server = replace(server, timeout=2 if reply.silent else 60)
    fake.script = lambda body, before: reply if before < 2 else completion("finally")
    assert answer_one(server) == "finally"
    assert len(fake.bodies) == 3
    fake.script = lambda body, before: reply if content(body) == "bad" else completion("fine")
    first, failed, last = server.generate([query("a"), query("bad"), query("b")])
    assert (first, last) == ("fine", "fine")
    assert isinstance(failed, NoAnswer)
    assert re.search(message + r".*2 retries\)", failed.reason), failed.reason


def test_retry_after_is_waited_for(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: error(429, "slow down", Retry_After="0.3") if before < 2 else completion("fine")
    started = time.monotonic()
    assert answer_one(server) == "fine"
    assert time.monotonic() - started >= 0.6
    assert server.usage["retries"] == 2


def test_a_retry_after_of_a_day_is_not_waited_for(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: error(429, "the quota of the day is spent", Retry_After="86400")
    assert "quota of the day" in reason(answer_one(server))
    assert len(fake.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (completion(None, refusal="I will not look at this."), "the model refused: I will not look at this"),
        (completion("It", finish="content_filter"), "content filter stopped the answer"),
        (error(400, "filtered", code="content_filter"), "content filter refused the query"),
        (completion(""), "the answer is empty (finish_reason stop)"),
        (
            completion(None, finish="length"),
            "the answer is empty (finish_reason length: all 8 tokens were used before the text",
        ),
        (error(400, "this model's maximum context length is 4096 tokens"), "HTTP 400: "),
        (error(413, "too large"), "too large"),
    ],
    ids=["refusal", "filter", "filtered prompt", "empty", "thinking", "400", "413"],
)
def test_a_permanent_failure_has_a_reason_and_is_not_retried(
    fake: FakeServer, server: ServerModel, reply: Reply, message: str
) -> None:
    fake.script = lambda body, before: reply if content(body) == "bad" else completion("fine")
    first, failed, last = server.generate([query("a"), query("bad"), query("b")])
    assert (first, last) == ("fine", "fine")
    assert message in reason(failed)
    assert len(fake.bodies) == 3


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ([{"type": "text", "text": "[0.9]"}], "[0.9]"),
        ([{"type": "text", "text": "[0"}, {"type": "text", "text": ".9]"}], "[0.9]"),
        (["[0", ".9]"], "[0.9]"),
        ([{"type": "output_text", "text": {"text": "[0.9]"}}], "[0.9]"),
        ({"type": "text", "text": "[0.9]"}, "[0.9]"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm [0.0]"}]},
                {"type": "text", "text": "[0.9]"},
            ],
            "<think>Hm [0.0]</think>[0.9]",
        ),
        ([{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "[0.9]"}], "<think>Hm</think>[0.9]"),
        ("<think>Hm [0.0]</think>[0.9]", "<think>Hm [0.0]</think>[0.9]"),
    ],
)
def test_content_in_parts_is_joined(fake: FakeServer, server: ServerModel, sent: Any, text: str) -> None:
    fake.script = lambda body, before: completion(sent)
    assert answer_one(server) == text


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        ([{"type": "image_url", "image_url": {"url": "x"}}], "a list with a part of type image_url"),
        ([{"type": "text", "text": "a"}, {"kind": "b"}], "a list with a part: an object with the keys kind"),
        ([7], "a list with a part: a int"),
        ({"value": "[0.9]"}, "an object with the keys value"),
        (0.9, "a float"),
        ([], "the answer is empty"),
        ([{"type": "text", "text": ""}], "the answer is empty"),
    ],
)
def test_content_of_another_form_is_named(fake: FakeServer, server: ServerModel, sent: Any, form: str) -> None:
    fake.script = lambda body, before: completion(sent)
    assert form in reason(answer_one(server))


def test_truncated_answers_are_used_and_reported_once(
    fake: FakeServer, server: ServerModel, caplog: pytest.LogCaptureFixture
) -> None:
    fake.script = lambda body, before: completion(content(body), finish="length" if content(body) in "abc" else "stop")
    caplog.set_level(logging.INFO)
    assert list(server.generate([query(text) for text in "abcde"])) == list("abcde")
    (warning,) = (record.message for record in caplog.records if record.levelno == logging.WARNING)
    assert "3 of 5 answers reached their limit" in warning
    (usage,) = (record.message for record in caplog.records if record.levelno == logging.INFO)
    assert usage == f"fake at {server.base_url}: 5 answers, 50 prompt tokens, 15 completion tokens, 0 retries"
    list(server.generate([query("f")]))
    assert server.usage == {"answers": 6, "truncated": 3, "retries": 0, "prompt_tokens": 60, "completion_tokens": 18}


def test_a_server_without_token_counts_is_supported(fake: FakeServer, server: ServerModel) -> None:
    reply = completion("fine")
    fake.script = lambda body, before: replace(reply, body={**reply.body, "usage": None})
    assert answer_one(server) == "fine"
    assert server.usage["prompt_tokens"] == 0


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (error(401, f"Incorrect key {KEY}"), "refuses the key.*Check the value of VAA_TEST_KEY"),
        (error(403, "not yours"), "refuses the key.*not yours"),
        (error(404, "The model `fake` does not exist."), "no model 'fake'.*It has: fake, other.*model=NAME"),
    ],
)
def test_errors_that_concern_every_query_end_the_run(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, reply: Reply, message: str
) -> None:
    monkeypatch.setenv("VAA_TEST_KEY", KEY)
    fake.script = lambda body, before: reply
    with pytest.raises(ConfigError, match=message) as raised:
        answer_one(replace(server, api_key_env="VAA_TEST_KEY"))
    assert KEY not in str(raised.value)
    assert len(fake.bodies) == 1


def test_a_refused_request_without_a_key_and_a_404_without_a_list_of_models(
    fake: FakeServer, server: ServerModel
) -> None:
    fake.script = lambda body, before: error(401, "who are you?")
    with pytest.raises(ConfigError, match="api_key_env=NAME"):
        answer_one(server)
    fake.script, fake.models = lambda body, before: error(404, "no such page"), None
    with pytest.raises(ConfigError, match="base_url usually ends in /v1"):
        answer_one(server)


def test_an_unreachable_server_ends_the_run(server: ServerModel) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ModelError, match=rf"No server answers at {url}.*2 retries.*vllm serve fake.*base_url="):
        answer_one(replace(server, base_url=url))


def test_a_server_that_stops_answering_ends_the_run_early(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: (
        completion("fine") if content(body) in "01" else error(500, "out of memory", Retry_After="0.001")
    )
    answers: list[Answer | NoAnswer] = []
    with pytest.raises(ModelError, match=r"left 8 queries in a row without an answer.*out of memory"):
        answers.extend(server.generate([query(str(k)) for k in range(500)]))
    assert answers[:2] == ["fine", "fine"]
    assert len(answers) < 2 + 2 * server.concurrency
    assert len(fake.bodies) < 100


def test_the_key_is_sent_to_its_server_and_written_nowhere(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("VAA_TEST_KEY", f" {KEY}\n")
    with_key = replace(server, api_key_env="VAA_TEST_KEY")
    assert answer_one(with_key) == "fine"
    assert fake.headers[0]["authorization"] == f"Bearer {KEY}"
    fake.script = lambda body, before: error(400, f"I was given {fake.headers[0]['authorization']}")
    texts = [
        caplog.text,
        repr(with_key),
        str(with_key.identity),
        str(with_key.usage),
        reason(answer_one(with_key)),
        str(fake.bodies),
    ]
    assert not [text for text in texts if KEY in text]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # the key of another server
    answer_one(server)
    assert KEY not in str(fake.headers[-1])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"{KEY}\nsecond", "a line break"),
        (f"{KEY}\r\nsecond", "a line break"),
        (f"\ufeff{KEY}", "a byte order mark"),
        (f"{KEY}é", "outside ASCII"),
        (f"{KEY}\udcff", "outside ASCII"),
        (f"{KEY}\x1b[0m", "a control character"),
        (f"{KEY}\tsecond", "a control character"),
        (f"Bearer {KEY}", "a space"),
        (f'"{KEY}"', "a quotation mark"),
        (f"{KEY}\\n", "a backslash"),
    ],
)
def test_a_text_that_is_no_key_is_refused_without_showing_it(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    monkeypatch.setenv("VAA_TEST_KEY", text)
    with pytest.raises(ConfigError, match=rf"VAA_TEST_KEY.*{fault}") as raised:
        answer_one(replace(server, api_key_env="VAA_TEST_KEY"))
    assert "secret" not in str(raised.value) + repr(raised.value.__context__)
    assert not fake.bodies


@pytest.mark.parametrize(
    "reply",
    [
        error(400, "a" * 290 + KEY),
        error(400, f"Bearer {KEY}".encode().hex()),
        error(400, base64.b64encode(f"Bearer {KEY}".encode()).decode()),
        Reply(body=b"x" * 270 + f" not a chat completion {KEY}".encode()),
        Reply(body=[KEY]),
        completion(None, refusal="I refuse. " * 28 + KEY),
        completion({KEY: 1}),
        error(404, KEY),
        error(401, KEY),
    ],
    ids=["long", "hex", "base64", "long body", "JSON", "refusal", "form", "404", "401"],
)
def test_no_form_and_no_part_of_the_key_is_shown(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setenv("VAA_TEST_KEY", KEY)
    fake.script, fake.models = lambda body, before: reply, {"data": [{"id": KEY}]}
    with_key = replace(server, api_key_env="VAA_TEST_KEY", retries=0)
    try:
        text = reason(answer_one(with_key))
    except (ConfigError, ModelError) as raised:
        text = str(raised)
    assert "sk-s" not in text
    assert "c2VjcmV0" not in text
    assert KEY.encode().hex() not in text


def test_an_unexpected_error_of_the_client_is_a_message_without_the_key(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError(f"illegal header {KEY!r}")

    monkeypatch.setenv("VAA_TEST_KEY", KEY)
    monkeypatch.setattr("openai.resources.chat.completions.AsyncCompletions.create", broken)
    with pytest.raises(ModelError, match="ValueError: illegal header") as raised:
        answer_one(replace(server, api_key_env="VAA_TEST_KEY"))
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(fake: FakeServer, server: ServerModel, status: int) -> None:
    other = FakeServer()
    try:
        fake.script = lambda body, before: Reply(status, {}, {"Location": f"{other.url}/chat/completions?key=1"})
        with pytest.raises(ConfigError, match=rf"redirects to http://127.0.0.1.*HTTP {status}.*base_url"):
            answer_one(server)
        assert not other.bodies
    finally:
        other.close()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http", "socks5://127.0.0.1:9", "ftp://127.0.0.1:9"])
def test_a_server_on_this_machine_is_reached_without_a_proxy(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    between = FakeServer()
    try:
        monkeypatch.setenv(variable, between.url if proxy == "http" else proxy)
        assert answer_one(server) == "fine"
        assert answer_one(replace(server, base_url=server.base_url.replace("127.0.0.1", "localhost"))) == "fine"
        assert not between.bodies
    finally:
        between.close()


@pytest.mark.usefixtures("no_proxies")
def test_the_proxy_to_another_machine_is_named_without_its_password(
    fake: FakeServer, server: ServerModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    address = fake.url.removeprefix("http://").removesuffix("/v1")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pass-word@{address}")
    remote = replace(server, base_url="http://vaa-test.invalid/v1", allow_http=True)
    assert answer_one(remote) == "fine"  # by the proxy
    assert f"http://vaa-test.invalid/v1 is reached through the proxy http://{address} (HTTP_PROXY)" in caplog.text
    fake.script = lambda body, before: error(503, f"no route for {fake.headers[0]['proxy-authorization']} pass-word")
    with pytest.raises(ModelError, match=r"through the proxy http://.*\(HTTP_PROXY\)\) left"):
        list(replace(remote, retries=0, concurrency=1).generate([query(str(k)) for k in range(9)]))
    assert "pass-word" not in caplog.text
    with pytest.raises(ConfigError, match="plain http"):
        replace(remote, allow_http=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("proxy", ["socks5://u:pass-word@h:9", "ftp://u:pass-word@h:9", "http://u:pass-word@h:p"])
def test_a_proxy_that_cannot_be_used_is_reported(
    server: ServerModel, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=r"ALL_PROXY.*NO_PROXY") as raised:
        answer_one(replace(server, base_url="https://vaa-test.invalid/v1"))
    assert "pass-word" not in str(raised.value)
    assert ("pip install socksio" in str(raised.value)) == proxy.startswith("socks5:")


def test_a_missing_key_is_reported(server: ServerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAA_TEST_KEY", raising=False)
    with pytest.raises(ConfigError, match="api_key_env=VAA_TEST_KEY: this environment variable is not set"):
        answer_one(replace(server, api_key_env="VAA_TEST_KEY"))


def test_a_missing_client_library_is_reported(server: ServerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"pip install 'openai>=3,<4'"):
        answer_one(server)


def test_probabilities_of_choices_come_from_their_first_tokens(fake: FakeServer, server: ServerModel) -> None:
    top = top_logprobs(Normal=-0.5, **{" Yes": -3.0, "Yes": -1.0, "No": -2.0, "Anom": -1.0, "An": -0.1, "A": -0.01})
    fake.script = lambda body, before: completion("No", finish="length", logprobs=top)
    pairs = [("Yes", "No"), ("No", "Yes"), ("Anomalous", "Normal"), ("Normal", "No")]
    answers = list(server.choose([choose_query(query("which?"), pair) for pair in pairs]))
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
    assert server.usage["truncated"] == 0


@pytest.mark.parametrize(
    "logprobs", [None, {"content": None}, {"content": []}, {"content": [{"token": "a"}]}, {"content": [{}]}, "none"]
)
def test_choices_need_a_server_with_logprobs(fake: FakeServer, server: ServerModel, logprobs: Any) -> None:
    fake.script = lambda body, before: completion("Yes", logprobs=logprobs)
    with pytest.raises(ConfigError, match="returns no log-probabilities"):
        answer_one(server, choose_query(query(), ("Yes", "No")))


def test_choices_need_a_server_that_accepts_logprobs(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, before: error(400, "'logprobs' is not supported with this model")
    with pytest.raises(ConfigError, match=r"returns no log-probabilities.*not supported with this model"):
        answer_one(server, choose_query(query(), ("Yes", "No")))


@pytest.mark.parametrize(
    ("choices", "missing"),
    [(("Yes", "No", "Maybe"), "Maybe"), (("Anomalous", "Another", "Yes"), "Anomalous"), (("Never", "Yes"), "Never")],
)
def test_a_choice_outside_the_top_tokens_has_no_answer(
    fake: FakeServer, server: ServerModel, choices: tuple[str, ...], missing: str
) -> None:
    fake.script = lambda body, before: completion(
        "Yes", logprobs=top_logprobs(Yes=-0.1, N=-2.0, M=-3.0, An=-4.0, No=-5.0)
    )
    if missing == "Never":
        fake.script = lambda body, before: completion("Yes", logprobs=top_logprobs(Yes=-0.1, N=-2.0))
    assert f"no distinct token for choice '{missing}'" in reason(answer_one(server, choose_query(query(), choices)))


def test_the_identity_contains_every_setting_that_changes_an_answer(server: ServerModel) -> None:
    assert isinstance(server, VLM)
    irrelevant = {"concurrency": 9, "timeout": 1.0, "retries": 0, "api_key_env": "X", "decoder": "pyav"}
    same = [replace(server, **{name: value}) for name, value in irrelevant.items()]
    same.append(replace(server, base_url="https://elsewhere:1/v1"))
    assert {model.identity for model in same} == {server.identity}
    relevant: dict[str, Any] = {"model": "b", "revision": "awq", "extra": {"top_k": 1}}
    relevant |= {"image_format": "jpeg80", "max_side": 448, "token_limit": "max_completion_tokens"}
    other = [replace(server, **{name: value}) for name, value in relevant.items()]
    changes: list[dict[str, Any]] = [{"top_p": 0.5}, {"seed": 1}, {"temperature": 0.7, "seed": 3}]
    other += [replace(server, generation=replace(server.generation, **change)) for change in changes]
    assert len({model.identity for model in [server, *other]}) == 1 + len(other)
    assert replace(server, generation=replace(server.generation, temperature=0.7)).identity is None
    assert "top_k" not in str(server.identity)  # so that answers cached by earlier versions are found
    assert replace(server, generation=replace(server.generation, temperature=None)).identity is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("base_url", "localhost:8000", "give the address of a server"),
        ("base_url", f"http://me:{KEY}@host/v1", "must not contain a key"),
        ("base_url", "http://node7:8000/v1", "plain http.*https address, or allow_http=true"),
        ("base_url", "http://localhost.evil.org/v1", "plain http"),
        ("concurrency", 0, "concurrency=0: must be at least 1"),
        ("retries", -1, "retries=-1: must be at least 0"),
        ("max_side", 0, "max_side=0: must be at least 1"),
        ("image_format", "webp", "image_format=webp: give png, or jpeg"),
        ("image_format", "jpeg", "image_format=jpeg: give png, or jpeg"),
        ("image_format", "jpeg101", "give png, or jpeg"),
    ],
)
def test_a_wrong_field_is_refused_with_the_allowed_values(
    server: ServerModel, field: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        replace(server, **{field: value})
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("host", ["http://localhost:8000", "http://[::1]:8000", "http://127.0.0.2", "https://node7"])
def test_plain_http_is_allowed_to_this_machine_only(server: ServerModel, host: str) -> None:
    assert replace(server, base_url=f"{host}/v1").base_url.startswith(host)
    assert replace(server, base_url="http://node7:8000/v1", allow_http=True).identity == server.identity


def test_no_client_is_opened_without_queries(server: ServerModel, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_error_messages_are_read_from_every_known_format(text: str) -> None:
    assert messages.error_message(text).strip('"') == "busy"


def test_long_texts_of_a_server_are_shortened() -> None:
    assert messages.shorten("a\n b") == "a b"
    assert len(messages.shorten("x" * 10_000)) < 400


def test_run_py_keeps_the_key_secret(fake: FakeServer, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "clips").mkdir(parents=True)
    shutil.copy(clip, folder / "clips")
    fake.script = lambda body, before: completion("```\nAnomalous scenes.\nA square runs.\n```")
    overrides = [
        "method=corevad",
        "vlm=server",
        f"vlm.base_url={fake.url}",
        "vlm.model=fake",
        "vlm.api_key_env=VAA_TEST_KEY",
    ]
    overrides += ["~stages.clean", "~stages.refine", "data=folder", "data.root=clips", "window.length=10"]
    environment = {**os.environ, "WANDB_MODE": "offline", "VAA_TEST_KEY": KEY}
    command = [sys.executable, str(PROJECT / "run.py"), *overrides, "plots=false", "cache=answers.sqlite"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fake at http://127.0.0.1" in done.stdout + done.stderr
    assert len(fake.bodies) == 3
    assert fake.headers[0]["authorization"] == f"Bearer {KEY}"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".wandb" for file in files)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in done.stdout + done.stderr
    gc.collect()
