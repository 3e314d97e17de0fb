"""`docs/results.md` from the record and the published numbers: no number is written in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vaa.paper import words
from vaa.paper.published import PUBLISHED
from vaa.paper.record import at
from vaa.paper.replay import command
from vaa.paper.rows import BATCHES, COMBINED, COUNTED, ROWS, ReplayBatch, ReplayRow
from vaa.paper.waiting import WAITING

MISSING = "-"
Record = Mapping[str, Any]
_SAID = {"roc_auc": "ROC AUC", "pr_auc": "AP (trapezoid)", "average_precision": "AP (step)", "ap": "AP (trapezoid)"}
_SAID |= {"tiou": "TIoU", "tiou_per_video": "TIoU, mean of videos", "within_video_auc": "within-video AUC"}
_SAID |= {**{f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)}, "bleu_sum": "BLEU-1..4, sum"}
_SAID |= {"cider": "CIDEr", "meteor": "METEOR", "rouge_l": "ROUGE-L"}


def page(recorded: Record) -> str:
    """The whole page, as Markdown."""
    parts = [
        words.INTRO,
        *_published(recorded),
        *_protocols(recorded),
        *_chain(recorded),
        *_combined(recorded),
        *_waiting(),
    ]
    return "\n".join(parts)


def _published(recorded: Record) -> Iterator[str]:
    yield words.PUBLISHED
    lines = [cells for row in ROWS for cells in _row(recorded, row)]
    head = ("row", "metric", "published", "source", "replayed", "difference", "within-video AUC")
    yield _table(head, lines, right=(2, 4, 5, 6))
    yield "\n" + _commands([(row.title, _batch(row.batch), row.job) for row in ROWS])


def _row(recorded: Record, row: ReplayRow) -> Iterator[tuple[str, ...]]:
    ours = at(recorded, row.batch, row.job)
    printed = PUBLISHED.get(row.published)
    for place, name in enumerate(row.metrics):
        theirs = printed.numbers.get(name) if printed else None
        within = _number(ours.get("within_video_auc")) if name == "roc_auc" else ""
        title = "" if place else f"{row.title}{f' ({row.remark})' if row.remark else ''}"
        yield (
            title,
            _SAID[name],
            MISSING if theirs is None else f"{theirs:.2f}",
            printed.source if printed and theirs is not None else "",
            _number(ours.get(name)),
            "" if theirs is None or name not in ours else f"{100 * ours[name] - theirs:+.3f}",
            within,
        )


def _protocols(recorded: Record) -> Iterator[str]:
    yield words.PROTOCOLS
    lines = []
    for counted in COUNTED:
        for protocol in ("lavad", "vera", "corevad"):
            batch = counted.lavad if protocol == "lavad" else counted.others
            ours = at(recorded, batch, (*counted.job, f"protocol={protocol}"))
            names = ("roc_auc", "pr_auc", "average_precision", "within_video_auc")
            lines.append(
                (counted.title if protocol == "lavad" else "", protocol, *(_number(ours.get(n)) for n in names))
            )
    yield _table(
        ("scores", "protocol", "ROC AUC", "AP (trapezoid)", "AP (step)", "within-video AUC"), lines, (2, 3, 4, 5)
    )


def _chain(recorded: Record) -> Iterator[str]:
    chain = at(recorded, "urf_ucf_replay", ())
    same, videos = recorded["windows"]
    boxes = at(recorded, "urf_ucf_boxes_none", ())
    yield words.CHAIN
    yield _table(
        ("what", "number"),
        [
            ("URF's whole chain, UCF-Crime: videos in the gate", f"{chain['gated']}"),
            ("of these rated again (the others have unusable tags)", f"{chain['videos_queried/reconsider']}"),
            ("suspicious windows equal to the authors' file", f"{same} of {videos}"),
            ("URF refined, UCF-Crime: threshold by Youden's J", _number(chain["threshold_youden"])),
            ("the same by F1 (both the best on these very labels)", _number(chain["threshold_f1"])),
            *_sizes(recorded),
            ("UCF-Crime: frames with a box", f"{boxes['annotated_frames']:,}"),
        ],
        right=(1,),
    )


def _sizes(recorded: Record) -> Iterator[tuple[str, str]]:
    for name, batch in (("UCF-Crime", "urf_ucf"), ("XD-Violence", "urf_xd")):
        ours = at(recorded, batch, COMBINED[batch][1])
        said = f"{ours['videos']} videos, {ours['frames']:,} frames, {100 * ours['anomalous_share']:.2f} % anomalous"
        yield f"{name}, LAVAD's labels", said


def _combined(recorded: Record) -> Iterator[str]:
    yield words.COMBINED.format(**recorded)
    for name, (title, base) in COMBINED.items():
        batch, lines = _batch(name), []
        jobs = sorted(recorded["combined"][name], key=lambda job: job != " ".join(base))
        for job in jobs:
            ours, deltas = recorded["jobs"][name][job], recorded["combined"][name][job]
            cells = [word.partition("=")[2] for word in job.split()]
            for metric, own in (("roc_auc", "roc_auc"), ("ap", "pr_auc"), ("within_video_auc", "within_video_auc")):
                cells += [f"{ours[own]:.4f}", _delta(deltas.get(metric))]
            lines.append(tuple(cells))
        swept = [word.partition("=")[0] for word in batch.swept]
        measured = [cell for metric in ("roc_auc", "ap", "within_video_auc") for cell in (_SAID[metric], "Δ [95 %]")]
        yield f"\n### {title}\n"
        yield _table((*swept, *measured), lines, range(len(swept), len(swept) + 6))
        yield f"\n    {command(batch, batch.swept).replace('run.py', 'run.py -m')}"


def _waiting() -> Iterator[str]:
    yield words.WAITING
    lines = []
    for each in WAITING:
        printed = PUBLISHED[each.published]
        numbers = ", ".join(f"{_SAID[name]} {value:.2f}" for name, value in printed.numbers.items())
        title = f"{each.title}{f' ({each.remark})' if each.remark else ''}"
        lines.append((title, numbers, printed.source, f"`python run.py {each.overrides}`"))
    yield _table(("row", "published", "source", "command"), lines)
    yield ""


def _batch(name: str) -> ReplayBatch:
    (found,) = (batch for batch in BATCHES if batch.name == name)
    return found


def _commands(rows: Sequence[tuple[str, ReplayBatch, tuple[str, ...]]]) -> str:
    return "\n".join(f"    {command(batch, job)}    # {title}" for title, batch, job in rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.6f}"


def _delta(given: Sequence[float] | None) -> str:
    if not given:
        return ""
    value, low, high = given
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
