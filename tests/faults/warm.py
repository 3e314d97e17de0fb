"""What every run imports, imported once: the runs of these tests are forked from the process that did."""

from __future__ import annotations

import importlib
import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoTokenizer

torch.set_num_threads(1)  # before the fork none may be running
PARTS = (
    *("vaa.experiment", "vaa.data.synthetic", "vaa.data.folder", "vaa.engines.base", "vaa.doctor.diagnosis"),
    *(
        "vaa.models.transformers.vlm",
        "vaa.models.transformers.encoder",
        "vaa.models.server.model",
        "vaa.stages.urf",
    ),
    *(
        "vaa.report.page.build",
        "hydra",
        "decord",
        "av",
        "pebble",
        "sklearn.metrics",
        "scipy.special",
        "wandb",
        "openai",
    ),
)
for part in PARTS:
    importlib.import_module(part)
for auto in (AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer):
    auto.from_pretrained("vaa/tiny/checkpoints/vlm")
for auto in (AutoModel, AutoTokenizer):
    auto.from_pretrained("vaa/tiny/checkpoints/clip")
