"""How many questions a device is asked at once: as many as it has memory for, found while asking."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("vaa")
_AGAIN = 16  # full batches before a size that was too much is tried once more: memory may have been somebody else's
_SPARE = 0.85  # of the free memory is used


@dataclass
class AdaptiveBatchSize:
    """Starts at `size`; halved when memory runs out, doubled where a full batch leaves room for two on a GPU."""

    size: int
    _ceiling: int | None = field(init=False, default=None)
    _since: int = field(init=False, default=0)

    @property
    def tight(self) -> bool:
        """Whether more was too much."""
        return self._ceiling is not None

    def shrink(self, failed: int) -> None:
        """`failed` at once were too many."""
        if self.size > failed // 2:
            self.size, self._ceiling, self._since = max(1, failed // 2), failed, 0
            log.warning("Out of memory with %d questions at once: from here on %d.", failed, self.size)

    def grow(self, answered: int, used: float) -> None:
        """`answered` at once took the share `used` of the device's memory that was free for them (1.0: not known)."""
        if answered < self.size:
            return
        self._since += 1
        if self._ceiling is not None and self.size * 2 >= self._ceiling:
            if self._since < _AGAIN:
                return
            self._ceiling = None
        if self._since >= 1 and 2 * used < _SPARE:
            self.size, self._since = 2 * self.size, 0


@dataclass
class GpuMemoryMeter:
    """What share of the GPUs' free memory something takes; 1.0 on a CPU, where it cannot be told."""

    model: Any
    _before: dict[int, tuple[int, int]] = field(init=False, default_factory=dict)

    def __enter__(self) -> GpuMemoryMeter:
        import torch

        for gpu in self._gpus():
            free = torch.cuda.mem_get_info(gpu)[0] + torch.cuda.memory_reserved(gpu)
            torch.cuda.reset_peak_memory_stats(gpu)
            held = torch.cuda.memory_allocated(gpu)
            self._before[gpu] = (held, free - held)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""

    @property
    def used(self) -> float:
        """The share of the fullest GPU."""
        import torch

        shares = [
            (torch.cuda.max_memory_allocated(gpu) - held) / max(1, free) for gpu, (held, free) in self._before.items()
        ]
        return max(shares, default=1.0)

    def _gpus(self) -> list[int]:
        import torch

        placed = getattr(self.model, "hf_device_map", None) or {"": self.model.device}
        named = (f"cuda:{place}" if isinstance(place, int) else str(place) for place in placed.values())
        devices = {torch.device(name) for name in named if name != "disk"}
        return sorted({device.index or 0 for device in devices if device.type == "cuda"})
