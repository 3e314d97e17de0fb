"""Paraphrases of the prompts, so that the tiny VLM does not depend on their exact wording."""

from __future__ import annotations

import random

_NUMBER = (
    "Answer with a list holding one number from 0.0 to 1.0.",
    "Reply with only a Python list of one number, for example [0.5].",
    "Give one number between 0 and 1 in square brackets.",
)
_JSON = (
    'Answer in JSON: [{"bbox_2d": [x1, y1, x2, y2], "confidence": c}], or [] if there is none.',
    'Give [{"bbox_2d": [x1, y1, x2, y2], "confidence": c}] and nothing else; [] if absent.',
    "Report its box as JSON with bbox_2d and confidence; an empty list if absent.",
)
_GUIDED = (
    (
        "Do people fight, steal or flee? Is there fire, an explosion or a crash? Does somebody collapse?",
        "Do you see violence, a theft, an accident, a fire, or somebody lying on the ground?",
    ),
    (
        "Answer [1] if any of it is seen, else [0].",
        "Reply with [1] for yes or [0] for no.",
        "Give a Python list of one number, 1 if something of the kind happens, else 0.",
    ),
)
_YES_NO = ("Answer YES or NO.", "Answer with YES or NO only.", "YES or NO?")
_PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "verdict": (
        (
            "These are frames of a surveillance video.",
            "The frames above come from a security camera.",
            "Look at the clip.",
        ),
        (
            "Is there anything abnormal, such as violence, crime, an accident or fire?",
            "Does something dangerous or unusual happen?",
            "Decide whether the scene is normal or anomalous.",
            "Do you see violence, crime, an accident, fire or other danger?",
        ),
        (
            'Answer in a fenced block of two lines: "Anomalous scenes." or "Normal scenes.", then one short sentence.',
            "Reply with a fenced block: the verdict on line 1, one sentence saying what happens on line 2.",
            'First line "Anomalous scenes." or "Normal scenes.", second line what happens, both in a fenced block.',
        ),
    ),
    "describe": (
        ("These frames are from a surveillance camera.", "Look at the frames.", ""),
        (
            "Describe in one sentence what happens.",
            "What is the main event? One short sentence.",
            "Give a concise summary of the main action.",
            "Summarise the main event in one sentence.",
        ),
    ),
    "frame": (
        ("This is a frame of a surveillance video.", "Look at the image.", ""),
        (
            "Describe the image in one sentence.",
            "What is happening? One short sentence.",
            "Say in a sentence what the image shows.",
        ),
    ),
    "summarise": (
        ("Here are captions of frames of one scene.", "These captions follow each other in time.", ""),
        (
            "Summarise the scene in one sentence.",
            "What happens in the scene? One sentence.",
            "Sum up in a sentence; ignore what does not fit.",
        ),
    ),
    "guided_digit": _GUIDED,
    "guided_xd_digit": _GUIDED,
    "tags": (
        ("Look at the clip.", "These frames are from a surveillance camera.", ""),
        (
            "List the suspicious behaviour as a Python list of phrases, [] if there is none.",
            "Which suspicious activities are seen? Answer with a Python list of short phrases.",
            "Give a list of phrases for suspicious behaviour; an empty list if nothing is suspicious.",
        ),
    ),
    "box": (("Where is $tags in this image?", "Find $tags in the frame.", "Locate $tags."), _JSON),
    "box_any": (
        (
            "Is there an anomaly in this image, and where?",
            "Locate any anomaly.",
            "Find the abnormal region in the frame.",
        ),
        _JSON,
    ),
    "understand": (
        ("Known so far: $tags", "Reported: $tags", "Possible events: $tags"),
        (
            "Describe any anomaly in detail and explain why it is one; else say that the video appears normal.",
            "What happens in the video, and is it an anomaly? Say why.",
            "Describe the video in detail and say whether anything in it is abnormal and why.",
        ),
    ),
    "threshold": (
        (
            "Severity from 0, ordinary, to 1, a danger, crime or emergency.",
            "On a scale of 0 (safe) to 1 (dangerous, violent or criminal) judge what is visible.",
        ),
        ("Is it at least $threshold? YES or NO.", "Does the severity reach $threshold? Answer YES or NO."),
    ),
    "watch": (
        (
            "Does something dangerous or abnormal happen?",
            "Is there violence, a crime, an accident, a fire or another danger?",
            "Do you see an anomaly?",
        ),
        _YES_NO,
    ),
    "watch_for": (
        ("Do you see this: $definition?$exceptions", "Is this visible: $definition?$exceptions"),
        _YES_NO,
    ),
    "score": (
        ("How abnormal is what these frames show?", "Rate how dangerous the scene is, 0 ordinary, 1 abnormal."),
        _NUMBER,
    ),
    "rate": (
        (
            "How would you rate the scene, 0 standard, 1 suspicious or criminal?",
            "Rate how suspicious the described scene is, from 0 to 1.",
            "Is the described scene suspicious?",
        ),
        _NUMBER,
    ),
    "rerate": (
        (
            "How would you rate the scene? 0 is standard, 1 is $prior.",
            "Rate the described scene from 0, standard, to 1, $prior.",
        ),
        _NUMBER,
        ("Possibly reported: $tags", "Reported activities: $tags"),
    ),
}


def draw_paraphrase(name: str, draw: random.Random) -> str:
    """A paraphrase of the prompt `name`, with its placeholders but without `$frames`."""
    lines = [draw.choice(choices) for choices in _PARTS[name]]
    separator = draw.choice(("\n", " "))
    return separator.join(line for line in lines if line)


def sentences() -> list[str]:
    """All lines, for the tokenizer."""
    return [line for parts in _PARTS.values() for choices in parts for line in choices]
