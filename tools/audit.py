"""Known faults of the versions that constraints.txt pins, by pip-audit: `python tools/audit.py` (see `make audit`).

Exit status: 1 where a fault is known, 2 where the audit itself is broken, else 0; also 0, and said, where no service
that knows of faults can be reached: nothing is known then.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "constraints.txt"
IGNORED: dict[str, str] = {}
"""Identifier of a fault -> why it does not concern vaa."""
_UNREACHED = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|HTTPError|Could not connect|SSLError|ProxyError")


def main(words: list[str] | None = None) -> int:
    """Ask one service after the other until one answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requirement", type=Path, default=PINNED, help="a file of pinned versions")
    parser.add_argument("--service", nargs="+", default=["osv", "pypi"], help="whom to ask, in order")
    parser.add_argument("--osv-url", default="https://api.osv.dev/v1/query")
    parser.add_argument("--seconds", type=float, default=180.0, help="the most that one service may take")
    asked = parser.parse_args(words)
    for service in asked.service:
        found = _ask(service, asked)
        if isinstance(found, int):
            return found
        known = [entry for entry in found if "vulns" in entry]
        if known:
            return _say(service, known, [entry for entry in found if "vulns" not in entry])
        sys.stderr.write(f"audit: {service} cannot be asked from here.\n")
    sys.stderr.write("audit: NOT DONE: no service that knows of faults can be reached. Nothing is known.\n")
    return 0


def _ask(service: str, asked: argparse.Namespace) -> list[dict[str, Any]] | int:
    """Each pinned version with its faults, without them where it is not known there; a status where that broke."""
    words = [sys.executable, "-m", "pip_audit", "--requirement", str(asked.requirement), "--no-deps", "--disable-pip"]
    words += ["--vulnerability-service", service, "--osv-url", asked.osv_url, "--timeout", "10", "--format", "json"]
    words += ["--progress-spinner", "off"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=asked.seconds)
    except subprocess.TimeoutExpired:
        return []
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except ValueError:
        pass
    if _UNREACHED.search(done.stderr):
        return []
    sys.stderr.write(f"audit: pip-audit itself failed:\n{done.stderr[-2000:]}\n")
    return 2


def _say(service: str, known: list[dict[str, Any]], unknown: list[dict[str, Any]]) -> int:
    faults = 0
    for entry in known:
        for fault in entry["vulns"]:
            names = {fault["id"], *fault.get("aliases", [])}
            ignored = next((IGNORED[name] for name in sorted(names) if name in IGNORED), None)
            faults += ignored is None
            mended = ", ".join(fault.get("fix_versions", [])) or "no version yet"
            said = f"ignored: {ignored}" if ignored else f"mended in {mended}"
            sys.stderr.write(f"audit: {entry['name']} {entry['version']}: {', '.join(sorted(names))} ({said})\n")
    left = f"; {len(unknown)} are not known there: {', '.join(entry['name'] for entry in unknown)}" if unknown else ""
    sys.stderr.write(f"audit: {service} knows of {faults} faults in {len(known)} pinned versions{left}.\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
