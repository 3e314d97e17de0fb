"""The words for what a camera saw: a sentence, a tag, a long description, a severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vaa.synthetic.kinds import Kind
from vaa.synthetic.world import Script, main_event


@dataclass(frozen=True)
class Account:
    """What is to be told of some moments: the kind of the main event (None: nothing moves), where and when."""

    kind: Kind | None
    place: str
    night: bool

    @property
    def anomalous(self) -> bool:
        """Whether the main event is an anomaly."""
        return self.kind is not None and self.kind.anomalous

    @property
    def severity(self) -> float:
        """0 to 1 in tenths."""
        return self.kind.severity if self.kind else 0.0

    @property
    def tags(self) -> tuple[str, ...]:
        """Phrases that name the anomaly; none for what is ordinary."""
        return (self.kind.tag,) if self.kind and self.anomalous else ()

    @property
    def sentence(self) -> str:
        """One sentence: what happens, where, by day or at night."""
        clause = self.kind.clause if self.kind else "nothing moves"
        return f"{clause[0].upper()}{clause[1:]} in the {self.place} {self._time}."

    @property
    def description(self) -> str:
        """Where, what, and why it is an anomaly or not."""
        scene = f"The video shows a {self.place} {self._time}."
        if self.kind is None or not self.anomalous:
            clause = self.kind.clause if self.kind else "nothing moves"
            return f"{scene} {clause[0].upper()}{clause[1:]}. The video appears normal."
        clause = self.kind.clause
        return f"{scene} {clause[0].upper()}{clause[1:]}. This is an anomaly because {self.kind.reason}."

    @property
    def _time(self) -> str:
        return "at night" if self.night else "by day"


def account(script: Script, times: Sequence[float]) -> Account:
    """What is to be told of a script at these moments (seconds)."""
    seen = main_event(script, times)
    return Account(seen[1] if seen else None, script.scene.place, script.scene.night)
