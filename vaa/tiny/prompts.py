"""The project's prompts as they are in conf/, and their fingerprint: a trained checkpoint answers these texts only."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from vaa.process import PROJECT_ROOT
from vaa.prompts.parsers import CaptionParser
from vaa.prompts.template import Prompt

CONF = PROJECT_ROOT / "conf" / "prompt"
CHECKPOINTS = Path(__file__).parent / "checkpoints"
_SINGLE = {"verdict": "corevad", "threshold": "probe", "score": "plain", "guided": "vera_ucf", "guided_xd": "vera_xd"}
_CHAIN = ("describe", "rate", "rerate", "tags", "box", "box_any", "understand")


def _prompt(fields: dict[str, Any]) -> Prompt:
    return Prompt(**{k: v for k, v in fields.items() if k not in ("_target_", "parser")}, parser=CaptionParser())


def prompts() -> dict[str, Prompt]:
    """The prompts that the tiny VLM is taught, by name, without their readers."""
    single = {name: yaml.safe_load((CONF / f"{file}.yaml").read_text()) for name, file in _SINGLE.items()}
    chain = yaml.safe_load((CONF / "urf.yaml").read_text())
    lavad = yaml.safe_load((CONF / "lavad.yaml").read_text())
    ancestor = {"frame": chain["describe"] | lavad["describe"], "summarise": lavad["summarise"]}
    every = single | {name: chain[name] for name in _CHAIN} | ancestor
    return {name: _prompt(fields) for name, fields in every.items()}


def fingerprints() -> dict[str, str]:
    """For every prompt a hash of the texts that reach the model."""
    texts = {name: f"{prompt.system}\0{prompt.text}" for name, prompt in prompts().items()}
    return {name: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for name, text in texts.items()}


def remember(folder: Path) -> None:
    """Write the fingerprints beside a checkpoint."""
    (folder / "prompts.json").write_text(json.dumps(fingerprints(), indent=1) + "\n")
