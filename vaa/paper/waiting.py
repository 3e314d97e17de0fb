"""Published rows that no released file gives: they need a GPU, weights and the videos. Here is the command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuRow:
    """A row of PUBLISHED (empty where the papers print none that we know), and the overrides that would make it."""

    title: str
    published: str
    overrides: str
    remark: str = ""


_UCF, _XD = "data=ucf_crime data.root=DIR", "data=xd_violence data.root=DIR"
_VERA_UCF, _VERA_XD = "protocol=vera protocol.labels=UCF_Eval.json", "protocol=vera protocol.labels=xd_test_800.json"
_COREVAD = "method=corevad vlm=internvl2 encoder=clip_vit_b16"
_URF = "method=urf vlm=videollama3 llm=llama3_1"
_LAVAD = "method=lavad vlm=qwen2_5_vl llm=llama3_1 encoder=clip_vit_l14"
_VERA = "method=vera vlm=internvl2 encoder=clip_vit_b16"
_PRIOR = "the paper's wording of this data set's prior is not known here: stages.reconsider.prior"
_OTHERS = "other captioner, LLM and encoder than the paper's"
_XD_VERA = "prompt=vera_xd refinement.share=0.15 smoothing.size=30 smoothing.sigma=30.0"

WAITING = (
    GpuRow("CoReVAD with its refinement, UCF-Crime", "corevad_ucf", f"{_COREVAD} {_UCF} {_VERA_UCF}"),
    GpuRow(
        "CoReVAD with its refinement, XD-Violence",
        "corevad_xd",
        f"{_COREVAD} {_XD} protocol=corevad protocol.labels=xd_test_800.json",
    ),
    GpuRow("URF from the videos, UCF-Crime", "urf_ucf", f"{_URF} {_UCF}"),
    GpuRow("URF from the videos, XD-Violence", "urf_xd", f"{_URF} {_XD}", _PRIOR),
    GpuRow("URF from the videos, UBnormal", "urf_ubnormal", f"{_URF} data=ubnormal data.root=DIR", _PRIOR),
    GpuRow("URF from the videos, MSAD", "urf_msad", f"{_URF} data=msad data.root=DIR", _PRIOR),
    GpuRow(
        "URF's boxes from the videos, predicted tags",
        "urf_boxes_tags",
        f"method=urf_localise vlm=qwen2_5_vl scores.root=SCORES {_UCF}",
        "SCORES: the folder scores/ of a run of URF; its tags come from this vlm",
    ),
    GpuRow("LAVAD, UCF-Crime", "lavad_ucf", f"{_LAVAD} {_UCF}", _OTHERS),
    GpuRow("LAVAD, XD-Violence", "lavad_xd", f"{_LAVAD} {_XD}", _OTHERS),
    GpuRow("VERA, UCF-Crime", "vera_ucf", f"{_VERA} {_UCF} {_VERA_UCF}", "guiding questions in our words"),
    GpuRow("VERA, XD-Violence", "vera_xd", f"{_VERA} {_XD_VERA} {_XD} {_VERA_XD}", "guiding questions in our words"),
    GpuRow("Probe-VAD, UCF-Crime", "probe_ucf", f"method=probe vlm=videollama3 {_UCF}"),
    GpuRow("Probe-VAD, XD-Violence", "probe_xd", f"method=probe vlm=videollama3 {_XD}"),
)
