"""Import what every run imports; the runs of these tests are forked from this process."""

from __future__ import annotations

import importlib
import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoTokenizer

torch.set_num_threads(1)  # no threads may run when processes are forked
MODULES = (
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
for module in MODULES:
    importlib.import_module(module)
for auto in (AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer):
    auto.from_pretrained("vaa/tiny/checkpoints/vlm")
for auto in (AutoModel, AutoTokenizer):
    auto.from_pretrained("vaa/tiny/checkpoints/clip")
