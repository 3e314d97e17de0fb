"""Before anything is loaded: what the models of a run need, what this machine has, and whether that suffices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from vaa.doctor.checkpoint import CheckpointInfo, inspect_checkpoint
from vaa.doctor.estimate import ModelWork, estimate
from vaa.doctor.machine import Machine, inspect_machine
from vaa.errors import ConfigError, ModelError, VaaError
from vaa.models.base import (
    LLM,
    VLM,
    Encoder,
    FrameEncoder,
    HasRequirements,
    LocalWeights,
    Locator,
    ReplaysAnswers,
    Requirements,
)
from vaa.models.checkpoints.hub import access_fault
from vaa.stages.base import ModelStage, NeedsBoxes, Transform
from vaa.types import Definition, GenerateQuery, GroundTruth, Query, Report, Video

log = logging.getLogger("vaa")

LIBRARIES = ("accelerate", "av", "bitsandbytes", "decord", "flash_attn", "openai", "sentencepiece")
_USABLE = 0.92  # of a memory; libraries use the rest
_PRECISIONS = (("float32", "none"), ("bfloat16", "none"), ("bfloat16", "int8"), ("bfloat16", "nf4"))
_IMAGE_TOKENS = 256  # of a frame, if the checkpoint's config does not state it
_ENCODER_TOKENS = 77  # of a text, CLIP's limit


@dataclass(frozen=True)
class Diagnosis:
    """The lines to show, and whether the run can be expected to work."""

    lines: tuple[str, ...]
    ok: bool


@dataclass(frozen=True, kw_only=True)
class ModelUse:
    """A model, the stages that query it with their positions in the order, and its largest query."""

    model: Any
    stages: tuple[str, ...]
    positions: tuple[int, ...]
    requirements: Requirements
    checkpoint: CheckpointInfo | None
    frames: int
    tokens: int

    def memory(self, quantization: str | None = None, batch_size: int | None = None) -> float | None:
        """Estimated bytes of weights, keys and values, and activations; None if the model's size is unknown.

        `quantization` and `batch_size` replace the configured ones.
        """
        weights, info = self.requirements.weights, self.checkpoint
        if weights is None or info is None:
            return 0.0
        weight_bytes = info.weight_bytes(weights.dtype, quantization or weights.quantization or "none")
        if weight_bytes is None:
            return None
        if not info.shape.layers:
            return weight_bytes * 1.2
        batch = batch_size or weights.batch_size
        tokens = batch * (self.frames * (info.shape.image_tokens or _IMAGE_TOKENS) + self.tokens)
        activations = info.activation_bytes(weights.dtype, tokens, batch * self.frames)
        return weight_bytes + tokens * info.kv_bytes_per_token(weights.dtype) + activations


def check(
    stages: Mapping[str, Any],
    load: Callable[[], tuple[Sequence[Video], Mapping[str, GroundTruth]]] | None,
    definitions: Sequence[Definition] = (),
    missing_files: Callable[[bool], Sequence[str]] | None = None,
) -> None:
    """Log what the run needs and this machine lacks, all of it, and about how long the run takes.

    `load` returns the videos and their ground truth; None for a stream. `definitions` are those of the run.
    `missing_files` returns a message for each missing file of labels and data; its argument is whether video files are
    needed.

    Raises:
        ConfigError: the run does not fit this machine.
    """
    diagnosis = diagnose(stages, load=load, definitions=definitions, missing_files=missing_files)
    log.info("%s", "\n".join(diagnosis.lines))
    if not diagnosis.ok:
        raise ConfigError("This run does not fit this machine; see above.")


def diagnose(
    stages: Mapping[str, Any],
    machine: Machine | None = None,
    load: Callable[[], tuple[Sequence[Video], Mapping[str, GroundTruth]]] | None = None,
    definitions: Sequence[Definition] = (),
    missing_files: Callable[[bool], Sequence[str]] | None = None,
) -> Diagnosis:
    """Compare the models of the stages (name -> stage, in order) with `machine`, by default this one."""
    uses = list(model_uses(stages))
    declared = {library.module for use in uses for library in use.requirements.libraries}
    from_hub = any(use.checkpoint and (use.checkpoint.folder is None or use.checkpoint.in_hub_cache) for use in uses)
    machine = machine or inspect_machine({*LIBRARIES, *declared}, try_hub=from_hub)
    lines: list[str] = []
    ok = True
    for use in uses:
        notes, problems = _check_model(use, machine)
        known = use.checkpoint is None or use.checkpoint.folder is not None or machine.hub == ""
        problems += _check_boxes([stages[name] for name in use.stages]) if known else ()
        lines += [f"{', '.join(use.stages)}: {type(use.model).__name__} {use.requirements.name}"]
        lines += _describe(use, machine)
        lines += [*(f"  note     {note}" for note in notes), *(f"! {problem}" for problem in problems)]
        ok &= not problems
    lines += _describe_machine(machine)
    missing = missing_files(any(_decodes(use, stages) for use in uses)) if missing_files else ()
    if missing:
        lines += ["files", *(f"! {message}" for message in missing)]
        ok = False
    if load is not None:
        try:
            lines += estimate([_work(use, machine) for use in uses], stages, *load(), definitions)
        except VaaError as error:
            lines += [] if missing else [f"! {error}"]
            ok = False
    verdict, fits = _verdict(uses, machine)
    if not ok:
        verdict.append("verdict    fix the lines marked with ! first")
    return Diagnosis((*lines, *verdict), fits and ok)


def model_uses(stages: Mapping[str, Any]) -> Iterator[ModelUse]:
    """Each different model once, with the largest query of its stages for one minute of video."""
    report = Report(Video("doctor", Path("doctor.mp4"), 1800, 30.0))
    models: list[Any] = []
    users: list[dict[str, int]] = []  # of each model: stage -> position
    queries: list[list[Query]] = []
    for position, (name, stage) in enumerate(stages.items()):
        if not isinstance(stage, ModelStage):
            with suppress(Exception):  # without the answers of earlier stages a transform may fail
                report = stage(report) if isinstance(stage, Transform) else report
            continue
        if stage.model not in models:
            models.append(stage.model)
            users.append({})
            queries.append([])
        index = models.index(stage.model)
        users[index][name] = position
        with suppress(Exception):
            queries[index].extend(stage.queries(report))
    for model, positions, model_queries in zip(models, users, queries, strict=True):
        requirements = model.requirements if isinstance(model, HasRequirements) else Requirements(name="")
        frames = max((len(query.frames) for query in model_queries), default=1)
        tokens = max(map(_tokens, model_queries), default=512)
        if isinstance(model, Encoder):  # its batch is of single frames or texts
            frames, tokens = 1, _ENCODER_TOKENS
        yield ModelUse(
            model=model,
            stages=tuple(positions),
            positions=tuple(positions.values()),
            requirements=requirements,
            checkpoint=_inspect(requirements.weights),
            frames=frames,
            tokens=tokens,
        )


def _decodes(use: ModelUse, stages: Mapping[str, Any]) -> bool:
    """Whether a model is queried about frames of videos, which it decodes."""
    if isinstance(use.model, ReplaysAnswers):
        return False
    return any(get_type_hints(type(stages[name])).get("model") is not LLM for name in use.stages)


def _inspect(weights: LocalWeights | None) -> CheckpointInfo | None:
    if weights is None:
        return None
    return inspect_checkpoint(weights.checkpoint, weights.revision, image_processor=weights.image_processor)


def _tokens(query: Query) -> int:
    """Estimated text tokens of a query and its answer: three characters per token."""
    new = query.max_new_tokens if isinstance(query, GenerateQuery) else 0
    return len(query.text + getattr(query, "system", "")) // 3 + new


def _check_model(use: ModelUse, machine: Machine) -> tuple[list[str], list[str]]:
    """Notes, and problems that prevent the run."""
    weights, info = use.requirements.weights, use.checkpoint
    notes: list[str] = []
    problems = list(_missing_libraries(use, machine))
    if info is not None:
        if info.folder is None and not info.missing:
            problems += _download_problems(use, info, machine)
        if info.in_hub_cache and not machine.offline and not machine.hub:
            notes += [f"{message}, to be downloaded if the hub has it" for message in info.missing]
        else:
            problems += info.missing
        problems += info.damaged
    flash_attention = bool(machine.gpus) and "flash_attn" in machine.libraries
    if weights is not None and weights.attention == "flash_attention_2" and not flash_attention:
        notes.append("flash attention needs a GPU and flash_attn (pip install flash-attn): sdpa is used instead")
    return notes, problems


def _check_boxes(stages: Sequence[Any]) -> Iterator[str]:
    """Why a model gives no boxes, if one of its stages asks it for some; this reads its checkpoint's config."""
    models = [stage.model for stage in stages if isinstance(stage, NeedsBoxes)]
    if models and isinstance(models[0], Locator):
        try:
            models[0].check_boxes()
        except ConfigError as error:
            yield str(error)
        except ModelError:  # reported with the checkpoint
            return


def _missing_libraries(use: ModelUse, machine: Machine) -> Iterator[str]:
    for library in use.requirements.libraries:
        if library.module not in machine.libraries:
            yield f"{library.module} is not installed: {library.remedy}"
    if use.checkpoint and use.checkpoint.sentencepiece and "sentencepiece" not in machine.libraries:
        yield "sentencepiece is not installed: pip install sentencepiece"


def _download_problems(use: ModelUse, info: CheckpointInfo, machine: Machine) -> Iterator[str]:
    if machine.offline:
        yield "it is not on this machine, and HF_HUB_OFFLINE forbids downloading it"
    elif machine.hub:
        yield f"it is not on this machine, and the hub is not reached ({machine.hub})"
    elif (weights := use.requirements.weights) and (fault := access_fault(weights.checkpoint, weights.revision)):
        yield fault
    size = info.weight_bytes("bfloat16", "none") or 0
    if size > machine.disk:
        yield f"its {_gigabytes(size)} do not fit on the disk of the hub's cache ({_gigabytes(machine.disk)} free)"


def _work(use: ModelUse, machine: Machine) -> ModelWork:
    """What a query of a model costs; for an encoder, a frame, which are most of its queries."""
    weights, info = use.requirements.weights, use.checkpoint
    visual = use.frames * ((info.shape.image_tokens if info else 0) or _IMAGE_TOKENS)
    return ModelWork(
        model=use.model,
        name=use.requirements.name or type(use.model).__name__,
        parameters=info.parameters if info else None,
        tokens=visual if isinstance(use.model, Encoder) else use.tokens + visual,
        dtype=weights.dtype if weights else "float32",
        on_gpu=_memory_of(use, machine) == "GPU memory",
        vector=info.shape.vector if info and isinstance(use.model, FrameEncoder) else 0,
    )


def _describe(use: ModelUse, machine: Machine) -> Iterator[str]:
    """Where the model's weights are and how large they are."""
    weights, info = use.requirements.weights, use.checkpoint
    if weights is None or info is None:
        yield f"  runs at  {use.requirements.url}" if use.requirements.url else "  weights  none"
        return
    yield f"  where    {_location(info, machine)}"
    if info.parameters is None:
        yield "  weights  of unknown size until downloaded"
        return
    sizes = ", ".join(
        f"{_gigabytes(info.weight_bytes(dtype, quantization) or 0)} {dtype if quantization == 'none' else quantization}"
        for dtype, quantization in _PRECISIONS
    )
    yield f"  weights  {info.parameters / 1e9:.3g} billion ({info.counted_by}): {sizes}, fp4 as nf4"
    quantization = f", quantization={weights.quantization}" if weights.quantization else ""
    settings = f"dtype={weights.dtype}{quantization}, batch_size={weights.batch_size}"
    query = f"{use.frames} frames and {use.tokens} tokens of text each"
    yield f"  memory   about {_gigabytes(use.memory() or 0)} with {settings}; an estimate, for {query}"


def _location(info: CheckpointInfo, machine: Machine) -> str:
    if info.folder is not None:
        return f"{info.folder}{' (the hub cache)' if info.in_hub_cache else ''}, on this machine"
    if info.missing:
        return "nowhere"
    size = info.weight_bytes("bfloat16", "none")
    about = f", about {_gigabytes(size)}" if size else ""
    reached = {None: "", "": ", which is reached"}.get(machine.hub, ", which is not reached")
    return f"to be downloaded from the hub{reached}{about} ({_gigabytes(machine.disk)} of disk free)"


def _describe_machine(machine: Machine) -> list[str]:
    gpus = [f"{gpu.name} ({_gigabytes(gpu.free)} of {_gigabytes(gpu.total)} free)" for gpu in machine.gpus]
    libraries = ", ".join(sorted(machine.libraries)) or "none"
    return [
        f"machine    {machine.cores} cores, {_gigabytes(machine.memory)} of memory, "
        f"{_gigabytes(machine.disk)} of disk free",
        f"  GPUs     {', '.join(gpus) or 'none: models run on the CPU, the large ones very slowly'}",
        f"  software torch {machine.torch}; optional libraries: {libraries}",
    ]


def _verdict(uses: Sequence[ModelUse], machine: Machine) -> tuple[list[str], bool]:
    """For GPU memory and main memory: the largest amount needed at one time against what is available."""
    lines, fits = [], True
    for memory, available in (("GPU memory", sum(gpu.free for gpu in machine.gpus)), ("memory", machine.memory)):
        here = [use for use in uses if use.checkpoint is not None and _memory_of(use, machine) == memory]
        positions = range(1 + max((use.positions[-1] for use in here), default=-1))
        # A model stays loaded from the first to the last stage that queries it.
        loaded = [[use for use in here if use.positions[0] <= k <= use.positions[-1]] for k in positions]
        peak: list[ModelUse] = max(loaded, key=_total, default=[])
        unknown = [use.requirements.name for use in here if use.memory() is None]
        if unknown:
            lines.append(f"verdict    unknown: the size of {', '.join(unknown)}")
        if not peak:
            continue
        enough = _total(peak) <= available * _USABLE
        fits &= enough
        amount = f"about {_gigabytes(_total(peak))} of {_gigabytes(available)} of {memory}"
        remedy = "" if enough else _remedy(peak, available)
        lines.append(f"verdict    {'fits' if enough else 'does not fit'}: {amount}{remedy}")
    return lines or ["verdict    fits: no model runs on this machine"], fits


def _remedy(peak: Sequence[ModelUse], available: float) -> str:
    """The smallest change of the largest model that makes it fit."""
    largest = max(peak, key=lambda use: use.memory() or 0)
    others, weights = _total(peak) - (largest.memory() or 0), largest.requirements.weights
    changes: list[tuple[str | None, int | None]] = [(None, 1)] if weights and weights.batch_size > 1 else []
    if weights and weights.quantization:
        changes += [("int8", None), ("nf4", None), ("nf4", 1)]
    for quantization, batch in changes:
        total = others + (largest.memory(quantization, batch) or 0)
        if total <= available * _USABLE:
            changed = (("quantization", quantization), ("batch_size", batch))
            overrides = " ".join(f"{_group(largest.model)}.{key}={value}" for key, value in changed if value)
            return f"; it fits with {overrides} (about {_gigabytes(total)})"
    return "; use a smaller model, more memory, or a server (vlm=server)"


def _group(model: Any) -> str:
    """The config group of a model of this kind."""
    return "vlm" if isinstance(model, VLM) else "encoder" if isinstance(model, Encoder) else "llm"


def _memory_of(use: ModelUse, machine: Machine) -> str:
    weights = use.requirements.weights
    return "memory" if not machine.gpus or (weights and weights.device_map == "cpu") else "GPU memory"


def _total(uses: Sequence[ModelUse]) -> float:
    return sum(use.memory() or 0 for use in uses)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
