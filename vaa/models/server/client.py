"""OpenAI's client in a thread of its own: concurrent requests, errors of the server, token counts."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from vaa.errors import ConfigError, ModelError
from vaa.models.server import messages
from vaa.models.server.network import EnvironmentProxy, find_proxy, http_client
from vaa.models.server.redaction import redact
from vaa.models.server.vllm import ChoiceTokens, choose, moves_images, tokenize_choices
from vaa.prompts.template import IMAGE
from vaa.types import Answer, ChatQuery, ChooseQuery, NoAnswer

log = logging.getLogger("vaa")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0  # seconds, doubled for each retry: those of OpenAI's client
_MAX_FAILED_IN_A_ROW = 8  # queries (or twice `concurrency`) without an answer before the run ends
_NOT_IN_KEYS = {
    r"[\r\n\x0b\x0c\x85\u2028\u2029]": "a line break",
    "\ufeff": "a byte order mark",
    r"[^\x00-\x7f]": "a character outside ASCII",
    r"[\x00-\x1f\x7f]": "a control character",
    " ": "a space",
    "[\"'`\\\\]": "a quotation mark or a backslash",
}
"""Regular expression -> what it matches, in words; the text of a refused key is never shown."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model at a server and how to query it; `timeout` in seconds."""

    base_url: str
    model: str
    api_key_env: str | None
    concurrency: int
    timeout: float
    retries: int

    def api_key(self) -> str | None:
        """The key, from the environment variable `api_key_env`; None without one.

        Raises:
            ConfigError: the variable is not set, or its text is no key.
        """
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise ConfigError(
                f"api_key_env={self.api_key_env}: this environment variable is not set. Set it to the key of "
                f"{self.base_url}, or give api_key_env=null for a server without keys."
            )
        for pattern, fault in _NOT_IN_KEYS.items():
            if re.search(pattern, key):
                raise ConfigError(
                    f"api_key_env={self.api_key_env}: this environment variable contains {fault}, which no key has. "
                    "Set it to the key alone."
                )
        return key


class _NoCompletionError(Exception):
    """A request about choices has no completion; `answer` has the reason."""

    def __init__(self, answer: NoAnswer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


@dataclass(kw_only=True)
class ChatClient:
    """OpenAI's client, the event loop it runs in, and what has happened so far.

    `proxy` is the one between this machine and the server, None without one. `usage` counts answers, truncated
    answers, retries, prompt_tokens and completion_tokens.
    """

    endpoint: Endpoint
    key: str | None = field(repr=False)
    proxy: EnvironmentProxy | None = field(repr=False)
    client: Any
    loop: asyncio.AbstractEventLoop
    slots: asyncio.Semaphore
    tokens: dict[Sequence[str], ChoiceTokens | None] = field(default_factory=dict)
    images_checked: bool = False
    reached: bool = False
    failed_in_a_row: int = 0
    usage: Counter[str] = field(default_factory=Counter)

    @property
    def address(self) -> str:
        """The server's address and the proxy, for messages."""
        return self.endpoint.base_url + (f" (through the proxy {self.proxy})" if self.proxy else "")

    def submit(self, query: ChatQuery, body: Mapping[str, Any]) -> Future[Answer | NoAnswer]:
        """Send a request; the future raises the errors that end the run."""
        request: Coroutine[Any, Any, Answer | NoAnswer] = self._answer(query, body)
        return asyncio.run_coroutine_threadsafe(request, self.loop)

    async def _answer(self, query: ChatQuery, body: Mapping[str, Any]) -> Answer | NoAnswer:
        retries, reason = self.endpoint.retries, ""
        async with self.slots:
            await self._check_images(query)
            # openai 3.54 retries connection errors, timeouts and status 408, 409, 429 and 5xx. It does not retry a
            # response with status 200 that is no chat completion, which overloaded gateways send.
            for attempt in range(retries + 1):
                try:
                    return await self._request(query, body)
                except messages.MalformedError as error:
                    reason = self._redact(str(error))
                if attempt < retries:
                    self.usage["retries"] += 1
                    await asyncio.sleep(min(_FIRST_PAUSE * 2.0**attempt, _LONGEST_PAUSE))
            return self._fail(f"{reason} (after {retries} retries)")

    async def _request(self, query: ChatQuery, body: Mapping[str, Any]) -> Answer | NoAnswer:
        """The answer to a query; where its choices begin with the same token, by several requests."""
        if isinstance(query, ChooseQuery) and (tokens := self.tokens.get(query.choices)):
            return await self._choose(query, body, tokens)
        completion = await self._complete(query, body)
        answer = completion if isinstance(completion, NoAnswer) else self._read(completion, query)
        undecided = isinstance(answer, NoAnswer) and answer.reason.startswith(messages.NO_DISTINCT_TOKEN)
        if not isinstance(query, ChooseQuery) or not undecided:
            return answer
        if query.choices not in self.tokens:
            self.tokens[query.choices] = await tokenize_choices(self._post, self.endpoint.model, query.choices)
        tokens = self.tokens[query.choices]
        return answer if tokens is None else await self._choose(query, body, tokens)

    async def _choose(self, query: ChooseQuery, body: Mapping[str, Any], tokens: ChoiceTokens) -> Answer | NoAnswer:
        async def send(node: Mapping[str, Any]) -> Mapping[str, Any]:
            completion = await self._complete(query, node)
            if isinstance(completion, NoAnswer):
                raise _NoCompletionError(completion)
            self._count(completion)
            return completion

        try:
            answer = await choose(send, body, tokens)
        except _NoCompletionError as error:
            return error.answer
        self.usage["answers"] += 1
        self.failed_in_a_row = 0
        return answer

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer of a path beside the server's /v1, as vLLM has some; {} where there is none."""
        import openai

        url = self.endpoint.base_url.rstrip("/").removesuffix("/v1") + path
        try:
            return await self.client.with_options(max_retries=0).post(url, body=dict(body), cast_to=object)
        except openai.APIError:
            return {}

    async def _check_images(self, query: ChatQuery) -> None:
        """Warn once if a prompt has text before its frames, and the server's chat template moves these to the front."""
        before = query.text.partition(IMAGE)[0].strip() if query.frames and IMAGE in query.text else ""
        if not before or self.images_checked:
            return
        self.images_checked = True
        if await moves_images(self._post, self.endpoint.model):
            log.warning(
                "%s: its chat template moves all images before the text, so the %s prompt's <image> marks have no "
                "effect. Start the server with a template that loops over the parts of a message (vllm serve "
                "--chat-template FILE), or put the frames first in the prompt.",
                *(self.address, query.purpose),
            )

    async def _complete(self, query: ChatQuery, body: Mapping[str, Any]) -> Mapping[str, Any] | NoAnswer:
        """The chat completion of a request, or why there is none."""
        import openai

        try:
            response = await self.client.chat.completions.with_raw_response.create(**body)
        except openai.APIStatusError as error:
            self.reached = True
            return await self._explain_status(query, error)
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            self.reached |= not cause.startswith("Connect")
            timed_out = isinstance(error, openai.APITimeoutError)
            reason = f"no answer within timeout={self.endpoint.timeout} s" if timed_out else "the connection broke"
            detail = ": ".join(filter(None, (cause, self._redact(str(error.__cause__)))))
            return self._fail(f"{reason} ({detail}; after {self.endpoint.retries} retries)")
        except Exception as error:  # its text may contain the key
            detail = self._redact(f"{type(error).__name__}: {error}")
            raise ModelError(f"{self.address}: the request could not be made ({detail}).") from None
        self.reached = True
        self.usage["retries"] += response.retries_taken
        return messages.parse_completion(response.text)

    def _count(self, completion: Mapping[str, Any]) -> None:
        usage = completion.get("usage")
        for name in ("prompt_tokens", "completion_tokens"):
            count = usage.get(name) if isinstance(usage, dict) else None
            self.usage[name] += count if isinstance(count, int) else 0

    def _read(self, completion: Mapping[str, Any], query: ChatQuery) -> Answer | NoAnswer:
        self._count(completion)
        self.usage["answers"] += 1
        self.failed_in_a_row = 0
        answer = messages.read_answer(completion, query)
        self.usage["truncated"] += isinstance(answer, str) and messages.reached_token_limit(completion)
        return NoAnswer(self._redact(answer.reason)) if isinstance(answer, NoAnswer) else answer

    async def _explain_status(self, query: ChatQuery, error: Any) -> NoAnswer:
        """Why there is no answer. Errors that end the run have no cause: the server's text may repeat the key."""
        url, variable = self.address, self.endpoint.api_key_env
        if error.response.is_redirect:
            location = urlsplit(error.response.headers["location"])
            host = location.netloc.rpartition("@")[2]
            target = self._redact(f"{location.scheme}://{host}" if host else location.path)
            raise ConfigError(
                f"{url} redirects to {target}, where neither key nor frames are sent (HTTP {error.status_code}). Give "
                "the address that it leads to as base_url if you trust it."
            ) from None
        reason = f"HTTP {error.status_code}: {self._redact(messages.error_message(error.response.text))}"
        if error.status_code in (401, 403):
            remedy = (
                f"Check the value of {variable}."
                if variable
                else "Name the environment variable of a key: api_key_env=NAME."
            )
            raise ConfigError(f"{url} refuses the key ({reason}). {remedy}") from None
        if error.status_code == 404:
            models = await self._list_models()
            raise ConfigError(f"{url} has no model '{self.endpoint.model}' ({reason}). {models}") from None
        if isinstance(query, ChooseQuery) and "logprob" in reason:
            raise ConfigError(f"{url}: {messages.NO_LOGPROBS} ({reason})") from None
        if error.code == "content_filter":
            return NoAnswer(f"the server's content filter refused the query ({reason})")
        if error.status_code in (408, 409, 429) or error.status_code >= 500:
            return self._fail(f"{reason} (after up to {self.endpoint.retries} retries)")
        return NoAnswer(reason) if self.usage["answers"] else self._fail(reason)

    async def _list_models(self) -> str:
        try:
            response = await self.client.models.with_raw_response.list()
            names = sorted(str(entry["id"]) for entry in json.loads(response.text)["data"])
        except Exception:  # the 404 before it is the error to report
            return f"It has no list of models either: base_url usually ends in /v1 ({self.endpoint.base_url})."
        return f"It has: {redact(', '.join(names), self._secrets) or 'none'}. Give one as model=NAME."

    def _fail(self, reason: str) -> NoAnswer:
        """Count a query without an answer; raise if there is no server or too many have failed in a row."""
        url, self.failed_in_a_row = self.address, self.failed_in_a_row + 1
        if not self.reached:
            raise ModelError(
                f"No server answers at {url}: {reason}. Start one, as in `vllm serve {self.endpoint.model}`, or "
                "give its address as base_url=URL (docs/backbones.md, 'A server')."
            ) from None
        if self.failed_in_a_row >= max(_MAX_FAILED_IN_A_ROW, 2 * self.endpoint.concurrency):
            raise ModelError(
                f"{url} left {self.failed_in_a_row} queries in a row without an answer; the last error is {reason}. "
                "Earlier answers are cached: repair the server and start the run again."
            ) from None
        return NoAnswer(f"{url}: {reason}")

    @property
    def _secrets(self) -> list[str]:
        return [secret for secret in (self.key, self.proxy and self.proxy.password) if secret]

    def _redact(self, text: str) -> str:
        """The text in one short line without key and password; shortened afterwards, or a part of them could stay."""
        return messages.shorten(redact(text, self._secrets))

    def log_usage(self) -> None:
        """Log the token counts, and warn of truncated answers."""
        name, usage = f"{self.endpoint.model} at {self.endpoint.base_url}", self.usage
        if not usage["answers"]:
            return
        counts = (usage["answers"], usage["prompt_tokens"], usage["completion_tokens"], usage["retries"])
        log.info("%s: %d answers, %d prompt tokens, %d completion tokens, %d retries", name, *counts)
        if usage["truncated"]:
            log.warning(
                "%s: %d of %d answers reached their limit of new tokens (finish_reason length) and are used as they "
                "are. Increase prompt.max_new_tokens for complete ones.",
                *(name, usage["truncated"], usage["answers"]),
            )


@contextmanager
def open_client(endpoint: Endpoint) -> Iterator[ChatClient]:
    """A client whose pending requests are cancelled on exit.

    Raises:
        ConfigError: OpenAI's client is not installed, or the key or the proxy in the environment cannot be used.
    """
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        raise ConfigError("A server needs OpenAI's client: pip install 'openai>=3,<4'.") from error
    for name in ("httpcore", "httpcore2", "httpx", "httpx2", "openai"):  # they log every request and every retry
        logging.getLogger(name).setLevel(logging.WARNING)
    key, proxy = endpoint.api_key(), find_proxy(endpoint.base_url)
    openai_client = AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=key or "none",
        timeout=endpoint.timeout,
        max_retries=endpoint.retries,
        http_client=http_client(proxy),
    )
    if proxy is not None:
        _log_proxy(endpoint.base_url, str(proxy))
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    client = ChatClient(
        endpoint=endpoint,
        key=key,
        proxy=proxy,
        client=openai_client,
        loop=runner.get_loop(),
        slots=asyncio.Semaphore(endpoint.concurrency),
    )
    thread = Thread(target=_run_loop, args=(runner, openai_client), name="vaa-server", daemon=True)
    thread.start()
    try:
        yield client
    finally:
        client.loop.call_soon_threadsafe(client.loop.stop)
        thread.join()
        client.log_usage()


@cache
def _log_proxy(url: str, proxy: str) -> None:
    log.info("%s is reached through the proxy %s", url, proxy)


def _run_loop(runner: asyncio.Runner, openai_client: Any) -> None:
    with runner:
        runner.get_loop().run_forever()
        runner.run(_close(openai_client))


async def _close(openai_client: Any) -> None:
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await openai_client.close()
