"""LAVAD's layout: captions of frames, captions by window, their summaries, scores; one file per video.

`captions/raw/V` (frame -> caption), `captions/clean/V` (centre -> {frame -> caption}), `captions/summary/L/V`
(centre -> summary), `scores/raw/L/V` and `scores/refined/L/V` (centre -> score). V and L are the run's choices of a VLM
and an LLM. The authors' refined scores are those of ten neighbours, which a run does not store: here they are averaged
already, which `src/eval.py` takes too.
"""

from __future__ import annotations

from collections.abc import Iterator

from vaa.errors import DataError
from vaa.export.content import EvenSpacing, ExportFile, VideoHistory, by_frame, histories, model_name
from vaa.report.runs import Run
from vaa.types import file_name


def files(run: Run) -> Iterator[ExportFile]:
    """The files of which the run has content.

    Raises:
        DataError: the run has neither descriptions nor scores, or its segments are not equally spaced.
    """
    vlm = model_name(run, "vlm")
    both, interval, found = f"{model_name(run, 'llm', 'vlm')}/{vlm}", EvenSpacing(run), False
    for each in histories(run):
        name = file_name(each.video)
        for folder, captions in ((f"captions/raw/{vlm}", _of_frames(each)), (f"captions/clean/{vlm}", _gathered(each))):
            if captions:
                yield ExportFile(f"{folder}/{name}", captions)
        for folder, entries in (
            ("captions/summary", each.captions()),
            ("scores/raw", each.first_scores()),
            ("scores/refined", each.refined_scores()),
        ):
            if entries:
                interval.check(each.video, entries)
                found = True
                yield ExportFile(f"{folder}/{both}/{name}", entries)
    if not found:
        raise DataError(
            f"{run.folder}: has no descriptions and no scores of segments, so there is nothing to write in LAVAD's "
            "layout. Run a method that has them, such as method=lavad."
        )


def _of_frames(each: VideoHistory) -> dict[str, str]:
    """Frame -> caption, if the run describes single frames."""
    described = each.after("describe")
    if described is None or "sample" not in each.reports:
        return {}
    return by_frame([s.at for s in described.segments], [r.description for r in described.responses])


def _gathered(each: VideoHistory) -> dict[str, dict[str, str]]:
    """Centre -> the captions of the frames of its window, if the run gathers them: one a line."""
    gathered = each.after("window")
    if gathered is None or "sample" not in each.reports:
        return {}
    captions = [[line.strip() for line in response.text.split("\n")] for response in gathered.responses]
    pairs = zip(gathered.segments, captions, strict=True)
    return {str(segment.at): by_frame([*segment.frames], texts) for segment, texts in pairs}
