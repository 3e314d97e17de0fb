from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAID = "import os, vaa; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "None")],
    ids=str,
)
def test_threads_spin_a_little_unless_somebody_says_otherwise(given: dict[str, str], said: str) -> None:
    theirs = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    found = subprocess.run(
        [sys.executable, "-c", SAID], env={**theirs, **given}, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == said
