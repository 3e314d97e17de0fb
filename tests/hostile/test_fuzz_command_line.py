"""Misspelt keys, misspelt choices and values of another type, of every key of the config: none is ignored.

The suite runs 40 of them; `python -m pytest -m fuzz tests/hostile/test_fuzz_command_line.py` runs twice 500.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command_line import compose_args, experiment
from omegaconf import OmegaConf

from vaa.choices import GROUPS, choices

COMMANDS: tuple[tuple[str, ...], ...] = (
    (),
    ("method=urf_full", "data=folder", "data.root=clips", "vlm=qwen2_5_vl", "llm=qwen3", "engine=ray"),
    ("method=plain", "vlm=server", "vlm.model=m", "readout=eleven"),
    ("method=lavad", "data=ucf_crime", "data.root=.", "llm=server", "llm.model=m"),
    ("method=probe", "vlm=internvl", "smoothing=savgol", "position=centre"),
    ("method=vera", "encoder=siglip2", "vlm=qwen3_vl", "readout=zero_one"),
    ("method=scored", "scores.root=.", "smoothing=relative"),
    ("data=stream", "data.url=rtsp://camera/stream", "vlm=recorded", "vlm.root=."),
)
"""Command lines without a mistake; together they have all groups and most choices' fields."""
FREE = {"run", "extra", "options"}
"""Parts whose keys or values are free: `run` refers to the others, and the others are passed to a server or FFmpeg."""
WRONG: dict[type, tuple[str, ...]] = {
    bool: ("maybe", "1", "0.5", "[true]", "yes", "null", "{a:1}"),
    int: ("abc", "2.5", "true", "1e2", "[1]", "-7", "nan", "{a:1}", "1O", "null"),
    float: ("high", "true", "[0.5]", "-7", "nan", "inf", "{a:1}", "0..5", "null"),
    str: ("[a]", "{a:1}", "20240101", "2024_01_01", "0.5", "true"),
    list: ("x", "3", "{a:1}", "true"),
    type(None): ("None", "{a:1}", "[a]"),
}
"""Type of a field's value -> values that no field with such a value takes."""
NULL_IS_RIGHT = {f"{model}.{name}" for model in ("vlm", "llm") for name in ("max_side", "generation.temperature")}
NULL_IS_RIGHT |= {"data.height"}
"""Fields with a number by default, for which null has a meaning."""


TAKE_ANY_TEXT = ("watch_for", "ignore")  # and lists of texts
TAKE_NUMBERS = ("wandb.project",)  # as texts


def leaves(config: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict):
        for key, value in config.items():
            yield from leaves(value, f"{where}.{key}".strip("."))
    else:
        yield where, config


@cache
def fields(command: tuple[str, ...]) -> dict[str, Any]:
    """Dotted key -> its value, of all that a command line composes."""
    cfg = compose_args(command)
    config = OmegaConf.to_container(cfg)
    assert isinstance(config, dict)
    groups = {key: value for key, value in config.items() if key not in ("hydra", "run")}
    return {key: value for key, value in leaves(groups) if not FREE & set(key.split(".")) and "_target_" not in key}


def misspelt(word: str, rng: random.Random) -> str:
    """The word with one letter left out, doubled, exchanged with the next, replaced, or of the other case."""
    k = rng.randrange(len(word))
    kinds = (
        word[:k] + word[k + 1 :],
        word[:k] + word[k] * 2 + word[k + 1 :],
        word[:k] + word[k : k + 2][::-1] + word[k + 2 :],
        word[:k] + rng.choice(string.ascii_lowercase) + word[k + 1 :],
        word[:k] + word[k].swapcase() + word[k + 1 :],
    )
    return rng.choice([kind for kind in kinds if kind not in ("", word)])


def mistake(rng: random.Random) -> tuple[tuple[str, ...], str]:
    """A command line and a wrong override of it."""
    command = rng.choice(COMMANDS)
    known = fields(command)
    key = rng.choice(sorted(name for name in known if name.rpartition(".")[2] not in TAKE_ANY_TEXT))
    kind = rng.choice(("key", "value", "value", "choice", "group", "part"))
    if kind == "choice":
        group = rng.choice([group for group in GROUPS if group != "run"])
        wrong = misspelt(rng.choice(sorted(choices(group))), rng)
        return command, f"{group}={wrong}" if wrong not in choices(group) else f"{group}={wrong}x"
    if kind == "group":
        group = misspelt(rng.choice(sorted(GROUPS)), rng)
        return command, f"{group}=none" if group not in {**GROUPS, **known} else f"{group}q=none"
    if kind == "key":
        parts = key.split(".")
        k = rng.randrange(len(parts))
        wrong = ".".join([*parts[:k], misspelt(parts[k], rng), *parts[k + 1 :]])
        return command, f"{wrong}=1" if wrong not in known else f"{key}x=1"
    if kind == "part" and "." in key:
        return command, f"{key.split('.')[0]}={rng.choice(('5', 'abc', 'true', '0.5', '[1,2]'))}"
    value = known[key]
    if isinstance(value, str) and value.startswith("${"):
        return command, f"{key}={rng.choice(('{a:1}', '[x]', '1.25'))}"
    wrong = rng.choice(WRONG[type(value)])
    while (key in TAKE_NUMBERS and wrong[0].isdigit()) or (key in NULL_IS_RIGHT and wrong == "null"):
        wrong = rng.choice(WRONG[type(value)])
    return command, f"{key}={wrong}"


def ignores(command: tuple[str, ...], override: str) -> str:
    """Why a mistake is not refused as it should be; empty if it is."""
    key = override.partition("=")[0]
    is_field = key in fields(command)
    result = experiment(command, [override]) if is_field else experiment([*command, override])
    if not isinstance(result, str):
        return f"{' '.join(command)} {override}: accepted"
    if key.rpartition(".")[2] not in result:
        return f"{' '.join(command)} {override}: not named in {result!r}"
    return ""


def test_the_commands_without_a_mistake_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        assert not isinstance(experiment(command), str), command


@pytest.mark.parametrize(
    ("count", "seed"), [(40, 20), *(pytest.param(500, seed, marks=pytest.mark.fuzz) for seed in (1, 2))]
)
def test_no_mistake_is_ignored_or_ends_in_a_traceback(
    count: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed)
    ignored = [
        reason for command, override in (mistake(rng) for _ in range(count)) if (reason := ignores(command, override))
    ]
    assert ignored == []
