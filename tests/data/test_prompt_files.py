"""The authors' prompts, read from files like theirs: the structure is theirs, the words are ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vaa.data.prompt_files import (
    Prompts,
    corevad_prompts,
    lavad_prompts,
    probe_prompts,
    urf_prompts,
    vera_prompts,
    write_prompts,
)
from vaa.errors import DataError
from vaa.prompts.parsers import CaptionParser
from vaa.prompts.template import Prompt
from vaa.types import Segment, Video

COREVAD = {"P_VLM_format.txt": "You look.\n[$Data]\nIt costs 5 $.\n"}
LEARNER = "You are asked.\nAnswer these. \nBased on the analysis above, decide.\n[$Data]\nEnd.\n"
UCF, XD = (
    "".join(f"{k}. Is it {word}?\n" for k, word in enumerate(words, 1))
    for words in (["a", "b", "c", "d", "e"], "vwxyz")
)
VERA = {
    "VERA_learner_instruct.txt": LEARNER,
    "README.md": f"# VERA\n```\npython training.py\n```\nFor UCF:\n```\n{UCF}```\nFor XD:\n```\n{XD}```\n",
}
SHELL = 'batch_size=16\ncontext_prompt="How bad is the {0}?"\nformat_prompt="One of [0, 1]. It begins with \'[\'."\n'
LAVAD = {
    f"slurm/{name}/04_query_llm.sh": SHELL.format(name) + 'summary_prompt="Sum up, for 5 $."\npython -m x "$summary"\n'
    for name in ("ucf_crime", "xd_violence")
}
PROBE = {
    "probe_vad/scoring.py": 'SCALE = ("no " "text")\nCUMULATIVE_PROMPT = (\n    "From 0 "\n    "to 1."\n)\n',
    "probe_vad/utils.py": "def build(threshold):\n    question = (\n        f'At least '\n"
    "        f'{threshold:.1f}? '\n        \"YES or NO, for 5 $.\"\n    )\n    return question\n",
}
CHAT = """
def ask(video, suspicious_phrases, probability):
    if probability > 0.5:
        conversation = [
            {{"role": "system", "content": {system}}},
            {{"role": "user", "content": [
                {{"type": "video", "video": {{"video_path": video, "max_frames": 16}}}},
                {{"type": "text", "text": ("Say " "what." "[]")}},
            ]}},
        ]
    else:
        conversation = [{{"role": "system", "content": "Another."}}, {{"type": "text", "text": "Another."}}]
    return conversation
"""
URF = {
    "scripts/query_llm_vad.sh": SHELL.format("scene"),
    "scripts/refine_score.sh": SHELL.format("clip"),
    "src/refine_with_tag.py": 'def dialogs(self, tags):\n    a = f"{self.a}"\n'
    '    a += f"\\n[Perhaps: {truncated_susp}]"\n    a += f"\\n\\n{self.b}"\n',
    "data/ucf_crime/refined_scores/model/context_prompt.txt": "How criminal, for 5 $?",
    "data/MSAD/refined_scores/model/context_prompt.txt": "How abnormal?",
    "src/summarize_window.py": CHAT.format(system='"You see a part."'),
    "src/val_priors.py": "def ask(anomaly_label):\n    if not anomaly_label:\n"
    "        prompt_text = ('Anything? ' '[{\"bbox_2d\": [x]}]')\n    else:\n"
    "        prompt_text = (f\"It may be '{anomaly_label}'. \" '[{\"bbox_2d\": [x]}]')\n",
    "src/vau_priors.py": CHAT.format(system='("It could be " "{suspicious_phrases}, for 5 $.").format(x=1)'),
}


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def query(root: Path, file: str, system_file: str | None = None, **fields: str) -> tuple[str, str]:
    """The messages of a prompt with these files of `prompts/`, about two frames."""
    prompt = Prompt(
        purpose="any",
        system="",
        text="",
        definition_text=None,
        file=str(root / "prompts" / f"{file}.txt"),
        system_file=system_file and str(root / "prompts" / f"{system_file}.txt"),
        placeholders=None,
        max_new_tokens=8,
        parser=CaptionParser(),
    )
    made = prompt.query(Video("v", Path("v.mp4"), 9, 10.0), Segment(0, 9, (0, 8), 0), **fields)
    return made.text, made.system


FRAMES = "Frame1: <image>\nFrame2: <image>\n"


def test_corevads_prompt_is_its_file_with_the_frames_where_its_program_puts_them(tmp_path: Path) -> None:
    write_prompts(lay(tmp_path, COREVAD), corevad_prompts)
    assert query(tmp_path, "verdict") == (COREVAD["P_VLM_format.txt"].replace("$Data", FRAMES), "")


@pytest.mark.parametrize(("name", "questions"), [("verdict_ucf", UCF), ("verdict_xd", XD)])
def test_veras_prompt_has_the_questions_where_its_program_inserts_them(
    tmp_path: Path, name: str, questions: str
) -> None:
    write_prompts(lay(tmp_path, VERA), vera_prompts)
    before, after = LEARNER.split("Based on")
    assert query(tmp_path, name)[0] == (before + questions + "Based on" + after).replace("$Data", FRAMES)


def test_lavads_prompts_are_the_texts_of_its_scripts(tmp_path: Path) -> None:
    write_prompts(lay(tmp_path, LAVAD), lavad_prompts)
    (tmp_path / "prompts" / "user.txt").write_text("$caption")
    _, system = query(tmp_path, "user", "rate_system_xd", caption="A man.")
    assert system == "How bad is the xd_violence? One of [0, 1]. It begins with '['."
    assert query(tmp_path, "user", "summarise_system_ucf", caption="A man.")[1] == "Sum up, for 5 $."


def test_urfs_prompts_are_the_texts_of_its_programs(tmp_path: Path) -> None:
    files = write_prompts(lay(tmp_path, URF), urf_prompts)
    assert {file.stem for file in files} == {
        *("rate_system", "rerate_system_ucf_crime", "rerate_system_msad", "tags_system", "tags"),
        *("box", "box_any", "understand_system", "understand"),
    }
    fields = {"tags": "theft"}
    assert query(tmp_path, "tags", "tags_system") == ("Say what.[]", "You see a part.")
    assert query(tmp_path, "box", **fields)[0] == "It may be 'theft'. [{\"bbox_2d\": [x]}]"
    assert query(tmp_path, "box_any", **fields)[0] == 'Anything? [{"bbox_2d": [x]}]'
    assert query(tmp_path, "understand", "understand_system", **fields) == (
        "Say what.[]",
        "It could be theft, for 5 $.",
    )
    assert query(tmp_path, "tags", "rate_system")[1] == "How bad is the scene? One of [0, 1]. It begins with '['."
    assert query(tmp_path, "tags", "rerate_system_ucf_crime", **fields)[1] == (
        "How criminal, for 5 $?\n[Perhaps: theft]\n\nOne of [0, 1]. It begins with '['."
    )


def test_probe_vads_prompts_are_the_texts_of_its_program(tmp_path: Path) -> None:
    write_prompts(lay(tmp_path, PROBE), probe_prompts)
    assert query(tmp_path, "threshold", "threshold_system", threshold="0.3") == (
        "At least 0.3? YES or NO, for 5 $.",
        "From 0 to 1.",
    )


@pytest.mark.parametrize(
    ("make", "files"),
    [
        (corevad_prompts, {}),
        (vera_prompts, {**VERA, "README.md": "No questions."}),
        (lavad_prompts, dict.fromkeys(LAVAD, "batch_size=1\n")),
        (urf_prompts, {**URF, "src/val_priors.py": "prompt_text = 'one'\n"}),
        (urf_prompts, {**URF, "src/refine_with_tag.py": "a = 1\n"}),
        (probe_prompts, {**PROBE, "probe_vad/scoring.py": "def ("}),
        (probe_prompts, {**PROBE, "probe_vad/scoring.py": "CUMULATIVE_PROMPT = read()\n"}),
    ],
)
def test_another_form_is_an_error(tmp_path: Path, make: Callable[[Path], Prompts], files: dict[str, str]) -> None:
    with pytest.raises(DataError):
        write_prompts(lay(tmp_path, files), make)


def test_a_program_is_not_run(tmp_path: Path) -> None:
    danger = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    write_prompts(lay(tmp_path, {name: danger + text for name, text in PROBE.items()}), probe_prompts)
    assert not (tmp_path / "ran").exists()
