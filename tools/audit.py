"""Known vulnerabilities of the versions in constraints.txt, by pip-audit: `python tools/audit.py` (`make audit`).

Exit status: 1 if there are any, 2 if pip-audit fails, else 0; also 0, with a message, if no vulnerability service can
be reached.
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
"""Identifier of a vulnerability -> why it does not concern vaa."""
_UNREACHABLE = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|HTTPError|Could not connect|SSLError|ProxyError")


def main(argv: list[str] | None = None) -> int:
    """Query one service after the other until one responds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requirement", type=Path, default=PINNED, help="a file of pinned versions")
    parser.add_argument("--service", nargs="+", default=["osv", "pypi"], help="services, in order")
    parser.add_argument("--osv-url", default="https://api.osv.dev/v1/query")
    parser.add_argument("--seconds", type=float, default=180.0, help="time limit for each service")
    args = parser.parse_args(argv)
    for service in args.service:
        result = _query(service, args)
        if isinstance(result, int):
            return result
        known = [entry for entry in result if "vulns" in entry]
        if known:
            return _report(service, known, [entry for entry in result if "vulns" not in entry])
        sys.stderr.write(f"audit: {service} cannot be reached.\n")
    sys.stderr.write("audit: NOT DONE: no vulnerability service can be reached.\n")
    return 0


def _query(service: str, args: argparse.Namespace) -> list[dict[str, Any]] | int:
    """Each pinned version, with `vulns` if the service knows it; the exit status if pip-audit fails."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(args.requirement), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", service, "--osv-url", args.osv_url, "--timeout", "10", "--format", "json"]
    command += ["--progress-spinner", "off"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=args.seconds)
    except subprocess.TimeoutExpired:
        return []
    try:
        return list(json.loads(process.stdout)["dependencies"])
    except ValueError:
        pass
    if _UNREACHABLE.search(process.stderr):
        return []
    sys.stderr.write(f"audit: pip-audit itself failed:\n{process.stderr[-2000:]}\n")
    return 2


def _report(service: str, known: list[dict[str, Any]], unknown: list[dict[str, Any]]) -> int:
    count = 0
    for entry in known:
        for vulnerability in entry["vulns"]:
            names = {vulnerability["id"], *vulnerability.get("aliases", [])}
            ignored = next((IGNORED[name] for name in sorted(names) if name in IGNORED), None)
            count += ignored is None
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
            remark = f"ignored: {ignored}" if ignored else f"fixed in {fixed}"
            sys.stderr.write(f"audit: {entry['name']} {entry['version']}: {', '.join(sorted(names))} ({remark})\n")
    others = f"; not known there: {', '.join(entry['name'] for entry in unknown)}" if unknown else ""
    sys.stderr.write(f"audit: {service} knows {count} vulnerabilities in {len(known)} pinned versions{others}.\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
