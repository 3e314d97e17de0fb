"""The peak memory of a benchmark program."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def peak() -> float:
    """MB of this process, plus those of the largest child process that has ended.

    The own peak is read from /proc: `ru_maxrss` starts with that of the parent process.
    """
    own = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
