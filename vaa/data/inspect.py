"""`python -m vaa.data.inspect DATA [KEY=VALUE ...]`: what a data set has, what is missing, and what is odd, by name."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from vaa import process
from vaa.analysis import compose
from vaa.data.base import ChecksFiles, DatasetLoader
from vaa.data.frame_labels import FrameLabels
from vaa.errors import INTERRUPTED, DataError, VaaError, VideoError
from vaa.mistakes import hydra_arguments
from vaa.types import Dataset, DecoderName, GroundTruth, Video
from vaa.video.sources import VideoInfo, close_decoders, frames, open_source, probe

log = logging.getLogger("vaa")
_MAX_NAMES = 5
_EXAMPLE = "python -m vaa.data.inspect shanghaitech data.root=DIR"


@dataclass(frozen=True)
class Inspection:
    """The lines to show; those that begin with ! are about something that is wrong."""

    lines: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(line.startswith("!") for line in self.lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Inspect a data set and print what was found; returns the exit status, 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m vaa.data.inspect", description=__doc__, epilog=_EXAMPLE)
    parser.add_argument("data", help="a choice of conf/data, such as shanghaitech")
    parser.add_argument("overrides", nargs="*", help="fields as on the command line of a run, such as data.root=DIR")
    args = parser.parse_args(argv)
    process.configure()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        run = compose(hydra_arguments([f"data={args.data.removeprefix('data=')}", *args.overrides]))
        found = inspect_data(run.data, run.decoder)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        close_decoders()
    sys.stdout.write("\n".join(found.lines) + "\n")
    return 0 if found.ok else 1


def inspect_data(data: DatasetLoader, decoder: DecoderName) -> Inspection:
    """What a data set has. Each video file is opened, and one frame of each video with masks is decoded."""
    checks = data if isinstance(data, ChecksFiles) else None
    if missing := checks.missing_files(videos=False) if checks else ():
        return Inspection(tuple(f"! {message}" for message in missing))
    try:
        dataset = data.load()
    except DataError as error:
        return Inspection((f"! {error}",))
    labels = {video.id: _labels(video, dataset.truths[video.id]) for video in dataset.videos if dataset.truths}
    lines = [*_describe_videos(dataset), *_check_files(dataset.videos, decoder)]
    lines += [*_describe_labels(dataset, labels), *_check_labels(dataset, labels)]
    lines += [*_describe_details(dataset.truths), *_check_details(dataset, labels, decoder)]
    lines += _named("!", "cannot be used", [f"{each.video}: {each.reason}" for each in dataset.failures], "\n    ")
    return Inspection(tuple(lines))


def _labels(video: Video, truth: GroundTruth) -> FrameLabels:
    labels = np.zeros(video.n_frames, dtype=np.bool_)
    for span in truth.spans:
        labels[span.start : span.stop] = True
    return labels


def _describe_videos(dataset: Dataset) -> Iterator[str]:
    n_frames, hours = sum(v.n_frames for v in dataset.videos), sum(v.end(v.n_frames) for v in dataset.videos) / 3600
    rates = Counter(f"{video.fps:.5g}" for video in dataset.videos)
    failed = f", {len(dataset.failures)} that cannot be used" if dataset.failures else ""
    left_out = f", {dataset.left_out} left out" if dataset.left_out else ""
    yield f"data     {dataset.name}: {len(dataset.videos)} videos{failed}{left_out}"
    if not dataset.videos:
        yield "! no video can be used"
        return
    shortest, longest = (pick(dataset.videos, key=lambda v: v.n_frames) for pick in (min, max))
    yield (
        f"frames   {n_frames:,} ({hours:.2f} h), {shortest.n_frames:,} ({shortest.id}) to {longest.n_frames:,} "
        f"({longest.id}) a video; frames per second: {_counts(rates)}"
    )


def _check_files(videos: Sequence[Video], decoder: DecoderName) -> Iterator[str]:
    """The files against the lengths that the data set lists."""
    there = [video for video in videos if video.path.exists()]
    missing = [video.id for video in videos if not video.path.exists()]
    yield f"files    {len(there)} of {len(videos)} videos have one"
    if missing and not there:
        yield "note     without files: enough for scores from files (method=scored), not for a model"
    elif missing:
        yield from _named("!", "have no file", missing)
    longer, broken = [], []
    for video in there:
        try:
            found = _info(video, decoder).n_frames
        except VideoError as error:
            broken.append(str(error))
            continue
        if abs(found - video.n_frames) > 1:
            longer.append(f"{video.id} ({video.n_frames} listed, {found} in the file)")
    yield from _named("!", "cannot be opened", broken, "\n    ")
    yield from _named("!", "have another length than the data set lists", longer)


def _info(video: Video, decoder: DecoderName) -> VideoInfo:
    return probe(video.path, decoder) if video.source == "file" else open_source(video).info()


def _describe_labels(dataset: Dataset, labels: Mapping[str, FrameLabels]) -> Iterator[str]:
    if not labels:
        yield "labels   none"
        return
    n_abnormal, n_frames = (int(sum(count(each) for each in labels.values())) for count in (np.sum, len))
    with_spans = [video for video in labels if dataset.truths[video].spans]
    lengths = [span.stop - span.start for video in labels for span in dataset.truths[video].spans]
    yield (
        f"labels   {n_abnormal:,} of {n_frames:,} frames are abnormal ({n_abnormal / max(1, n_frames):.2%}); "
        f"{len(with_spans)} videos with anomalies, {len(labels) - len(with_spans)} without"
    )
    if lengths:
        yield f"spans    {len(lengths)}, of {min(lengths)} to {max(lengths)} frames, median {median(lengths):g}"
    yield f"classes  {_counts(Counter(dataset.truths[video].label for video in labels))}"


def _check_labels(dataset: Dataset, labels: Mapping[str, FrameLabels]) -> Iterator[str]:
    videos = {video.id: video for video in dataset.videos}
    past = [
        f"{id_} (stop {span.stop}, {videos[id_].n_frames} frames)"
        for id_ in labels
        for span in dataset.truths[id_].spans
        if span.stop > videos[id_].n_frames + 1 or span.start >= videos[id_].n_frames
    ]
    whole = [id_ for id_, each in labels.items() if len(each) and each.all()]
    if labels and not any(each.any() for each in labels.values()):
        yield "! no frame is abnormal"
    yield from _named("note", "have spans past their end, which are cut", past)
    yield from _named("note", "are abnormal in every frame, so that their own AUC is not defined", whole)


def _describe_details(truths: Mapping[str, GroundTruth]) -> Iterator[str]:
    boxes = {id_: truth.boxes for id_, truth in truths.items() if truth.boxes}
    if boxes:
        n_boxes, n_frames = sum(map(len, boxes.values())), sum(len({b.frame for b in each}) for each in boxes.values())
        n_tracks = sum(len({box.track for box in each} - {None}) for each in boxes.values())
        tracks = f", {n_tracks} tracks" if n_tracks else ""
        yield f"boxes    {n_boxes:,} on {n_frames:,} frames of {len(boxes)} videos{tracks}"
    if masks := sum(truth.masks is not None for truth in truths.values()):
        yield f"masks    of {masks} videos"
    if texts := sum(bool(truth.text) for truth in truths.values()):
        yield f"texts    of {texts} videos"
    if annotators := Counter(name for truth in truths.values() for name in truth.annotators):
        yield f"annotators  {_counts(annotators)} videos each"


def _check_details(dataset: Dataset, labels: Mapping[str, FrameLabels], decoder: DecoderName) -> Iterator[str]:
    """Boxes on normal frames, and the mask of each video's first abnormal frame and of the frame before it."""
    outside, wrong = [], []
    for video in dataset.videos:
        truth = dataset.truths.get(video.id)
        if truth is None:
            continue
        other = sum(not (0 <= box.frame < video.n_frames and labels[video.id][box.frame]) for box in truth.boxes)
        outside += [f"{video.id} ({other})"] if other else []
        if truth.masks is not None and truth.spans:
            wrong += [f"{video.id}: {problem}" for problem in _check_masks(video, truth, labels[video.id], decoder)]
    yield from _named("note", "have boxes on normal frames", outside)
    yield from _named("!", "have masks that do not fit", wrong, "\n    ")


def _check_masks(video: Video, truth: GroundTruth, labels: FrameLabels, decoder: DecoderName) -> Iterator[str]:
    masks, first = truth.masks, truth.spans[0].start
    if masks is None:
        return
    try:
        mask = masks.frame(first)
        shape = frames(video, [first], decoder).shape[1:3] if video.path.exists() else mask.shape
        if mask.shape != shape:
            yield f"the mask of frame {first} is of {_size(mask.shape)} pixels, the frame of {_size(shape)}"
        if not mask.any():
            yield f"frame {first} is abnormal, but no pixel in its mask"
        if first and not labels[first - 1] and masks.frame(first - 1).any():
            yield f"frame {first - 1} is normal, but has abnormal pixels in its mask"
    except (DataError, IndexError) as error:
        yield str(error)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name or '(none)'} {count}" for name, count in ordered[:20])
    return shown + (f" and {len(ordered) - 20} more" if len(ordered) > 20 else "")


def _named(mark: str, what: str, names: Iterable[str], separator: str = " ") -> list[str]:
    """A line with the first names, none without names."""
    names = list(names)
    if not names:
        return []
    more = f"{separator}... and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    joined = (";" * (separator == " ") + separator).join(names[:_MAX_NAMES])
    return [f"{mark:<8} {len(names)} videos {what}:{separator}{joined}{more}"]


if __name__ == "__main__":
    sys.exit(main())
