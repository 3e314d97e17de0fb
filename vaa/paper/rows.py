"""What is replayed: batches of jobs, each one call of run.py, and the rows of the page that read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplayBatch:
    """A multirun: `fixed` overrides with `{folder}` names, and what is swept, `key=value,value`."""

    name: str
    fixed: tuple[str, ...]
    swept: tuple[str, ...]


@dataclass(frozen=True)
class ReplayRow:
    """One job of a batch, by what tells it from the others; `published` is its row in PUBLISHED."""

    title: str
    batch: str
    job: tuple[str, ...]
    published: str
    metrics: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True)
class CountedRow:
    """The same scores under every protocol: of a batch under LAVAD's, and of one under the others."""

    title: str
    lavad: str
    others: str
    job: tuple[str, ...]


_UCF, _XD = "data.root={urf}/ucf_crime", "data.root={urf}/xd_violence"
_LABELS_UCF, _LABELS_XD = "protocol.labels={labels_ucf}", "protocol.labels={labels_xd}"
_RAW = "scores.root={urf}/ucf_crime/scores/videollama3"
_POSITION, _OTHERS = "position=none,centre", "protocol=vera,corevad"
_SMOOTHING = "smoothing=filter10,none,gaussian9,gaussian15,savgol,relative"
_PICKED = ("vlm.captions=video_llama3_json_results", "vlm.scores=videollama3")
_AGAIN = ("llm.scores=videollama3", "llm.refined_scores=videollama3")
_WITHOUT = ("vlm.root={corevad}", "smoothing=none,gaussian9", _POSITION)

_SHOWN = ("boxes_none", "boxes_tags", "boxes_class", "texts_urf", "texts_holmesvau", "texts_hawk")

BATCHES = (
    ReplayBatch("urf_ucf", ("experiment=urf_ucf", _UCF), (_SMOOTHING, _POSITION)),
    ReplayBatch("urf_ucf_others", ("experiment=urf_ucf", _UCF, _LABELS_UCF), (_OTHERS, _POSITION)),
    ReplayBatch("ratings", ("experiment=urf_ucf", _UCF, _RAW), (_POSITION,)),
    ReplayBatch("ratings_others", ("experiment=urf_ucf", _UCF, _RAW, _LABELS_UCF), (_OTHERS, _POSITION)),
    ReplayBatch("urf_xd", ("experiment=urf_xd", _XD), ("smoothing=filter10,relative", _POSITION)),
    ReplayBatch("urf_xd_others", ("experiment=urf_xd", _XD, _LABELS_XD), (_OTHERS, _POSITION)),
    ReplayBatch("corevad_ucf_lavad", ("experiment=corevad_ucf_lavad", _UCF, _WITHOUT[0]), _WITHOUT[1:]),
    ReplayBatch("corevad_ucf", ("experiment=corevad_ucf", _UCF, _LABELS_UCF, _WITHOUT[0]), (_OTHERS, *_WITHOUT[1:])),
    *(
        ReplayBatch(name, (f"experiment={name}", _UCF, *_PICKED, *_AGAIN), ())
        for name in ("urf_ucf_replay", "urf_ucf_first")
    ),
    ReplayBatch("urf_ucf_causal", ("experiment=urf_ucf_causal", _UCF, *_PICKED, *_AGAIN), ("online.delay=0.0,5.0",)),
    *(ReplayBatch(f"urf_ucf_{what}", (f"experiment=urf_ucf_{what}", _UCF, _PICKED[1]), ()) for what in _SHOWN),
)


_PLAIN, _CENTRED = ("smoothing=filter10", "position=none"), ("smoothing=filter10", "position=centre")
_FLAT, _BOXES = ("roc_auc", "pr_auc"), ("tiou", "tiou_per_video")
_TEXTS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum", "cider", "meteor", "rouge_l")
_NO_REFINEMENT = "without its softmax refinement: the CLIP features are not released"

ROWS = (
    ReplayRow("URF, UCF-Crime, first ratings", "urf_ucf_first", (), "", _FLAT),
    ReplayRow("URF, UCF-Crime, first ratings, looking backwards", "urf_ucf_causal", ("online.delay=0.0",), "", _FLAT),
    ReplayRow("the same, five seconds late allowed", "urf_ucf_causal", ("online.delay=5.0",), "", _FLAT),
    ReplayRow("URF, UCF-Crime, the whole chain", "urf_ucf_replay", (), "urf_ucf", _FLAT),
    ReplayRow("URF, UCF-Crime, refined scores", "urf_ucf", _PLAIN, "urf_ucf", _FLAT),
    ReplayRow("URF, UCF-Crime, unsmoothed", "urf_ucf", ("smoothing=none", "position=none"), "", _FLAT),
    ReplayRow("URF, XD-Violence, refined scores", "urf_xd", _PLAIN, "urf_xd", _FLAT),
    ReplayRow("URF + position weighting, UCF-Crime", "urf_ucf", _CENTRED, "urf_ucf_centred", _FLAT),
    ReplayRow("URF + position weighting, XD-Violence", "urf_xd", _CENTRED, "urf_xd_centred", _FLAT),
    ReplayRow(
        "CoReVAD, UCF-Crime",
        "corevad_ucf",
        ("protocol=vera", "smoothing=gaussian9", "position=centre"),
        "corevad_ucf",
        ("roc_auc",),
        _NO_REFINEMENT,
    ),
    ReplayRow("URF boxes, no tags", "urf_ucf_boxes_none", (), "urf_boxes_none", _BOXES),
    ReplayRow("URF boxes, predicted tags", "urf_ucf_boxes_tags", (), "urf_boxes_tags", _BOXES),
    ReplayRow("URF boxes, true class", "urf_ucf_boxes_class", (), "urf_boxes_class", _BOXES),
    ReplayRow("URF texts", "urf_ucf_texts_urf", (), "", _TEXTS),
    ReplayRow("HolmesVAU texts", "urf_ucf_texts_holmesvau", (), "", _TEXTS),
    ReplayRow("Hawk texts", "urf_ucf_texts_hawk", (), "", _TEXTS),
)

COUNTED = (
    CountedRow("URF first ratings, UCF-Crime", "ratings", "ratings_others", _PLAIN),
    CountedRow("URF refined, UCF-Crime", "urf_ucf", "urf_ucf_others", _PLAIN),
    CountedRow("URF refined + position, UCF-Crime", "urf_ucf", "urf_ucf_others", _CENTRED),
    CountedRow("URF refined, XD-Violence", "urf_xd", "urf_xd_others", _PLAIN),
    CountedRow("URF refined + position, XD-Violence", "urf_xd", "urf_xd_others", _CENTRED),
    *(
        CountedRow(f"CoReVAD {name}, UCF-Crime", "corevad_ucf_lavad", "corevad_ucf", (smoothing, position))
        for name, smoothing, position in (
            ("verdicts", "smoothing=none", "position=none"),
            ("+ position", "smoothing=none", "position=centre"),
            ("+ smoothing", "smoothing=gaussian9", "position=none"),
            ("+ both", "smoothing=gaussian9", "position=centre"),
        )
    ),
)

COMBINED = {
    "urf_ucf": ("URF's refined scores, UCF-Crime", _PLAIN),
    "urf_xd": ("URF's refined scores, XD-Violence", _PLAIN),
    "corevad_ucf_lavad": ("CoReVAD's answers, UCF-Crime", ("smoothing=none", "position=none")),
}
"""Batch -> what it combines, and the job that the others are compared with."""
