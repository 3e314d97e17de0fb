"""How much memory a program of the benchmarks has held at most."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def peak() -> float:
    """MB of this process and of the largest of those that it waited for.

    Its own is what the kernel says of its memory, not `ru_maxrss`: that begins with what the process held that started
    this one.
    """
    own = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
