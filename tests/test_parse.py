from __future__ import annotations

import math

import pytest

from vaa.parse import Verdict


@pytest.mark.parametrize(
    ("answer", "score", "description"),
    [
        ("```\nAnomalous scenes.\nA man breaks a window.\n```", 1.0, "A man breaks a window."),
        ("```text\nNormal scenes.\nCars pass.\n```", 0.0, "Cars pass."),
        ("Anomalous scenes. A man falls.", 1.0, "A man falls."),
        ("NORMAL SCENES. Cars pass. A dog barks.", 0.0, "Cars pass. A dog barks."),
        ("anomalous scenes", 1.0, "anomalous scenes"),
        ("Normal scenes.", 0.0, "Normal scenes."),
        ("Anomalous scenes at 3.5 m/s. A car.", 1.0, "A car."),  # a full stop within a number ends nothing
        ("Normal scenes\nCars pass.", 0.0, "Normal scenes Cars pass."),
        ("  Normal   scenes.\n\n Cars\tpass. ", 0.0, "Cars pass."),
        ("I cannot tell. It may be anomalous scenes.", math.nan, "It may be anomalous scenes."),
        ("Abnormal scenes. A man.", math.nan, "A man."),
        ("", math.nan, ""),
        ("```\n```", math.nan, ""),
    ],
)
def test_verdict(answer: str, score: float, description: str) -> None:
    response = Verdict()(answer)
    assert response.score == pytest.approx(score, nan_ok=True)
    assert response.description == description


def test_verdict_keeps_its_lines_joined_by_a_space() -> None:
    assert Verdict()("```\nNormal scenes.\nCars pass.\n```").text == "Normal scenes. Cars pass."
