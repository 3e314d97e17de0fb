"""Before anything is loaded: what the composed run needs, what this machine has, and whether the one fits the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaa.doctor.machine import Machine, look
from vaa.doctor.needs import Need, needs
from vaa.doctor.weights import CheckpointInfo
from vaa.errors import VaaError

log = logging.getLogger("vaa")

LIBRARIES = ("accelerate", "av", "bitsandbytes", "decord", "flash_attn", "openai", "sentencepiece")
_GROUPS = {"TransformersVLM": "vlm", "TransformersLLM": "llm", "Clip": "encoder"}
_ADVICE = {
    "bitsandbytes": "pip install bitsandbytes, or quantization=none",
    "decord": "pip install decord, or decoder=pyav",
    "av": "pip install av, or decoder=decord",
}
_SPARE = 0.92  # of a memory; the rest is the libraries' own
_PRECISIONS = (("float32", "none"), ("bfloat16", "none"), ("bfloat16", "int8"), ("bfloat16", "nf4"))


@dataclass(frozen=True)
class Diagnosis:
    """What to tell, line by line, and whether the run can be expected to go through."""

    lines: tuple[str, ...]
    fits: bool


def say(stages: Mapping[str, Any]) -> None:
    """Log what the stages' models need and what this machine has.

    Raises:
        VaaError: they do not fit.
    """
    found = examine(stages)
    log.info("%s", "\n".join(found.lines))
    if not found.fits:
        raise VaaError("This run does not fit this machine; see above.")


def examine(stages: Mapping[str, Any], machine: Machine | None = None) -> Diagnosis:
    """Look at the models of the stages (by name, in order) and at this machine, or the one given."""
    machine = machine or look(LIBRARIES)
    wanted = list(needs(stages))
    lines: list[str] = []
    whole = True
    for need in wanted:
        told, ready = _told(need, machine)
        lines += told
        whole &= ready
    lines += _has(machine)
    verdict, fits = _verdict(wanted, machine)
    if not whole:
        verdict = [*verdict, "verdict    what is marked with ! has to be mended first"]
    return Diagnosis((*lines, *verdict), fits and whole)


def _told(need: Need, machine: Machine) -> tuple[list[str], bool]:
    model, weights = need.model, need.weights
    name = getattr(model, "checkpoint", None) or getattr(model, "model", None) or getattr(model, "root", "")
    lines = [f"{', '.join(need.names)}: {type(model).__name__} {name}"]
    bad = list(_lacking(model, weights, machine))
    notes: list[str] = []
    if weights is None:
        where = getattr(model, "base_url", None)
        lines.append(f"  runs at  {where}" if where else "  weights  none")
    else:
        lines.append(f"  where    {_where(weights, machine)}")
        if weights.folder is None and not weights.missing:
            bad += _undownloaded(weights, machine)
        later = weights.cached and not machine.offline
        coming = ", to be downloaded if the hub has it" if later else ""
        (notes if later else bad).extend(f"{what}{coming}" for what in weights.missing)
        bad += weights.broken
        lines += _weighed(need, weights)
    if getattr(model, "attention", "") == "flash_attention_2" and not machine.flashes:
        notes.append("flash attention wants a GPU and flash_attn (pip install flash-attn): sdpa is used instead")
    return [*lines, *(f"  note     {note}" for note in notes), *(f"! {reason}" for reason in bad)], not bad


def _undownloaded(weights: CheckpointInfo, machine: Machine) -> Iterator[str]:
    if machine.offline:
        yield "it is not here, and HF_HUB_OFFLINE forbids downloading it"
    size = weights.bytes("bfloat16", "none") or 0
    if size > machine.disk:
        yield f"its {_said(size)} do not fit on the disk of the hub's cache ({_said(machine.disk)} free)"


def _where(weights: CheckpointInfo, machine: Machine) -> str:
    if weights.folder is None and weights.missing:
        return "nowhere"
    if weights.folder is None:
        size = weights.bytes("bfloat16", "none")
        about = f", about {_said(size)}" if size else ""
        return f"not here: would be downloaded from the hub{about} ({_said(machine.disk)} of disk free)"
    return f"{weights.folder}{' (the hub cache)' if weights.cached else ''}"


def _weighed(need: Need, weights: CheckpointInfo) -> Iterator[str]:
    if weights.parameters is None:
        yield "  weights  not known before it is here"
        return
    each = (
        (quantization if quantization != "none" else dtype, dtype, quantization) for dtype, quantization in _PRECISIONS
    )
    sizes = ", ".join(f"{_said(weights.bytes(dtype, packed) or 0)} {name}" for name, dtype, packed in each)
    yield f"  weights  {weights.parameters / 1e9:.3g} billion ({weights.counted}): {sizes}, fp4 as nf4"
    model = need.model
    composed = ", ".join(
        f"{field}={getattr(model, field)}" for field in ("dtype", "quantization", "batch_size") if hasattr(model, field)
    )
    about = f"{need.frames} frames and {need.tokens} tokens of text each"
    yield f"  memory   about {_said(need.memory() or 0)} with {composed}; an estimate, for {about}"


def _lacking(model: Any, weights: CheckpointInfo | None, machine: Machine) -> Iterator[str]:
    """Libraries that it wants and this machine has not."""
    wanted = {
        "bitsandbytes": getattr(model, "quantization", "none") != "none",
        "openai": hasattr(model, "base_url"),
        "sentencepiece": weights is not None and weights.pieces,
        "decord": getattr(model, "decoder", None) == "decord",
        "av": getattr(model, "decoder", None) == "pyav",
    }
    for name in (name for name, so in wanted.items() if so and name not in machine.libraries):
        yield f"{name} is not installed: {_ADVICE.get(name, f'pip install {name}')}"


def _has(machine: Machine) -> list[str]:
    gpus = [f"{gpu.name} ({_said(gpu.free)} of {_said(gpu.total)} free)" for gpu in machine.gpus]
    here = ", ".join(sorted(machine.libraries)) or "none"
    return [
        f"machine    {machine.cores} cores, {_said(machine.memory)} of memory, {_said(machine.disk)} of disk free",
        f"  GPUs     {', '.join(gpus) or 'none: models run on the CPU, the large ones very slowly'}",
        f"  software torch {machine.torch}; of the optional libraries: {here}",
    ]


def _verdict(wanted: Sequence[Need], machine: Machine) -> tuple[list[str], bool]:
    """For the GPUs and for the machine's own memory: the most that is held at once, against what there is."""
    lines, fits = [], True
    for device, room in (("GPU memory", sum(gpu.free for gpu in machine.gpus)), ("memory", machine.memory)):
        here = [need for need in wanted if need.weights is not None and _device(need, machine) == device]
        places = range(1 + max((need.places[-1] for need in here), default=-1))
        held = [[need for need in here if need.places[0] <= place <= need.places[-1]] for place in places]
        peak: list[Need] = max(held, key=_sum, default=[])
        unknown = [need.model.checkpoint for need in here if need.memory() is None]
        if unknown:
            lines.append(f"verdict    cannot be said: how large {', '.join(unknown)} is")
        if not peak:
            continue
        enough = _sum(peak) <= room * _SPARE
        fits &= enough
        said = f"about {_said(_sum(peak))} of {_said(room)} of {device}"
        lines.append(f"verdict    {'fits' if enough else 'does not fit'}: {said}{'' if enough else _mend(peak, room)}")
    return lines or ["verdict    fits: no model runs here"], fits


def _mend(peak: Sequence[Need], room: float) -> str:
    """The smallest change of the largest model that makes it fit."""
    need = max(peak, key=lambda one: one.memory() or 0)
    group, others = _GROUPS.get(type(need.model).__name__, "vlm"), _sum(peak) - (need.memory() or 0)
    changes: list[tuple[str | None, int | None]] = [(None, 1)] if getattr(need.model, "batch_size", 1) > 1 else []
    if hasattr(need.model, "quantization"):
        changes += [("int8", None), ("nf4", None), ("nf4", 1)]
    for quantization, batch in changes:
        less = need.memory(quantization, batch) or 0
        if others + less <= room * _SPARE:
            fields = [f"{group}.{k}={v}" for k, v in (("quantization", quantization), ("batch_size", batch)) if v]
            return f"; {' '.join(fields)} would (about {_said(others + less)})"
    return "; take a smaller model, more memory, or a server (vlm=server)"


def _device(need: Need, machine: Machine) -> str:
    on_cpu = not machine.gpus or getattr(need.model, "device_map", "auto") == "cpu"
    return "memory" if on_cpu else "GPU memory"


def _sum(needs: Sequence[Need]) -> float:
    return sum(need.memory() or 0 for need in needs)


def _said(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
