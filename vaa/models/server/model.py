"""Any server that speaks OpenAI's protocol: vLLM, SGLang, Ollama, hosted ones."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

from vaa import process
from vaa.errors import VaaError, VideoError
from vaa.models.base import Library, Requirements, libraries
from vaa.models.server import messages
from vaa.models.server.client import ChatClient, Endpoint
from vaa.types import Answer, ChatQuery, ChooseQuery, Floats, GenerateQuery, NoAnswer
from vaa.video import sources


@dataclass(frozen=True)
class ServerModel:
    """A model behind HTTP, asked `concurrency` questions at a time.

    The key is read from the environment variable `api_key_env` when it is needed; it and the frames go over plain http
    to this machine only, unless `allow_http`. `timeout` and `backoff` (the wait
    before the first retry, doubled for each further one) are seconds. `temperature`, `top_p` and `seed` may be None:
    the server's own. `limit` is the request's name for the number of new tokens, `extra` are further fields of it.
    Frames are sent as `image_format` (png, or jpeg with its quality: jpeg90), shrunk to `max_side` pixels.
    `revision` is a word of the user's own for what the model's name does not say.
    """

    base_url: str
    allow_http: bool
    model: str
    revision: str | None
    api_key_env: str | None
    concurrency: int
    timeout: float
    retries: int
    backoff: float
    temperature: float | None
    top_p: float | None
    seed: int | None
    limit: str
    extra: Mapping[str, Any]
    image_format: str
    max_side: int | None
    decoder: str

    accepts_frames: ClassVar[bool] = True

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise VaaError("base_url: give the address of a server, as in http://localhost:8000/v1.")
        if url.username or url.password or url.query:
            raise VaaError("base_url: no key belongs into it, since it is logged: name its variable by api_key_env.")
        if url.scheme == "http" and not (self.allow_http or _is_here(url.hostname)):
            raise VaaError(
                f"base_url={self.base_url}: over plain http anyone on the way reads the key and the frames. Give an "
                "https address, or allow_http=true where you trust the network between here and there."
            )
        for name, least in (("concurrency", 1), ("retries", 0), ("max_side", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise VaaError(f"{name}={value}: give at least {least}.")
        messages.check_format(self.image_format)

    def __hash__(self) -> int:
        return hash((self.base_url, self.model))

    @property
    def identity(self) -> str | None:
        """Model, sampling and what is done to frames; None where the same question may be answered differently."""
        # Not the endpoint: a model is served now from this port, now from that machine, and its answers stay its own.
        # Where one name stands for different weights (a 4-bit copy, a fine-tune), `revision` tells them apart.
        if self.seed is None and self.temperature != 0:
            return None
        shown = (self.image_format, self.max_side)
        hung = (self.model, self.revision, self.sampling, self.limit, self.extra, shown)
        return "server " + json.dumps(hung, sort_keys=True)

    @property
    def sampling(self) -> dict[str, float | int | None]:
        """How the next token is drawn."""
        return {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}

    @property
    def usage(self) -> dict[str, int]:
        """Answers (`cut` ones among them), prompt_tokens and completion_tokens since this process began."""
        return dict(_usage.get(self, {}))

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """Texts in order. See `_answers`."""
        return self._answers(queries)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """The probabilities of each query's choices, in order. See `_answers`."""
        return self._answers(queries)

    def _answers(self, queries: Sequence[ChatQuery]) -> Iterator[Any]:
        """In order, each as soon as it and those before it are there; frames are decoded while the server thinks.

        Raises:
            VaaError: no server is reached, it refuses the key, does not have the model, or stops answering for good.
        """
        if not queries:
            return
        waiting: deque[Future[Answer | NoAnswer]] = deque()
        endpoint = Endpoint(
            *(self.base_url, self.model, self.api_key_env, self.concurrency, self.timeout, self.retries, self.backoff)
        )
        with _opened(endpoint) as line, ThreadPoolExecutor() as pool:
            try:
                for query in queries:
                    if process.interrupt_requested():
                        break
                    waiting.append(self._put(line, pool, query))
                    while waiting and (waiting[0].done() or len(waiting) > 2 * self.concurrency):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
                process.check_interrupted()
            finally:
                _usage.setdefault(self, Counter()).update(line.counted)

    @property
    def requirements(self) -> Requirements:
        """A server, its client and the decoder."""
        client = Library(module="openai", remedy="pip install openai")
        return Requirements(name=self.model, url=self.base_url, libraries=(client, *libraries(self.decoder)))

    def release(self) -> None:
        """Nothing is held."""

    def _put(self, line: ChatClient, pool: ThreadPoolExecutor, query: ChatQuery) -> Future[Answer | NoAnswer]:
        """Decode in order (readers of videos cannot be shared), encode side by side, and let the line ask."""
        try:
            frames = sources.frames(query.video, query.frames, self.decoder) if query.frames else ()
        except VideoError as error:
            known: Future[Answer | NoAnswer] = Future()
            known.set_result(NoAnswer(str(error)))
            return known
        encode = partial(messages.data_url, image_format=self.image_format, max_side=self.max_side)
        images = list(pool.map(encode, frames))
        how = messages.asked(query, self.sampling, self.limit)
        body = {"model": self.model, "messages": messages.messages(query, images)}
        return line.put(query, body | {"extra_body": {**how, **self.extra}})


_usage: dict[ServerModel, Counter[str]] = {}


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@contextmanager
def _opened(endpoint: Endpoint) -> Iterator[ChatClient]:
    """A line that is closed, whatever is still under way on it, when it is left.

    Raises:
        VaaError: the client is not installed, or the key's variable is not set.
    """
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        raise VaaError("A server is asked by OpenAI's client: pip install 'vaa[server]'.") from error
    for chatty in ("httpx", "httpx2"):  # a line for each request
        logging.getLogger(chatty).setLevel(logging.WARNING)
    key, runner = endpoint.key(), asyncio.Runner(loop_factory=asyncio.new_event_loop)
    client = AsyncOpenAI(base_url=endpoint.base_url, api_key=key or "none", timeout=endpoint.timeout, max_retries=0)
    line = ChatClient(endpoint, key, client, runner.get_loop(), asyncio.Semaphore(endpoint.concurrency))
    thread = Thread(target=_turn, args=(runner, client), name="vaa-server", daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.loop.call_soon_threadsafe(line.loop.stop)
        thread.join()
        line.tell()


def _turn(runner: asyncio.Runner, client: Any) -> None:
    with runner:
        runner.get_loop().run_forever()
        runner.run(_close(client))


async def _close(client: Any) -> None:
    under_way = asyncio.all_tasks() - {asyncio.current_task()}
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await client.close()
