"""What authors released: where it lies, at which commit, what it holds and what can be run on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A repository, what of it is wanted, what must then be there (pattern -> how many files), and what to run on it.

    `commit` is None where none is known: the user has to name one. `{0}` in a command is the target folder.
    """

    url: str
    commit: str | None
    folders: tuple[str, ...]
    expected: Mapping[str, int]
    commands: tuple[str, ...]


RELEASES = {
    "urf": Release(
        url="https://github.com/Rathgrith/NeurIPS_2025-URF-ZS-HVAA.git",
        commit="66d11a70bcee2c9820092d49e303f975e280da67",
        folders=("data",),
        expected={
            "data/ucf_crime/annotations/test.txt": 1,
            "data/ucf_crime/annotations/Temporal*.txt": 1,
            "data/ucf_crime/annotations/Test_annotation_aligned.pkl": 1,
            "data/ucf_crime/captions/video_llama3_json_results/*.json": 290,
            "data/ucf_crime/scores/videollama3/*_x264.json": 290,
            "data/ucf_crime/scores/videollama3/suspicious_part_phrases.json": 1,
            "data/ucf_crime/refined_scores/videollama3/*_x264.json": 290,
            "data/ucf_crime/localisations/predicted_bboxes_*_prior.json": 3,
            "data/ucf_crime/understanding/*.json": 3,
            "data/ucf_crime/video_summaries.json": 1,
            "data/xd_violence/annotations/test.txt": 1,
            "data/xd_violence/annotations/temporal*.txt": 1,
            "data/xd_violence/refined_scores/videollama3_7B/*label*.json": 800,
            "data/xd_violence/understanding/*.json": 3,
            "data/xd_violence/video_summaries.json": 1,
        },
        commands=(
            "experiment=urf_ucf data.root={0}/data/ucf_crime",
            "experiment=urf_ucf_replay data.root={0}/data/ucf_crime"
            " vlm.captions=video_llama3_json_results vlm.scores=videollama3"
            " llm.scores=videollama3 llm.refined_scores=videollama3",
            "experiment=urf_xd data.root={0}/data/xd_violence",
            "experiment=urf_ucf_boxes_tags data.root={0}/data/ucf_crime vlm.scores=videollama3",
            "experiment=urf_ucf_texts_urf data.root={0}/data/ucf_crime vlm.scores=videollama3",
        ),
    ),
    "corevad": Release(
        url="https://github.com/Muk-00/CoReVAD.git",
        commit="ebd3941ce23e4789c6392b5f35cddbd69bdc8355",
        folders=("outputs", "XD-Violence"),
        expected={"outputs/VLM_responses_LRC.json": 1, "XD-Violence/xd_annotations.json": 1},
        commands=("experiment=corevad_ucf_lavad data.root=URF/data/ucf_crime vlm.root={0}/outputs",),
    ),
    "vera": Release(
        url="https://github.com/vera-framework/VERA.git",
        commit=None,
        folders=("Data",),
        expected={"Data/UCF_Eval.json": 1, "Data/xd_test_800.json": 1},
        commands=(
            "experiment=corevad_ucf data.root=URF/data/ucf_crime vlm.root=COREVAD/outputs"
            " protocol.labels={0}/Data/UCF_Eval.json",
        ),
    ),
}
