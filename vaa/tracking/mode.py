"""Where W&B keeps a run if nobody says, and how long it may take to begin."""

from __future__ import annotations

import netrc
import os
from contextlib import suppress
from urllib.parse import urlparse

_HOME = "https://api.wandb.ai"  # where keys of W&B's own service were kept before it had another address
_START = 90.0


def time_to_start() -> float:
    """Seconds that W&B gives itself to begin a run."""
    try:
        return float(os.environ.get("WANDB_INIT_TIMEOUT") or _START)
    except ValueError:
        return _START


def default_mode() -> str:
    """Online if a key is at hand, in the environment or in the netrc file; else offline."""
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    import wandb

    named = os.environ.get("WANDB_BASE_URL")
    hosts = [urlparse(url).hostname or "" for url in ([named] if named else [wandb.Settings().base_url, _HOME])]
    with suppress(OSError, netrc.NetrcParseError):
        known = netrc.netrc()
        if any(known.authenticators(host) for host in hosts):
            return "online"
    return "offline"
