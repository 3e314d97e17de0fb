"""What `make paper` replays, the rows of the page that show it, and the published rows that need a GPU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplayBatch:
    """A multirun: overrides that all jobs share, with names of `ReleasedFiles` in braces, and those that are swept.

    `optional` is a path, with such names too: where it does not exist, the batch is left out.
    """

    name: str
    fixed: tuple[str, ...]
    swept: tuple[str, ...]
    optional: str = ""


@dataclass(frozen=True)
class ReplayRow:
    """One job of a batch, by its swept overrides; `published` is its row in PUBLISHED, empty if there is none."""

    title: str
    batch: str
    job: tuple[str, ...]
    published: str
    metrics: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True)
class OwnRow:
    """A result of this project: released captions scored by a model that runs on a CPU, not the authors' scores.

    `mark` follows the title.
    """

    title: str
    experiment: str
    data: str
    mark: str = ""

    @property
    def batch(self) -> ReplayBatch:
        """Its one job."""
        return ReplayBatch(self.experiment, (f"experiment={self.experiment}", f"data.root={self.data}"), ())


@dataclass(frozen=True)
class ProtocolRow:
    """The same scores under every protocol: the batch under LAVAD's, and the one under the others."""

    title: str
    lavad: str
    others: str
    job: tuple[str, ...]


@dataclass(frozen=True)
class GpuRow:
    """A row of PUBLISHED that needs a GPU, weights and the videos, and the overrides that reproduce it."""

    title: str
    published: str
    overrides: str
    remark: str = ""


_UCF, _XD = "data.root={urf}/ucf_crime", "data.root={urf}/xd_violence"
_LABELS_UCF, _LABELS_XD = "protocol.labels={labels_ucf}", "protocol.labels={labels_xd}"
_RAW = "scores.root={urf}/ucf_crime/scores/videollama3"
_POSITION, _OTHERS = "position=none,centre", "protocol=vera,corevad"
_SMOOTHING = "smoothing=filter10,none,gaussian9,gaussian15,savgol,relative"
_REPLAYED_VLM = ("vlm.captions=video_llama3_json_results", "vlm.scores=videollama3")
_REPLAYED_LLM = ("llm.scores=videollama3", "llm.refined_scores=videollama3")
_COREVAD_FILES, _COREVAD_SWEPT = (
    ("vlm.root={corevad}", "vlm.verdict={verdict_ucf}"),
    ("smoothing=none,gaussian9", _POSITION),
)
_RECORDED_ROWS = (
    *(f"boxes_{prior}{mapped}" for mapped in ("", "_mapped") for prior in ("none", "tags", "class")),
    *("texts_urf", "texts_holmesvau", "texts_hawk"),
)

_PROBE = {"ucf": "ucf_crime", "xd": "xd_violence", "msad": "msad"}

BATCHES = (
    ReplayBatch("urf_ucf", ("experiment=urf_ucf", _UCF), (_SMOOTHING, _POSITION)),
    ReplayBatch("urf_ucf_others", ("experiment=urf_ucf", _UCF, _LABELS_UCF), (_OTHERS, _POSITION)),
    ReplayBatch("ratings", ("experiment=urf_ucf", _UCF, _RAW), (_POSITION,)),
    ReplayBatch("ratings_others", ("experiment=urf_ucf", _UCF, _RAW, _LABELS_UCF), (_OTHERS, _POSITION)),
    ReplayBatch("urf_xd", ("experiment=urf_xd", _XD), ("smoothing=filter10,relative", _POSITION)),
    ReplayBatch("urf_xd_others", ("experiment=urf_xd", _XD, _LABELS_XD), (_OTHERS, _POSITION)),
    ReplayBatch("corevad_ucf_lavad", ("experiment=corevad_ucf_lavad", _UCF, *_COREVAD_FILES), _COREVAD_SWEPT),
    ReplayBatch(
        "corevad_xd",
        ("experiment=corevad_xd", _XD, _LABELS_XD, "vlm.root={corevad}"),
        (),
        optional="{corevad}/VLM_responses_LRC_xd.json",
    ),
    ReplayBatch(
        "corevad_ucf", ("experiment=corevad_ucf", _UCF, _LABELS_UCF, *_COREVAD_FILES), (_OTHERS, *_COREVAD_SWEPT)
    ),
    *(
        ReplayBatch(name, (f"experiment={name}", _UCF, *_REPLAYED_VLM, *_REPLAYED_LLM), ())
        for name in ("urf_ucf_replay", "urf_ucf_first")
    ),
    ReplayBatch(
        "urf_ucf_causal", ("experiment=urf_ucf_causal", _UCF, *_REPLAYED_VLM, *_REPLAYED_LLM), ("online.delay=0.0,5.0",)
    ),
    *(
        ReplayBatch(f"urf_ucf_{name}", (f"experiment=urf_ucf_{name}", _UCF, _REPLAYED_VLM[1]), ())
        for name in _RECORDED_ROWS
    ),
    *(
        ReplayBatch(f"urf_xd_texts_{name}", (f"experiment=urf_xd_texts_{name}", _XD), ())
        for name in ("urf", "holmesvau", "hawk")
    ),
    *(
        ReplayBatch(name, (f"experiment={name}", "data.root={vadtree}/MSAD"), (), optional="{vadtree}/MSAD")
        for name in ("vadtree_msad", "vadtree_msad_coarse", "vadtree_msad_fine")
    ),
    *(
        ReplayBatch(name, (f"experiment={name}", f"data.root={folder}"), (), optional=folder)
        for name, folder in (
            *(("urf_msad", "{urf}/MSAD"), ("urf_ubnormal", "{urf}/UBNormal")),
            *((f"probe_{data}", f"{{probe}}/{folder}") for data, folder in _PROBE.items()),
        )
    ),
)


_PLAIN, _CENTRED = ("smoothing=filter10", "position=none"), ("smoothing=filter10", "position=centre")
_FLAT, _BOXES = ("roc_auc", "pr_auc"), ("tiou", "tiou_per_video")
_TEXTS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum", "cider", "meteor", "rouge_l")
_BETA = "the weight of the levels, beta, was chosen for this data set"
_NO_REFINEMENT = "without its softmax refinement: the CLIP features are not released"

ROWS = (
    ReplayRow("URF, UCF-Crime, first ratings", "urf_ucf_first", (), "", _FLAT),
    ReplayRow("URF, UCF-Crime, first ratings, causal", "urf_ucf_causal", ("online.delay=0.0",), "", _FLAT),
    ReplayRow("the same, five seconds of delay allowed", "urf_ucf_causal", ("online.delay=5.0",), "", _FLAT),
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
    ReplayRow("CoReVAD, XD-Violence", "corevad_xd", (), "corevad_xd", ("average_precision",), _NO_REFINEMENT),
    ReplayRow("VADTree, MSAD, ensemble of both levels", "vadtree_msad", (), "vadtree_msad", _FLAT, _BETA),
    ReplayRow("VADTree, MSAD, refined coarse nodes", "vadtree_msad_coarse", (), "vadtree_msad_coarse", _FLAT),
    ReplayRow("VADTree, MSAD, refined fine nodes", "vadtree_msad_fine", (), "vadtree_msad_fine", _FLAT),
    ReplayRow("URF, MSAD, refined scores", "urf_msad", (), "urf_msad", _FLAT),
    ReplayRow("URF, UBnormal, refined scores", "urf_ubnormal", (), "urf_ubnormal", _FLAT),
    ReplayRow("Probe-VAD, UCF-Crime, scores", "probe_ucf", (), "probe_ucf_scores", _FLAT),
    ReplayRow("Probe-VAD, XD-Violence, scores", "probe_xd", (), "probe_xd_scores", _FLAT),
    ReplayRow("Probe-VAD, MSAD, scores of 240 videos", "probe_msad", (), "probe_msad_scores", _FLAT),
    ReplayRow("URF boxes, no tags", "urf_ucf_boxes_none", (), "urf_boxes_none", _BOXES),
    ReplayRow("URF boxes, predicted tags", "urf_ucf_boxes_tags", (), "urf_boxes_tags", _BOXES),
    ReplayRow("URF boxes, true class", "urf_ucf_boxes_class", (), "urf_boxes_class", _BOXES),
    ReplayRow("URF boxes, no tags, mapped to the frame", "urf_ucf_boxes_none_mapped", (), "", _BOXES),
    ReplayRow("URF boxes, predicted tags, mapped to the frame", "urf_ucf_boxes_tags_mapped", (), "", _BOXES),
    ReplayRow("URF boxes, true class, mapped to the frame", "urf_ucf_boxes_class_mapped", (), "", _BOXES),
    ReplayRow("URF texts", "urf_ucf_texts_urf", (), "", _TEXTS),
    ReplayRow("HolmesVAU texts", "urf_ucf_texts_holmesvau", (), "", _TEXTS),
    ReplayRow("Hawk texts", "urf_ucf_texts_hawk", (), "", _TEXTS),
    ReplayRow("URF texts, XD-Violence", "urf_xd_texts_urf", (), "", _TEXTS),
    ReplayRow("HolmesVAU texts, XD-Violence", "urf_xd_texts_holmesvau", (), "", _TEXTS),
    ReplayRow("Hawk texts, XD-Violence", "urf_xd_texts_hawk", (), "", _TEXTS),
)

PROTOCOL_ROWS = (
    ProtocolRow("URF first ratings, UCF-Crime", "ratings", "ratings_others", _PLAIN),
    ProtocolRow("URF refined, UCF-Crime", "urf_ucf", "urf_ucf_others", _PLAIN),
    ProtocolRow("URF refined + position, UCF-Crime", "urf_ucf", "urf_ucf_others", _CENTRED),
    ProtocolRow("URF refined, XD-Violence", "urf_xd", "urf_xd_others", _PLAIN),
    ProtocolRow("URF refined + position, XD-Violence", "urf_xd", "urf_xd_others", _CENTRED),
    *(
        ProtocolRow(f"CoReVAD {name}, UCF-Crime", "corevad_ucf_lavad", "corevad_ucf", (smoothing, position))
        for name, smoothing, position in (
            ("verdicts", "smoothing=none", "position=none"),
            ("+ position", "smoothing=none", "position=centre"),
            ("+ smoothing", "smoothing=gaussian9", "position=none"),
            ("+ both", "smoothing=gaussian9", "position=centre"),
        )
    ),
)

OWN_ROWS = (
    OwnRow("URF's captions, UCF-Crime, rated by MiniLM", "text_retrieval_ucf_sparse", "{urf}/ucf_crime"),
    OwnRow("URF's captions, XD-Violence, rated by MiniLM", "text_retrieval_xd_sparse", "{urf}/xd_violence", "‡"),
    OwnRow("URF's captions, UCF-Crime, rated by SmolLM2-135M", "urf_smollm2_ucf_sparse", "{urf}/ucf_crime"),
)
"""‡: settings chosen on these labels."""

COMBINED = {
    "urf_ucf": ("URF's refined scores, UCF-Crime", _PLAIN),
    "urf_xd": ("URF's refined scores, XD-Violence", _PLAIN),
    "corevad_ucf_lavad": ("CoReVAD's answers, UCF-Crime", ("smoothing=none", "position=none")),
}
"""Batch -> the title of its table, and the job that the others are compared with."""


_OTHER_MODELS = "other captioner, LLM and encoder than the paper's"
_CLIP = "guiding questions in our words; CLIP in place of ImageBind"


def _live(title: str, name: str, remark: str = "") -> GpuRow:
    """The row of `experiment=NAME_live`, whose file has the models, the protocol and the labels."""
    return GpuRow(title, name, f"experiment={name}_live data.root=DIR", remark)


GPU_ROWS = (
    _live("CoReVAD with its refinement, UCF-Crime", "corevad_ucf"),
    _live("CoReVAD with its refinement, XD-Violence", "corevad_xd"),
    _live("URF from the videos, UCF-Crime", "urf_ucf"),
    _live("URF from the videos, XD-Violence", "urf_xd"),
    _live("URF from the videos, UBnormal", "urf_ubnormal"),
    _live("URF from the videos, MSAD", "urf_msad"),
    GpuRow(
        "URF's boxes from the videos, predicted tags",
        "urf_boxes_tags",
        "method=urf_localise vlm=qwen2_5_vl scores.root=SCORES data=ucf_crime data.root=DIR",
        "SCORES: the folder scores/ of a run of URF; its tags come from this vlm",
    ),
    _live("LAVAD, UCF-Crime", "lavad_ucf", _OTHER_MODELS),
    _live("LAVAD, XD-Violence", "lavad_xd", _OTHER_MODELS),
    _live("VERA, UCF-Crime", "vera_ucf", _CLIP),
    _live("VERA, XD-Violence", "vera_xd", _CLIP),
    GpuRow(
        "VERA, XD-Violence, as its AP is counted",
        "vera_xd_ap",
        "experiment=vera_xd_live refinement.all_up_to=4 stages.round.sigmoid=true position=none data.root=DIR",
        f"{_CLIP}; the labels of its AP are not released",
    ),
    _live("Probe-VAD, UCF-Crime", "probe_ucf"),
    _live("Probe-VAD, XD-Violence", "probe_xd"),
    _live("Probe-VAD, MSAD", "probe_msad"),
)
