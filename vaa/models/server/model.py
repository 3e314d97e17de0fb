"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama or a hosted one."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

from vaa import process
from vaa.errors import ConfigError
from vaa.generation import GenerationConfig
from vaa.models.base import Library, Requirements, libraries
from vaa.models.server import messages
from vaa.models.server.client import ChatClient, Endpoint, open_client
from vaa.models.server.network import is_this_machine
from vaa.types import Answer, ChatQuery, ChooseQuery, DecoderName, Floats, GenerateQuery, NoAnswer
from vaa.video.prefetch import FramePrefetcher, Frames, Prepared, PreparedBatch


@dataclass(frozen=True, kw_only=True)
class ServerModel:
    """A model behind HTTP, with up to `concurrency` requests at a time.

    Args:
        base_url: the server's address.
        allow_http: permit plain http to another machine; the key and the frames are then readable on the network.
        model: its name at the server.
        revision: any text; it separates cached answers of different weights that are served under one name.
        api_key_env: name of the environment variable with the key, None for a server without keys.
        timeout: seconds for one request.
        retries: by OpenAI's client, with growing pauses or those of the server's Retry-After.
        generation: how tokens are chosen; None in it for the server's own.
        token_limit: the request's field for the maximum number of new tokens.
        extra: further fields of the request.
        logprobs: whether the server gives the log-probabilities of tokens.
        image_format: png, or jpeg with its quality, as in jpeg90.
        max_side: longer frames are reduced to this many pixels, None for never.
        decoder: of videos, decord or pyav.
    """

    base_url: str
    allow_http: bool
    model: str
    revision: str | None
    api_key_env: str | None
    concurrency: int
    timeout: float
    retries: int
    generation: GenerationConfig
    token_limit: str
    extra: Mapping[str, Any]
    logprobs: bool
    image_format: str
    max_side: int | None
    decoder: DecoderName

    accepts_frames: ClassVar[bool] = True

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError("base_url: give the address of a server, as in http://localhost:8000/v1.")
        if url.username or url.password or url.query:
            raise ConfigError("base_url must not contain a key, since it is logged: name its variable by api_key_env.")
        if url.scheme == "http" and not (self.allow_http or is_this_machine(url.hostname)):
            raise ConfigError(
                f"base_url={self.base_url}: with plain http, the key and the frames are readable on the network. Give "
                "an https address, or allow_http=true if you trust the network."
            )
        for name, minimum in (("concurrency", 1), ("timeout", 0.001), ("retries", 0), ("max_side", 1)):
            if (value := getattr(self, name)) is not None and value < minimum:
                raise ConfigError(f"{name}={value}: must be at least {minimum}.")
        messages.check_format(self.image_format)

    def __hash__(self) -> int:
        return hash((self.base_url, self.model))

    @property
    def identity(self) -> str | None:
        """Model, sampling and image settings; None if equal queries may get different answers."""
        if self.generation.seed is None and self.generation.temperature != 0:
            return None
        # Without base_url: the same model may be served at another address.
        images = (self.image_format, self.max_side)
        generation = asdict(self.generation)
        if generation["top_k"] is None:  # as in earlier versions, which had no top_k
            del generation["top_k"]
        settings = (self.model, self.revision, generation, self.token_limit, self.extra, images)
        return "server " + json.dumps(settings, sort_keys=True)

    @property
    def gives_probabilities(self) -> bool:
        """Whether the server gives the log-probabilities of tokens."""
        return self.logprobs

    @property
    def usage(self) -> dict[str, int]:
        """Counts of this process: answers, `truncated` answers, retries, prompt_tokens and completion_tokens."""
        return dict(_usage.get(self, {}))

    @property
    def requirements(self) -> Requirements:
        """A server, its client and the decoder."""
        client = Library(module="openai", remedy="pip install 'openai>=3,<4'")
        return Requirements(name=self.model, url=self.base_url, libraries=(client, *libraries(self.decoder)))

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """The text generated for each query, in order."""
        return self._answer(queries)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """The probabilities of each query's choices, shape (choices,), in order."""
        return self._answer(queries)

    def release(self) -> None:
        """Nothing to free."""

    def _answer(self, queries: Sequence[ChatQuery]) -> Iterator[Any]:
        """Answers in order, each as soon as it and those before it are complete; frames are decoded meanwhile.

        Raises:
            ConfigError: the server refuses the key, or does not have the model or log-probabilities.
            ModelError: no server answers, or it stops answering.
        """
        if not queries:
            return
        pending: deque[Future[Answer | NoAnswer]] = deque()
        endpoint = Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            timeout=self.timeout,
            retries=self.retries,
        )
        with open_client(endpoint) as client, ThreadPoolExecutor() as pool, self._prefetcher(pool) as prefetcher:
            try:
                for query in queries:
                    if process.interrupt_requested():
                        break
                    pending.append(self._submit(client, prefetcher.get([query])))
                    while pending and (pending[0].done() or len(pending) > 2 * self.concurrency):
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
                process.check_interrupted()
            finally:
                _usage.setdefault(self, Counter()).update(client.usage)

    def _prefetcher(self, pool: ThreadPoolExecutor) -> FramePrefetcher[ChatQuery]:
        """Decodes frames in this thread (decoders cannot be shared by threads) and encodes them in the pool."""
        encode = partial(messages.data_url, image_format=self.image_format, max_side=self.max_side)

        def prepare(_queries: Sequence[ChatQuery], frames: Sequence[Frames]) -> Prepared:
            return Prepared({}, list(pool.map(encode, frames[0])))

        return FramePrefetcher(prepare=prepare, decoder=self.decoder, workers=0, readahead=True)

    def _submit(self, client: ChatClient, batch: PreparedBatch[ChatQuery]) -> Future[Answer | NoAnswer]:
        """Send the request of one query, unless its frames cannot be decoded."""
        if batch.errors:
            failed: Future[Answer | NoAnswer] = Future()
            failed.set_result(NoAnswer(batch.errors[0]))
            return failed
        (query,) = batch.queries
        fields = messages.generation_fields(query, self.generation, self.token_limit)
        body = {"model": self.model, "messages": messages.chat_messages(query, batch.prepared.extra)}
        return client.submit(query, body | {"extra_body": {**fields, **self.extra}})


_usage: dict[ServerModel, Counter[str]] = {}
