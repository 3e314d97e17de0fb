"""The Hugging Face hub: where a checkpoint is loaded from, decided in seconds also where there is no network."""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.checkpoints.files import packaged_hint, resolve_checkpoint
from vaa.process import run_with_timeout

log = logging.getLogger("vaa")
_NAME = re.compile(r"\w[\w.-]*/[\w.-]+", re.ASCII)
_TIMEOUT = 4.0  # seconds, to connect and to get the first byte, unless HF_HUB_ETAG_TIMEOUT says otherwise


def find_checkpoint(checkpoint: str, revision: str | None) -> str:
    """Return what a checkpoint is loaded from: its folder, or its name on the hub, which is known to be reached.

    A checkpoint in the hub's cache is loaded from there, with a warning, if the hub is not reached.

    Raises:
        ConfigError: the name is empty.
        ModelError: there is no such folder and no such name, or the hub is not reached and its cache has no copy.
    """
    path = Path(resolve_checkpoint(checkpoint))
    if path.is_dir():
        return str(path)
    if path.is_file():
        raise ModelError(f"'{checkpoint}' is a file: give the folder that contains it and the other files.")
    from huggingface_hub import constants

    cached = cached_folder(checkpoint, revision)
    if cached is None and not is_hub_name(checkpoint):
        raise ModelError(
            f"'{checkpoint}': no such folder, and no name on the hub, which look like ORG/NAME "
            f"(OpenGVLab/InternVL3-8B-hf).{packaged_hint(checkpoint)}"
        )
    fault = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else hub_fault()
    if not fault or (cached and constants.HF_HUB_OFFLINE):
        return checkpoint
    if cached:
        _warn_cached(checkpoint, str(cached), fault)
        return str(cached)
    raise ModelError(
        f"'{checkpoint}' is no folder here, the hub is not reached ({fault}), and its cache ({constants.HF_HUB_CACHE}) "
        "has no copy. To go on offline: download it on another machine (hf download) and give its folder as "
        "checkpoint=FOLDER, or copy that machine's cache, name it by HF_HUB_CACHE and set HF_HUB_OFFLINE=1. Without a "
        "download: a server (vlm=server, llm=server) or the built-in models (vlm=tiny encoder=tiny_clip)."
    )


def access_hint(checkpoint: str, error: BaseException) -> str:
    """How to get access to a repository of which the hub says that it is gated; "" for other errors."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError

    causes: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in causes:
        causes.append(each)
        each = each.__cause__ or each.__context__
    if not any(isinstance(cause, GatedRepoError) for cause in causes):
        return ""
    return (
        f"'{checkpoint}' is gated: accept its licence on {constants.ENDPOINT}/{checkpoint}, then give your token, by "
        "`hf auth login` or HF_TOKEN. Or choose another model; a folder with its files works too."
    )


def access_fault(checkpoint: str, revision: str | None) -> str:
    """Why the hub refuses a repository and what to do, "" if it does not: one request, without retries."""
    from huggingface_hub import constants, get_session, hf_hub_url
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    if constants.HF_HUB_OFFLINE:
        return ""
    url, timeout = hf_hub_url(checkpoint, "config.json", revision=revision), _timeout()

    def request() -> Any:
        return get_session().head(url, headers=build_hf_headers(), timeout=timeout, follow_redirects=True)

    try:
        hf_raise_for_status(run_with_timeout(2 * timeout, request))
    except RevisionNotFoundError:
        return f"'{checkpoint}' has no revision {revision or 'main'} on the hub"
    except Exception as error:  # whether the hub is reached is another check
        if hint := access_hint(checkpoint, error):
            return hint
        private = f"the hub has no '{checkpoint}', or it is private and needs a token (`hf auth login` or HF_TOKEN)"
        return private if isinstance(error, RepositoryNotFoundError) else ""
    return ""


def is_hub_name(checkpoint: str) -> bool:
    """Whether this can be a name on the hub: ORG/NAME."""
    return _NAME.fullmatch(checkpoint) is not None and ".." not in checkpoint


def cached_folder(checkpoint: str, revision: str | None) -> Path | None:
    """The folder of a checkpoint in the hub's cache, None if it has none; some of its files may be missing."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(checkpoint, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None


@cache
def hub_fault() -> str:
    """Why the hub is not reached, "" if it is: one request without the retries of huggingface_hub."""
    from huggingface_hub import constants, get_session

    # It prints its own messages, and they also reach the handlers of the run: once is enough.
    logging.getLogger("huggingface_hub").handlers.clear()
    for client in ("httpx", "httpx2"):  # a line for each request
        logging.getLogger(client).setLevel(logging.WARNING)
    timeout = _timeout()
    try:
        # The limit for the whole covers the resolution of the name, which has no limit of its own.
        response = run_with_timeout(2 * timeout, lambda: get_session().head(constants.ENDPOINT, timeout=timeout))
    except Exception as error:  # of httpx2, or of httpx and requests in other versions of huggingface_hub
        reason = (str(error).strip().splitlines() or [""])[0]
        return f"{constants.ENDPOINT}: {type(error).__name__}{f': {reason}' if reason else ''}"
    return f"{constants.ENDPOINT}: HTTP {response.status_code}" if response.status_code >= 500 else ""


def _timeout() -> float:
    return float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or _TIMEOUT)


@cache
def _warn_cached(checkpoint: str, folder: str, fault: str) -> None:
    log.warning(
        "The hub is not reached (%s): '%s' is loaded from its cache (%s). HF_HUB_OFFLINE=1 skips this attempt.",
        *(fault, checkpoint, folder),
    )
