"""The prompts of conf/ that the tiny VLM is trained on, and their hashes: a checkpoint answers only these texts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from vaa.installation import CONF
from vaa.prompts.parsers import CaptionParser
from vaa.prompts.template import Prompt

CHECKPOINTS = Path(__file__).parent / "checkpoints"
_ONE_PER_FILE = {
    "verdict": "corevad",
    "threshold": "probe",
    "score": "plain",
    "guided": "vera_ucf",
    "guided_xd": "vera_xd",
    "guided_digit": "vera_ucf_digit",
    "guided_xd_digit": "vera_xd_digit",
    "watch": "watch",
}
_URF = ("describe", "rate", "rerate", "tags", "box", "box_any", "understand")


def _prompt(fields: dict[str, Any]) -> Prompt:
    return Prompt(**{k: v for k, v in fields.items() if k not in ("_target_", "parser")}, parser=CaptionParser())


def load_prompts() -> dict[str, Prompt]:
    """The prompts that the tiny VLM is trained on, by name, without their parsers."""
    prompts = {
        name: yaml.safe_load((CONF / "prompt" / f"{file}.yaml").read_text()) for name, file in _ONE_PER_FILE.items()
    }
    urf = yaml.safe_load((CONF / "prompt/urf.yaml").read_text())
    lavad = yaml.safe_load((CONF / "prompt/lavad.yaml").read_text())
    prompts |= {name: urf[name] for name in _URF}
    prompts |= {"frame": urf["describe"] | lavad["describe"], "summarise": lavad["summarise"]}
    prompts["watch_for"] = prompts["watch"] | {"text": prompts["watch"]["definition_text"]}
    return {name: _prompt(fields) for name, fields in prompts.items()}


def fingerprints() -> dict[str, str]:
    """Prompt -> hash of the texts that the model gets."""
    texts = {name: f"{prompt.system}\0{prompt.text}" for name, prompt in load_prompts().items()}
    return {name: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for name, text in texts.items()}


def write_fingerprints(folder: Path) -> None:
    """Write `prompts.json` beside a checkpoint."""
    (folder / "prompts.json").write_text(json.dumps(fingerprints(), indent=1) + "\n")
