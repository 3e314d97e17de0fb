"""Any text-only checkpoint that transformers has natively, run here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaa.models import asking, checkpoint
from vaa.models.generating import Sampling, settle
from vaa.models.local import Local
from vaa.types import Answer, Question, Unanswered, VaaError


@dataclass(frozen=True)
class TransformersLLM:
    """A frozen LLM, asked in left-padded batches; it does not think aloud where its chat template can say so.

    The fields are those of TransformersVLM.
    """

    checkpoint: str
    revision: str | None
    dtype: str
    quantization: str
    device_map: str
    attention: str
    temperature: float
    top_p: float
    seed: int
    batch_size: int

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision and how tokens are taken; neither batch nor device."""
        name = checkpoint.identity(self.checkpoint, self.revision)
        return f"{name} {self.dtype} {self.quantization} {self._sampling.identity}"

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer | Unanswered]:
        """Text, or the probabilities of a question's choices, in order.

        Raises:
            VaaError: a question is about frames.
        """
        seen = next((question for question in questions if question.frames), None)
        if seen is not None:
            raise VaaError(f"'{self.checkpoint}' reads text only; the {seen.purpose} prompt shows it frames.")
        return asking.answers(self._load, questions, self._sampling, reader="none", workers=0)

    def release(self) -> None:
        """Forget the weights."""
        if _loaded.pop(self, None):
            checkpoint.free()

    @property
    def _sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.seed)

    def _load(self) -> Local:
        if self not in _loaded:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            options = checkpoint.placement(self.device_map, self.dtype, self.quantization)
            tokenizer = checkpoint.load(AutoTokenizer, self.checkpoint, self.revision)
            model = checkpoint.attentive(
                AutoModelForCausalLM, self.checkpoint, self.revision, self.attention, options
            ).eval()
            settle(model, tokenizer)
            _loaded[self] = Local(model, tokenizer, None, self.batch_size)
        return _loaded[self]


_loaded: dict[TransformersLLM, Local] = {}
