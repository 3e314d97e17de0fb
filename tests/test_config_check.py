"""Settings that are missing, unknown or of another type are named as the user wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from command_line import experiment

from vaa.config_check import check
from vaa.errors import ConfigError


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["window.n_frames=abc"], "window.n_frames=abc: a whole number is needed."),
        (["window.n_frames=2.5"], "window.n_frames=2.5: a whole number is needed."),
        (["window.n_frames=true"], "window.n_frames=true: a whole number is needed."),
        (["window.n_frames=null"], "window.n_frames=null: a whole number is needed."),
        (["window.n_frames=[1]"], "window.n_frames=[1]: a whole number is needed."),
        (["alerts.threshold=high"], "alerts.threshold=high: a number is needed."),
        (["alerts.threshold=nan"], "alerts.threshold=nan: a number is needed."),
        (["alerts.gap=inf"], "alerts.gap=inf: a number is needed."),
        (["plots=maybe"], "plots=maybe: true or false is needed."),
        (["decode_timeout=soon"], "decode_timeout=soon: a number is needed."),
        (["doctor=maybe"], "doctor=maybe: true or false is needed."),
        (["limit=0.4"], "limit=0.4: a whole number or null is needed."),
        (["limit=1e2"], "limit=1e2: a whole number or null is needed."),
        (["limit=None"], "limit=None: a whole number or null is needed. Write limit=null."),
        (["limit=0"], "limit=0: must be at least 1"),
        (["limit=-1"], "limit=-1: must be at least 1"),
        (["cache=None"], "cache=None: a text or null is needed. Write cache=null."),
        (["data=folder", "data.root=2024_01_01"], "a text is needed. Quote it: 'data.root=\"2024_01_01\"'."),
        (["data=folder", "data.root=12"], "data.root=12: a text is needed. Quote it: 'data.root=\"12\"'."),
        (["data=folder", "data.root="], "data.root= is empty"),
        (["limit="], "limit= is empty"),
        (["data=folder", 'data.root=""'], None),
        (["data=folder"], "data.root is not set: the folder of your videos, or one file, as in data.root=/data/clips."),
        (["data=msad"], "data.root is not set: the folder of annotations/ and videos/, as in data.root=/data/msad."),
        (["vlm=server"], "vlm.model is not set: its name at the server, as in vlm.model="),
        (["method=scored"], "scores.root is not set: the folder"),
        (["method=urf_judge"], "scores.root is not set: the folder of the scores"),
        (["protocol=vera"], "protocol.labels is not set: a JSON file"),
        (["vlm=server", "data=folder"], "data.root is not set"),
        (["page=true"], "page=true: a group of settings or null is needed. Its settings are written page.NAME=VALUE."),
        (["page=false"], "page=false: a group of settings or null is needed. Write page=null."),
        (["wandb=offline"], "wandb=offline: a group of settings is needed. Its settings are written wandb.NAME=VALUE."),
        (["wandb.tags=a"], "wandb.tags=a: a list, as in [A,B], is needed."),
        (["method=urf", "suspicious_window.filter_tags.negations=[1]"], "negations[0]=1: a text is needed."),
        (["stages=null"], "stages=null: a mapping is needed."),
        (["stages.smooth=3"], "stages.smooth=3: a group of settings or null is needed."),
        (["decoder=pyaf"], "decoder=pyaf: decord or pyav is needed. Did you mean pyav?"),
        (["vlm.dtype=float8"], "vlm.dtype=float8: float32 or bfloat16 or float16 is needed."),
        (["resize=cv2"], "resize=cv2: pil or torch is needed."),
        (["+window.n_frame=3"], "window.n_frame: no such key. Did you mean window.n_frames?"),
        (["~window.n_frames"], "window.n_frames is missing"),
        (["~vlm"], "stages.ask.model refers to vlm, which is not in the config."),
        (["window.n_frames=${nope}"], "window.n_frames refers to nope, which is not in the config."),
        (["window.n_frames=${window.n_frames}"], "window.n_frames=${window.n_frames}: it refers to itself."),
        (["window._target_=vaa.nothing"], "window._target_=vaa.nothing: no such class"),
        (["+vlm.extra=3"], "vlm.extra: no such key"),
        (["data=stream", "data.url=x.ts", "causal=false"], "data=stream needs causal=true"),
        (["data=stream", "data.url=x.ts", "position=centre"], "position"),
        (["position.width=${oc.env:HOME}"], "position.width="),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_value_and_what_is_needed(args: list[str], expected: str | None) -> None:
    result = experiment(args)
    if expected is None:
        assert not isinstance(result, str)
    else:
        assert isinstance(result, str)
        assert expected in result


def test_all_wrong_settings_are_named_at_once() -> None:
    text = experiment(["data=folder", "window.n_frames=abc", "plots=maybe", "vlm=server"])
    for part in ("data.root", "window.n_frames=abc", "plots=maybe", "vlm.model"):
        assert part in text


@pytest.mark.parametrize(
    "args",
    [
        ["window.n_frames=16", "alerts.threshold=1", "limit=3", "wandb.tags=[a,'2']", "cache=null", "page=null"],
        ["alerts=null", "~stages.smooth", "vlm.revision=abc", 'vlm.revision="12"', "+stages.more=null"],
        ["vlm=server", "vlm.model=x", "+vlm.extra.a=1", "vlm.generation.temperature=null"],
        ["data=folder", 'data.root="2024_01_01"'],
        ["data=stream", "data.url=x.ts"],
        ["data=stream", "data.url=x.ts", "causal=true", "position=none", "method=plain"],
        ["stages.describe.threshold=${alerts.threshold}"],
    ],
    ids=str,
)
def test_right_settings_pass(args: list[str]) -> None:
    assert not isinstance(experiment(args), str)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A component of a test."""

    count: int
    names: Sequence[str]
    shares: Mapping[str, float]
    mode: Literal["a", "b"] | None
    other: Any = None


def problems(**fields: Any) -> str:
    given = {"count": 1, "names": [], "shares": {}, "mode": None} | fields
    config = {"run": {"_target_": f"{Part.__module__}.Part"} | given}
    try:
        check(config, lambda key: None, [], {}, {})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"count": "1"}, "run.count=1"),
        ({"names": "a"}, "run.names=a"),
        ({"names": ["a", 3]}, "run.names[1]=3"),
        ({"shares": {"x": "y"}}, "run.shares.x=y"),
        ({"shares": [1]}, "run.shares=[1]"),
        ({"mode": "c"}, "run.mode=c: a or b or null is needed"),
        ({"count": {"_target_": f"{__name__}.Part"}}, "run.count={...}"),
        ({"count": "???"}, "run.count is not set"),
    ],
)
def test_fields_are_checked_by_their_annotations(fields: dict[str, Any], where: str) -> None:
    assert where in problems(**fields)


def test_a_field_of_any_type_takes_everything() -> None:
    assert problems(names=["a"], shares={"x": 1}, mode="b", other=[1, {"a": None}]) == ""


def test_paths_that_are_empty_are_refused(tmp_path: Path) -> None:
    run = experiment(["data=folder", 'data.root=""'])
    with pytest.raises(ConfigError, match="empty"):
        run.data.load()
