"""The numbers that the papers print, with their sources. No other number of `docs/results.md` is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of a paper: metric -> number in percent, as printed."""

    source: str
    numbers: Mapping[str, float]


_URF, _TARGET = "URF, NeurIPS 2025", "target of this project, no paper"
_PROBE = "metric files of Probe-VAD's release, 2026"
_VADTREE = "metric files of VADTree's release, NeurIPS 2025"
PUBLISHED = {
    "urf_ucf": Published(_URF, {"roc_auc": 84.28}),
    "urf_xd": Published(_URF, {"roc_auc": 91.34, "pr_auc": 68.07}),
    "urf_ucf_centred": Published(_TARGET, {"roc_auc": 85.42, "pr_auc": 38.68}),
    "urf_xd_centred": Published(_TARGET, {"roc_auc": 91.47, "pr_auc": 69.53}),
    "urf_ubnormal": Published(_URF, {"roc_auc": 68.98}),
    "urf_msad": Published(_URF, {"roc_auc": 85.9, "pr_auc": 76.4}),
    "urf_boxes_none": Published(_URF, {"tiou": 24.09}),
    "urf_boxes_tags": Published(_URF, {"tiou": 25.17}),
    "urf_boxes_class": Published(_URF, {"tiou": 25.21}),
    "corevad_ucf": Published("CoReVAD, ICPR 2026", {"roc_auc": 82.51}),
    "corevad_xd": Published("CoReVAD, ICPR 2026", {"average_precision": 70.94}),
    "lavad_ucf": Published("LAVAD, CVPR 2024", {"roc_auc": 80.28}),
    "lavad_xd": Published("LAVAD, CVPR 2024", {"roc_auc": 85.36, "pr_auc": 62.01}),
    "vera_ucf": Published("VERA, CVPR 2025", {"roc_auc": 86.55}),
    "vera_xd": Published("VERA, CVPR 2025", {"roc_auc": 88.26}),
    "vera_xd_ap": Published("VERA, CVPR 2025", {"pr_auc": 70.54}),
    "vadtree_msad": Published(_VADTREE, {"roc_auc": 89.32, "pr_auc": 71.41}),
    "vadtree_msad_coarse": Published(_VADTREE, {"roc_auc": 87.01, "pr_auc": 68.22}),
    "vadtree_msad_fine": Published(_VADTREE, {"roc_auc": 86.71, "pr_auc": 68.99}),
    "probe_ucf": Published("Probe-VAD, 2026", {"roc_auc": 86.27}),
    "probe_xd": Published("Probe-VAD, 2026", {"roc_auc": 92.11, "pr_auc": 75.36}),
    "probe_ucf_scores": Published(_PROBE, {"roc_auc": 86.27, "pr_auc": 39.47}),
    "probe_xd_scores": Published(_PROBE, {"roc_auc": 92.11, "pr_auc": 75.36}),
    "probe_msad_scores": Published(_PROBE, {"roc_auc": 94.36, "pr_auc": 81.20}),
    "probe_msad": Published("Probe-VAD, 2026", {"roc_auc": 87.55, "pr_auc": 78.43}),
}
