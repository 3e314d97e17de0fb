"""The rendered world written out in the layouts of data sets, as their owners distribute them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from vaa.data.synthetic import SyntheticDataset, encode
from vaa.types import Box, GroundTruth, Span, Video
from vaa.video.sources import frames

FPS = 10.0


@dataclass(frozen=True)
class World:
    """Three videos of 10 s at 64 pixels, one of them normal, with a box of whole pixels on each abnormal frame."""

    videos: tuple[Video, ...]
    truths: dict[str, GroundTruth]
    pixels: dict[str, NDArray[np.uint8]]

    def labels(self, video: str) -> NDArray[np.uint8]:
        values = np.zeros(len(self.pixels[video]), np.uint8)
        for span in self.truths[video].spans:
            values[span.start : span.stop] = 1
        return values

    def masks(self, video: str) -> NDArray[np.uint8]:
        """The box of each abnormal frame, shape (frames, height, width)."""
        masks = np.zeros(self.pixels[video].shape[:3], np.uint8)
        for box in self.truths[video].boxes:
            x1, y1, x2, y2 = map(int, box.xyxy)
            masks[box.frame, y1:y2, x1:x2] = 1
        return masks

    def expected(self, *, label: str | None = "Anomaly", n_frames: int | None = None) -> dict[int, Any]:
        """Video number -> its length, class and intervals, with `label` for the classes if it is not None."""
        known = {}
        for number, video in enumerate(self.videos):
            truth, stop = self.truths[video.id], n_frames or video.n_frames
            spans = [(span.start, min(span.stop, stop), label or span.label) for span in truth.spans]
            known[number] = (stop, (label or truth.label) if spans else "Normal", spans)
        return known


def make_world(folder: Path) -> World:
    dataset = SyntheticDataset(
        cache_dir=str(folder), root=None, split="test", videos=3, seconds=10.0, fps=FPS, size=64
    ).load()
    truths = {id_: replace(truth, boxes=tuple(map(_rounded, truth.boxes))) for id_, truth in dataset.truths.items()}
    pixels = {video.id: frames(video, range(video.n_frames), "pyav") for video in dataset.videos}
    return World(dataset.videos, truths, pixels)


def _rounded(box: Box) -> Box:
    x1, y1, x2, y2 = box.xyxy
    return Box(box.frame, (float(int(x1)), float(int(y1)), float(int(x2) + 1), float(int(y2) + 1)), 1.0, track=0)


def _write_images(folder: Path, pictures: NDArray[np.uint8], name: str) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / name.format(number, number + 1))


def shanghaitech(world: World, root: Path) -> None:
    for kind in ("test_frame_mask", "test_pixel_mask", "tracks"):
        (root / "testing" / kind).mkdir(parents=True)
    for number, video in enumerate(world.videos):
        name = f"01_{number:04d}"
        _write_images(root / "testing/frames" / name, world.pixels[video.id], "{0:03d}.jpg")
        np.save(root / f"testing/test_frame_mask/{name}.npy", world.labels(video.id))
        np.save(root / f"testing/test_pixel_mask/{name}.npy", world.masks(video.id))
        lines = [
            f"0,{box.frame},{','.join(f'{edge:g}' for edge in box.xyxy)}\n" for box in world.truths[video.id].boxes
        ]
        (root / f"testing/tracks/{name}.txt").write_text("".join(lines))
    (root / "testing/frames/01_0000/Thumbs.db").write_bytes(b"junk")
    (root / "testing/frames/01_0000/._001.jpg").write_bytes(b"junk")
    (root / "testing/frames/.DS_Store").write_bytes(b"junk")


def avenue(world: World, root: Path) -> None:
    masks, videos = root / "ground_truth_demo/testing_label_mask", root / "testing_videos"
    masks.mkdir(parents=True)
    videos.mkdir()
    intervals = np.empty((1, len(world.videos)), object)
    for number, video in enumerate(world.videos, 1):
        encode(videos / f"{number:02d}.avi", list(world.pixels[video.id]), FPS)
        cells = np.empty((1, video.n_frames), object)
        cells[0] = [*world.masks(video.id)]
        savemat(masks / f"{number}_label.mat", {"volLabel": cells}, do_compression=True)
        pairs = [(span.start + 1, span.stop) for span in world.truths[video.id].spans]
        intervals[0, number - 1] = np.array(pairs, np.float64).T if pairs else np.zeros((0, 0))
    savemat(root / "avenue.mat", {"gt": intervals})


def ucsd_ped2(world: World, root: Path) -> None:
    program = ["TestVideoFile = {};"]
    for number, video in enumerate(world.videos, 1):
        _write_images(root / f"Test/Test{number:03d}", world.pixels[video.id][..., 0], "{1:03d}.tif")
        _write_images(root / f"Test/Test{number:03d}_gt", 255 * world.masks(video.id), "{1:03d}.bmp")
        ranges = ", ".join(f"{span.start + 1}:{span.stop}" for span in world.truths[video.id].spans)
        program.append(f"TestVideoFile{{end+1}}.gt_frame = [{ranges}];")
    (root / "Test/UCSDped2.m").write_text("\n".join(program))
    (root / "Test/Test001/Thumbs.db").write_bytes(b"junk")
    (root / "Test/Test001/._001.tif").write_bytes(b"junk")


def ubnormal(world: World, root: Path) -> None:
    lists: dict[str, list[str]] = {"abnormal": [], "normal": []}
    for number, video in enumerate(world.videos):
        truth = world.truths[video.id]
        kind = "abnormal" if truth.spans else "normal"
        name = f"{kind}_scene_2_scenario_{number}"
        lists[kind].append(name)
        scene = root / "Scene2"
        scene.mkdir(exist_ok=True)
        shutil.copy(video.path, scene / f"{name}.mp4")
        if truth.spans:
            folder = scene / f"{name}_annotations"
            _write_images(folder, 7 * world.masks(video.id), name + "_{0:04d}_gt.png")
            tracks = "".join(f"7,{span.start},{span.stop - 1}\n" for span in truth.spans)
            (folder / f"{name}_tracks.txt").write_text(tracks)
    (root / "scripts").mkdir()
    for kind, names in lists.items():
        (root / f"scripts/{kind}_test_video_names.txt").write_text("\n".join(names) + "\n")


def lagovad(world: World, root: Path) -> None:
    (root / "videos/clips").mkdir(parents=True)
    entries = []
    for video in world.videos:
        shutil.copy(video.path, root / "videos/clips")
        truth = world.truths[video.id]
        shares = [[span.start / video.n_frames, span.stop / video.n_frames] for span in truth.spans]
        path = f"clips/{video.id}.mp4"
        entry = {"path": f"{video.id}.npy", "video_path": path, "class_name": truth.label, "descriptions": None}
        entries.append({**entry, "anomaly_span": shares})
    (root / "list.json").write_text(json.dumps(entries))


def flat(world: World, root: Path) -> None:
    """Features of 16 frames, the last incomplete snippet dropped, ten crops of the first video."""
    (root / "features").mkdir(parents=True)
    lines, labels = [], []
    for number, video in enumerate(world.videos):
        n_snippets = video.n_frames // 16
        for crop in range(10 if number == 0 else 1):
            name = f"{video.id}_i3d__{crop}.npy"
            np.save(root / "features" / name, np.zeros((n_snippets, 4), np.float32))
            lines.append(f"/their/machine/{name},{world.truths[video.id].label}\n")
        labels.append(world.labels(video.id)[: 16 * n_snippets])
    (root / "list.csv").write_text("path,label\n" + "".join(lines))
    np.save(root / "gt.npy", np.concatenate(labels).astype(np.float64))
    (root / "lengths.txt").write_text("".join(f"{v.id} 0 {v.n_frames - 1} 0\n" for v in world.videos))


def lavad(world: World, root: Path, base: int = 0) -> None:
    (root / "annotations").mkdir(parents=True)
    index, spans = [], []
    for video in world.videos:
        truth = world.truths[video.id]
        index.append(f"{video.id} 0 {video.n_frames - 1} 0\n")
        bounds = " ".join(f"{span.start + base} {span.stop - 1 + base}" for span in truth.spans)
        spans.append(f"{video.id}.mp4  {truth.label}  {bounds} -1 -1\n")
    (root / "annotations/test.txt").write_text("".join(index))
    (root / "annotations/Temporal_Anomaly.txt").write_text("".join(spans))


def observed(videos: tuple[Video, ...], truths: Any) -> dict[str, Any]:
    """As `World.expected`, of the data set that a reader returns."""

    def span(each: Span) -> tuple[int, int, str]:
        return each.start, each.stop, each.label

    return {v.id: (v.n_frames, truths[v.id].label, [span(each) for each in truths[v.id].spans]) for v in videos}
