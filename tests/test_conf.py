"""Every yaml in conf/ is a test: composed as run.py composes it, instantiated, and compared with its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from vaa.data.base import DatasetLoader
from vaa.engines.base import Engine
from vaa.evaluation.protocol import Protocol
from vaa.models.base import LLM, VLM, Encoder
from vaa.prompts.template import Prompt
from vaa.stages.base import ModelStage, Transform
from vaa.stages.text_retrieval import Memory
from vaa.streaming.stream import Stream

CONF = Path(__file__).parents[1] / "conf"
FILES = {file.relative_to(CONF).as_posix(): file for file in sorted(CONF.rglob("*.yaml"))}
KINDS = {
    "vlm": VLM,
    "boxer": VLM,
    "llm": LLM,
    "encoder": Encoder,
    "data": DatasetLoader | Stream,
    "engine": Engine,
    "protocol": Protocol,
    "window": Transform,
    "refinement": Transform | ModelStage,
    "smoothing": Transform,
    "readout": Transform | ModelStage,
    "position": Transform,
    "prompt": Prompt,
    "suspicious_window": Transform | ModelStage,
    "memory": Memory,
    "scores": Transform,
}

FITS = {"readout/zero_one.yaml": "vera", "readout/eleven.yaml": "plain"}  # a read-out belongs to a prompt


def read(name: str) -> dict[str, Any]:
    content = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def targets(config: Any, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every part of a config that names a class, with its place."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield where, config
        for key, value in config.items():
            yield from targets(value, f"{where}.{key}".strip("."))


def methods_with(group: str) -> list[str]:
    """The methods that list the group among their defaults; CoReVAD first, since most have most in common with it."""
    names = sorted((Path(name).stem for name in FILES if name.startswith("method/")), key=lambda n: (n != "corevad", n))
    return [n for n in names if any(f"/{group}" in default for default in read(f"method/{n}.yaml").get("defaults", []))]


def leaves(config: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from leaves(value, f"{where}.{key}".strip("."))
    else:
        yield where, config


def complete(config: DictConfig, folder: Path) -> DictConfig:
    """Fill mandatory values (`???`), with a folder for a root and a file for labels, and create all roots."""
    (folder / "labels.json").write_text("[]")
    for key, value in leaves(OmegaConf.to_container(config)):
        if value == "???":
            OmegaConf.update(config, key, str(folder / "labels.json" if key.endswith("labels") else folder))
    for key, value in leaves(OmegaConf.to_container(config, resolve=True)):
        if key.endswith(".root") and value and Path(value).is_relative_to(folder):
            Path(value).mkdir(parents=True, exist_ok=True)
    return config


def composed(overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides)


def overrides_for(name: str) -> list[str] | None:
    """The command line that takes this choice; None if no method has its group, or it is no choice of one object."""
    group, _, choice = name.removesuffix(".yaml").rpartition("/")
    if not group:
        return []
    if name == "run/stream.yaml":
        return ["data=stream"]
    if group in ("run", "method", "data", "engine", "protocol", "experiment"):
        return [f"{group}={choice}"]
    users = [FITS[name]] if name in FITS else methods_with(group)
    one = "_target_" in OmegaConf.to_container(alone(name))[group]  # type: ignore[index]
    return [f"method={users[0]}", f"{group}={choice}"] if users and one else None


def alone(name: str) -> DictConfig:
    """A choice with all that it builds on, and what choices refer to beside it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        choice = compose(name.removesuffix(".yaml"))
    config = read("config.yaml")
    shared = {key: value for key, value in config.items() if key == "vllm" or not isinstance(value, dict | list)}
    beside = OmegaConf.create({**shared, "vlm": read("vlm/tiny.yaml"), "prompt": read("prompt/urf.yaml")})
    OmegaConf.set_struct(choice, False)
    return OmegaConf.merge(beside, choice)  # type: ignore[return-value]


@pytest.mark.parametrize("name", FILES)
def test_a_choice_composes_and_is_instantiated(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    group, overrides = name.split("/")[0], overrides_for(name)
    if overrides is None:
        part = instantiate(complete(alone(name), tmp_path), _convert_="all")[group]
        parts = list(part.values()) if isinstance(part, dict) else [part]
    else:
        whole = instantiate(complete(composed(overrides), tmp_path), _convert_="all")
        assert whole["stages"]
        for stage in whole["stages"].values():
            assert stage is None or isinstance(stage, Transform | ModelStage)
        assert isinstance(whole["data"], KINDS["data"])
        assert isinstance(whole["engine"], Engine)
        assert isinstance(whole["protocol"], Protocol)
        parts = [whole[group]] if group in KINDS else []
    for one in parts:
        assert isinstance(one, KINDS[group])


@pytest.mark.parametrize("name", FILES)
def test_yaml_keys_are_field_names_and_defaults_live_in_yaml_only(name: str) -> None:
    for where, part in targets(read(name)):
        if where.startswith("hydra."):  # a class that Hydra calls
            continue
        target = get_class(part["_target_"])
        assert is_dataclass(target), f"{where}: {target} is no dataclass"
        known = [field for field in fields(target) if field.init]
        assert part.keys() - {"_target_", "defaults"} == {field.name for field in known}, where
        with_default = [f.name for f in known if f.default is not MISSING or f.default_factory is not MISSING]
        assert not with_default, f"{where}: {target.__name__} has defaults of its own for {with_default}"


@pytest.mark.parametrize("name", FILES)
def test_the_first_line_describes_the_choice(name: str) -> None:
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if not line.startswith("# @package"))
    assert first.startswith("# ")
    assert 10 < len(first.removeprefix("# ")) <= 90


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("prompt/")])
def test_a_prompts_placeholders_can_be_filled(name: str) -> None:
    prompts = [part for _, part in targets(read(name)) if part["_target_"] == "vaa.prompts.template.Prompt"]
    assert prompts
    for prompt in prompts:
        assert "$frames" not in prompt["system"]
        assert prompt["max_new_tokens"] > 0


def test_every_group_is_of_a_known_kind() -> None:
    groups = {name.split("/")[0] for name in FILES if "/" in name}
    assert groups <= KINDS.keys() | {"run", "method", "experiment", "hydra"}
