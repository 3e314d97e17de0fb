"""The analysis of videos from Python: a config composed in this process, and the reports without a run's folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaa import job, mistakes, pipeline
from vaa.cache import AnswerCache
from vaa.choices import check_own_conf
from vaa.errors import ConfigError, DataError, VaaError, VideoError, format_error
from vaa.experiment import Experiment
from vaa.installation import CONF, search_path
from vaa.report import console
from vaa.types import Report
from vaa.video.sources import close_decoders

log = logging.getLogger("vaa")
_WITHOUT_EFFECT = (
    *("data", "protocol", "wandb", "page", "plots", "details", "alerts", "hydra", "run", "doctor", "limit"),
    *("meteor_jar", "max_failed", "experiment"),
)
"""Keys of the config that concern the data set, the metrics or the folder of a run."""

_NAME = re.compile(r"[A-Za-z_][\w./-]*")
_WORDS = {"null", "true", "false", "nan", "inf"}
"""What Hydra reads as something else than a text."""


def analyse(
    path: str | Path, *, method: str | None = None, watch_for: str | Sequence[str] | None = None, **overrides: Any
) -> Report:
    """Analyse one video and return its report: scores, texts, boxes; nothing but the cache is written.

        report = vaa.analyse("clip.mp4", vlm="internvl", watch_for=["a fire", "a fight"], **{"window.seconds": 2.0})
        report.track.per_frame(report.video.n_frames).values  # a score per frame
        [(report.video.seconds(s.start), r.score, r.text) for s, r in zip(report.segments, report.responses)]

    The model is loaded for this call: for many videos use `analyse_folder`.

    Args:
        path: a video file.
        method: a choice of `conf/method`; None for the one that the command line uses without `method=`.
        watch_for: what to look for, as in `watch_for=` of the command line.
        overrides: choices and fields as on the command line, with values of Python: None, True, numbers, texts, lists.
            A field with a dot in its name is passed as `**{"window.seconds": 2.0}`.

    Raises:
        ConfigError: a choice or a field is wrong, or has no effect on a report.
        VideoError: the video cannot be read, or a stage failed.
        ModelError: a model cannot be loaded, reached or run.
    """
    if Path(path).is_dir():
        raise ConfigError(f"{path} is a folder: use vaa.analyse_folder.")
    result = _analyse(path, method, watch_for, overrides)
    if result.failures:
        raise VideoError(f"{path}: {result.failures[0].stage}: {result.failures[0].reason}")
    (report,) = result.reports.values()
    return report


def analyse_folder(
    path: str | Path, *, method: str | None = None, watch_for: str | Sequence[str] | None = None, **overrides: Any
) -> dict[str, Report]:
    """Analyse all videos under a folder: id -> report. The arguments are those of `analyse`.

    Videos that failed are logged and left out.

    Raises:
        DataError: the folder has no video, or every video failed.
        ConfigError, ModelError: as for `analyse`.
    """
    if Path(path).is_file():
        raise ConfigError(f"{path} is a file: use vaa.analyse.")
    result = _analyse(path, method, watch_for, overrides)
    if not result.reports:
        raise DataError(f"{path}: all {len(result.failures)} videos failed, the first: {result.failures[0].reason}")
    return result.reports


def _analyse(
    path: str | Path, method: str | None, watch_for: str | Sequence[str] | None, overrides: Mapping[str, Any]
) -> pipeline.RunResult:
    if refused := [key for key in overrides if key.lstrip("+~").split(".")[0].split("@")[0] in _WITHOUT_EFFECT]:
        raise ConfigError(f"{', '.join(refused)}: has no effect on a report.")
    settings = {"data": "folder", "data.root": str(path), **overrides}
    if method is not None:
        settings = {"method": method, **settings}
    if watch_for is not None:
        settings["watch_for"] = watch_for if isinstance(watch_for, str) else list(watch_for)
    words = [_override(key, value) for key, value in settings.items()]
    experiment = compose(words)
    dataset = experiment.data.load()
    console.check_tiny_models(experiment.method.values(), dataset.name, words)
    for notice in console.notices(experiment.method.values(), dataset.name):
        log.warning("%s", notice)
    try:
        cache = AnswerCache(experiment.cache)
        definitions = experiment.definitions.all
        result = pipeline.analyse(
            dataset.videos, {}, experiment.method, experiment.engine, cache, definitions=definitions
        )
        result = pipeline.combine_definitions(result, definitions)
    finally:
        close_decoders()
    for failure in dataset.failures:
        result.fail(failure.video, failure.stage, failure.reason)
    _warn_of_unparsed(list(result.reports.values()), experiment.max_unparsed)
    return result


def _warn_of_unparsed(reports: Sequence[Report], max_unparsed: float) -> None:
    """Log a warning where a run would end with an error: the reports are returned all the same."""
    unparsed, answers = sum(report.n_unparsed for report in reports), sum(report.n_answers for report in reports)
    if unparsed > max_unparsed * answers:
        first = next((report.first_unparsed for report in reports if report.first_unparsed), "")
        log.warning("%d of %d answers could not be parsed: the scores mean nothing. %s", unparsed, answers, first)


def compose(words: Sequence[str]) -> Experiment:
    """The experiment of these overrides, such as `data=folder`; Hydra's state in this process is as before.

    Raises:
        ConfigError: a choice or a field is wrong.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.singleton import Singleton
    from hydra.errors import InstantiationException
    from omegaconf import open_dict

    check_own_conf()
    state = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose("config", [*search_path(), *words], return_hydra_config=True)
            hydra_cfg = cfg.hydra
            with open_dict(cfg):
                del cfg["hydra"]
            experiment = job.instantiate(cfg, hydra_cfg)
    except VaaError:
        raise
    except Exception as error:
        message = format_error(error) if isinstance(error, InstantiationException) else mistakes.explain(error, words)
        if message is None:
            raise
        raise ConfigError(message) from error
    finally:
        Singleton.set_state(state)
    if not isinstance(experiment, Experiment):
        raise ConfigError(f"{' '.join(words)}: no experiment over video files.")
    return experiment


def _override(key: str, value: Any) -> str:
    """A setting as Hydra's command line has it; `~key` with None deletes."""
    return key if key.startswith("~") and value is None else f"{key}={_text(key, value)}"


def _text(key: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        text = str(value)
        if _NAME.fullmatch(text) and text.lower() not in _WORDS:
            return text
        return '"' + re.sub(r'(\\*)("|$)', lambda match: 2 * match[1] + (match[2] and '\\"'), text) + '"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_text(key, each)}" for name, each in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(_text(key, each) for each in value) + "]"
    raise ConfigError(f"{key}={value!r}: give None, a number, a text, a list or a mapping.")
