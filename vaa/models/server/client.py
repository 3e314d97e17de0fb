"""The line to a server that speaks OpenAI's protocol: retries, the server's refusals in words, what it counted."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from vaa.errors import VaaError
from vaa.models.server import backoff, messages
from vaa.types import Answer, ChatQuery, ChooseQuery, NoAnswer

log = logging.getLogger("vaa")
_RETRIED = (408, 409, 425, 429)  # and 5xx
_PATIENCE = 600.0  # seconds that a server may ask us to wait
_TOLD = 10.0  # seconds of it that are worth a line
_IN_A_ROW = 8  # so many questions lost one after the other (or twice `concurrency`) end the run


@dataclass(frozen=True)
class Endpoint:
    """Where a model is served, and how patiently it is asked; seconds for `timeout` and `backoff`."""

    base_url: str
    model: str
    api_key_env: str | None
    concurrency: int
    timeout: float
    retries: int
    backoff: float

    def key(self) -> str | None:
        """The key, from the environment; None where none is wanted.

        Raises:
            VaaError: the variable is not set.
        """
        if self.api_key_env is None:
            return None
        if key := os.environ.get(self.api_key_env, "").strip():
            return key
        raise VaaError(
            f"api_key_env={self.api_key_env}: this environment variable is not set. Put the key of {self.base_url} "
            "into it, or give api_key_env=null for a server that wants none."
        )


@dataclass(frozen=True)
class _Retry:
    """A failure that may pass, and the seconds that the server asks us to wait."""

    reason: str
    wait: float = 0.0


@dataclass
class ChatClient:
    """A client in a loop of its own, and what has happened on it so far.

    `counted`: answers, cut answers, prompt_tokens, completion_tokens, as the server says them.
    """

    endpoint: Endpoint
    key: str | None = field(repr=False)
    client: Any
    loop: asyncio.AbstractEventLoop
    slots: asyncio.Semaphore
    reached: bool = False
    lost_in_a_row: int = 0
    counted: Counter[str] = field(default_factory=Counter)

    def put(self, query: ChatQuery, body: Mapping[str, Any]) -> Future[Answer | NoAnswer]:
        """Ask over there; the future may raise what ends the run."""
        talk: Coroutine[Any, Any, Answer | NoAnswer] = self._ask(query, body)
        return asyncio.run_coroutine_threadsafe(talk, self.loop)

    async def _ask(self, query: ChatQuery, body: Mapping[str, Any]) -> Answer | NoAnswer:
        async with self.slots:
            attempts = self.endpoint.retries + 1
            for attempt in range(1, attempts + 1):
                heard = await self._once(query, body)
                if not isinstance(heard, _Retry):
                    return heard
                if attempt == attempts or heard.wait > _PATIENCE:
                    return self._lost(f"{heard.reason} (attempt {attempt} of {attempts})")
                if heard.wait > _TOLD:
                    log.info("%s asks to wait %.0f s: %s", self.endpoint.base_url, heard.wait, heard.reason)
                await asyncio.sleep(backoff.pause(attempt, self.endpoint.backoff, heard.wait))
        raise AssertionError("the last attempt returns")

    async def _once(self, query: ChatQuery, body: Mapping[str, Any]) -> Answer | NoAnswer | _Retry:
        import openai

        try:
            heard = await self.client.chat.completions.with_raw_response.create(**body)
            self.reached = True
            return self._heard(messages.parsed(heard.text), query)
        except openai.APIStatusError as error:
            self.reached = True
            reason = f"HTTP {error.status_code}: {self._plain(messages.complaint(error.response.text))}"
            if error.status_code in _RETRIED or error.status_code >= 500:
                return _Retry(reason, backoff.wished(error.response.headers))
            return await self._refused(query, error.status_code, error.code, reason)
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            self.reached |= not cause.startswith("Connect")
            timed_out = isinstance(error, openai.APITimeoutError)
            says = f"no answer within timeout={self.endpoint.timeout} s" if timed_out else "the connection broke"
            return _Retry(f"{says} ({cause}: {self._plain(str(error.__cause__))})".replace(": )", ")"))
        except messages.GarbledError as error:
            return _Retry(self._plain(str(error)))

    def _heard(self, completion: Mapping[str, Any], query: ChatQuery) -> Answer | NoAnswer:
        usage = completion.get("usage")
        for name in ("prompt_tokens", "completion_tokens"):
            said = usage.get(name) if isinstance(usage, dict) else None
            self.counted[name] += said if isinstance(said, int) else 0
        self.counted["answers"] += 1
        self.lost_in_a_row = 0
        answer = messages.read(completion, query)
        self.counted["cut"] += isinstance(answer, str) and messages.was_cut(completion)
        return answer if not isinstance(answer, NoAnswer) else NoAnswer(self._plain(answer.reason))

    async def _refused(self, query: ChatQuery, status: int, code: str | None, reason: str) -> NoAnswer:
        url, variable = self.endpoint.base_url, self.endpoint.api_key_env
        if status in (401, 403):
            mend = (
                f"Is that in {variable} right?" if variable else "Name the variable that holds one: api_key_env=NAME."
            )
            raise VaaError(f"{url} refuses the key ({reason}). {mend}") from None  # its words may repeat the key
        if status == 404:
            raise VaaError(f"{url} has no model '{self.endpoint.model}' ({reason}). {await self._models()}") from None
        if isinstance(query, ChooseQuery) and "logprob" in reason:
            raise VaaError(f"{url}: {messages.NO_LOGPROBS} ({reason})") from None
        if code == "content_filter":
            return NoAnswer(f"the server's content filter refused the question ({reason})")
        return self._lost(reason) if not self.counted["answers"] else NoAnswer(reason)

    async def _models(self) -> str:
        try:
            heard = await self.client.models.with_raw_response.list()
            names = sorted(str(entry["id"]) for entry in json.loads(heard.text)["data"])
        except Exception:  # whatever it is, the 404 before it is what is told
            return f"It has no list of models either: does its address end in /v1 ({self.endpoint.base_url})?"
        return f"It has: {', '.join(names) or 'none'}. Give one as model=NAME."

    def _lost(self, reason: str) -> NoAnswer:
        url, self.lost_in_a_row = self.endpoint.base_url, self.lost_in_a_row + 1
        if not self.reached:
            raise VaaError(
                f"No server is reached at {url}: {reason}. Start one, as in `vllm serve {self.endpoint.model}`, or "
                "give its address as base_url=URL (docs/backbones.md, 'A server')."
            ) from None
        if self.lost_in_a_row >= max(_IN_A_ROW, 2 * self.endpoint.concurrency):
            raise VaaError(
                f"{url} left {self.lost_in_a_row} questions in a row without an answer, the last by {reason}. "
                "What it answered before is remembered: mend the server and run again."
            ) from None
        return NoAnswer(f"{url}: {reason}")

    def _plain(self, text: str) -> str:
        return messages.brief(text.replace(self.key, "***") if self.key else text)

    def tell(self) -> None:
        """Log what the questions cost, and warn of answers that were cut."""
        at, n = f"{self.endpoint.model} at {self.endpoint.base_url}", self.counted
        if not n["answers"]:
            return
        cost = (n["answers"], n["prompt_tokens"], n["completion_tokens"])
        log.info("%s: %d answers, %d prompt tokens, %d completion tokens", at, *cost)
        if n["cut"]:
            log.warning(
                "%s: %d of %d answers were cut at their limit of new tokens (finish_reason length); their text is used "
                "as it is. A larger prompt.max_new_tokens lets them end.",
                *(at, n["cut"], n["answers"]),
            )
