"""Copied as sitecustomize.py into .venv-vllm (make test-vllm): what the CPU build of vLLM lacks at import.

The package index has torchvision for CUDA only, and without its operators, which nothing here calls, its import fails.
"""

from importlib.util import find_spec

if find_spec("torchvision"):
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
