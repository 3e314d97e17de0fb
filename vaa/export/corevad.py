"""CoReVAD's layout: `outputs/VLM_responses_D.json` and `outputs/VLM_responses_LRC_D.json`, video -> its responses.

D is `ucf`, `xd` or the name of another data set. The second file has the responses after local cleaning. Videos are
named without `#`, as in the authors' files.
"""

from __future__ import annotations

from collections.abc import Iterator

from vaa.errors import DataError
from vaa.export.content import ExportFile, histories
from vaa.report.runs import Run
from vaa.types import Report

_LENGTH = 30  # frames of a segment in CoReVAD's programs
_DATA = {"ucf_crime": "ucf", "xd_violence": "xd"}


def files(run: Run) -> Iterator[ExportFile]:
    """The responses as the model gave them, and those after the stage `clean`, if the run has it.

    Recorded responses (`vlm=recorded`) that the run does not clean count as cleaned: the authors released such ones.

    Raises:
        DataError: the run has no responses about consecutive segments of 30 frames, or two videos have one name.
    """
    raw: dict[str, list[str]] = {}
    cleaned: dict[str, list[str]] = {}
    for each in histories(run):
        name = each.video.replace("#", "")
        if name in raw:
            raise DataError(f"{run.folder}: two videos are named '{name}' without the '#' that CoReVAD leaves out.")
        raw[name] = _texts(run, each.video, each.after("query"))
        if (clean := each.after("clean")) is not None:
            cleaned[name] = _texts(run, each.video, clean)
    if not cleaned and run.choices.get("vlm") == "recorded":
        raw, cleaned = {}, raw
    data = str(run.truth["data"])
    suffix = _DATA.get(data, data)
    for prefix, responses in (("VLM_responses", raw), ("VLM_responses_LRC", cleaned)):
        if responses:
            yield ExportFile(f"outputs/{prefix}_{suffix}.json", responses)


def _texts(run: Run, video: str, report: Report | None) -> list[str]:
    """The responses about a video's segments, in order."""
    if report is None or not any(response.text for response in report.responses):
        raise DataError(
            f"{run.folder}: has no responses of a VLM about '{video}', which CoReVAD's layout consists of. Run a "
            "method that queries it about segments, such as method=corevad."
        )
    starts = [segment.start for segment in report.segments]
    if starts != [_LENGTH * k for k in range(len(starts))]:
        raise DataError(
            f"{run.folder}: the segments of '{video}' are not {_LENGTH} frames each, one after another, as CoReVAD's "
            "programs count them. Run it with window=frames30x8."
        )
    return [response.text for response in report.responses]
