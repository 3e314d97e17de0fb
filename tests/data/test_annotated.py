from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import experiment
from hydra.utils import instantiate
from making import make_clip
from omegaconf import OmegaConf

from vaa.data.annotated import AnnotatedDataset, read_index, read_spans
from vaa.errors import DataError
from vaa.evaluation.protocol import Protocol
from vaa.types import Failure, GroundTruth, Span

CONF = Path(__file__).parents[2] / "conf/data"
INDEX = "Abuse028_x264 0 99 0\nNormal video (1) 0 49 7\n"
SPANS = "Abuse028_x264.mp4  Abuse  10  20  30  40  \nNormal video (1).mp4  Normal  -1  -1  -1  -1\n"


def loader(root: Path, name: str = "ucf") -> AnnotatedDataset:
    return AnnotatedDataset(
        name=name, root=str(root), index="annotations/test.txt", spans="annotations/[Tt]emporal*.txt", videos="videos",
        boxes="annotations/*_aligned.*", texts="video_summaries.json", fps=30.0, file_fps=True, base=0,
    )  # fmt: skip


def make(root: Path, index: str = INDEX, spans: str = SPANS) -> AnnotatedDataset:
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / "test.txt").write_text(index, encoding="utf-8")
    (root / "annotations" / "Temporal_Anomaly.txt").write_text(spans, encoding="utf-8")
    return loader(root)


def test_videos_are_in_the_order_of_the_index_with_their_truth(tmp_path: Path) -> None:
    dataset = make(tmp_path).load()
    assert [(v.id, v.n_frames, v.fps) for v in dataset.videos] == [
        ("Abuse028_x264", 100, 30.0),
        ("Normal video (1)", 50, 30.0),
    ]
    assert dataset.truths["Abuse028_x264"] == GroundTruth((Span(10, 21, "Abuse"), Span(30, 41, "Abuse")), "Abuse")
    assert dataset.truths["Normal video (1)"] == GroundTruth((), "Normal")
    assert (dataset.name, dataset.failures) == ("ucf", [])


def test_files_may_be_in_any_folder_with_any_suffix_or_missing(tmp_path: Path) -> None:
    (tmp_path / "videos" / "Abuse").mkdir(parents=True)
    (tmp_path / "videos" / "Abuse" / "Abuse028_x264.AVI").touch()
    (tmp_path / "videos" / "Normal video (1).txt").touch()
    first, second = make(tmp_path).load().videos
    assert first.path == tmp_path / "videos" / "Abuse" / "Abuse028_x264.AVI"
    assert second.path == tmp_path / "videos" / "Normal video (1).mp4"


def test_a_video_in_a_linked_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas/Abuse028_x264.ts").touch()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/Abuse").symlink_to(tmp_path / "nas")
    assert make(tmp_path).load().videos[0].path == tmp_path / "videos/Abuse/Abuse028_x264.ts"


@pytest.mark.parametrize("second", ["Test/Abuse028_x264.mp4", "Abuse028_x264.avi"])
def test_two_files_of_one_name_are_refused_and_named(tmp_path: Path, second: str) -> None:
    for name in ("Abuse028_x264.mp4", second, "other.mp4", "Test/other.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    with pytest.raises(DataError) as error:
        make(tmp_path).load()
    assert str(tmp_path / "videos/Abuse028_x264.mp4") in str(error.value)
    assert str(tmp_path / "videos" / second) in str(error.value)
    (tmp_path / "videos" / second).unlink()
    (tmp_path / "videos" / second).symlink_to(tmp_path / "videos/Abuse028_x264.mp4")  # one file under two names
    assert make(tmp_path).load().videos[0].path.name.startswith("Abuse028_x264")


@pytest.mark.parametrize("index", ["", "\n \n"])
def test_an_index_without_a_video_is_refused(tmp_path: Path, index: str) -> None:
    with pytest.raises(DataError, match=r"test\.txt: lists no video"):
        make(tmp_path, index).load()


def test_a_video_without_a_line_of_spans_is_a_failure(tmp_path: Path) -> None:
    dataset = make(tmp_path, INDEX + "Unknown 0 9 1\n").load()
    assert dataset.failures == [Failure("Unknown", "data", "Temporal_Anomaly.txt has no line for it")]
    assert "Unknown" not in [video.id for video in dataset.videos]


def test_spans_past_the_end_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "vaa"):
        dataset = make(tmp_path, spans=SPANS.replace("40", "140")).load()
    assert [r.getMessage() for r in caplog.records] == [
        "1 videos have spans past their end, which are cut: Abuse028_x264"
    ]
    assert dataset.truths["Abuse028_x264"].spans[1].stop == 141  # as annotated: the protocol cuts


@pytest.mark.parametrize("end", [99, 100])  # the last frame, or the one after it where the end is excluded
def test_a_span_up_to_the_end_is_not_past_it(tmp_path: Path, caplog: pytest.LogCaptureFixture, end: int) -> None:
    with caplog.at_level(logging.WARNING, "vaa"):
        make(tmp_path, spans=SPANS.replace("40", str(end))).load()
    assert not caplog.records


def test_names_with_brackets_dots_and_hashes_do_not_change(tmp_path: Path) -> None:
    name = "Deadpool.2.2018__#00-02-29_00-04-06_label_B2-0-0"
    root = make(tmp_path, f"{name} 0 9 1 2 3\n".replace(" 1 2 3", " B2"), f"{name} B2 1 2\n")
    assert [video.id for video in root.load().videos] == [name]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Abuse 0", "expected 'name first last classes'"),
        ("Abuse zero 10 1", "expected 'name first last classes'"),
        ("Abuse 5 10 1", "should start at 0"),
        ("Abuse 0 -1 1", "should start at 0"),
        ("good 0 5 1", "a second time"),
    ],
)
def test_a_wrong_line_of_the_index_is_reported_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "test.txt").write_text(f"good 0 9 1\n\n{line}\n")
    with pytest.raises(DataError, match=message) as error:
        read_index(tmp_path / "test.txt")
    assert "test.txt:3:" in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Abuse", "expected 'name class start end"),
        ("Abuse 1 2", "expected 'name class start end"),
        ("Abuse Abuse 1", "expected 'name class start end"),
        ("Abuse Abuse", "expected 'name class start end"),
        ("Abuse Abuse 20 10", "negative or reversed"),
        ("Abuse Abuse -1 10", "negative or reversed"),
        ("good Abuse 1 2", "a second time"),
    ],
)
def test_a_wrong_line_of_the_spans_is_reported_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "spans.txt").write_text(f"good Abuse 1 2\n{line}\n")
    with pytest.raises(DataError, match=message) as error:
        read_spans(tmp_path / "spans.txt")
    assert "spans.txt:2:" in str(error.value)


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("\ufeffAbuse 0 9 1\n", encoding="utf-8")
    assert read_index(tmp_path / "test.txt") == {"Abuse": 10}


def test_a_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(DataError, match=r"test\.txt"):
        read_index(tmp_path / "test.txt")


def test_missing_and_ambiguous_files_are_reported(tmp_path: Path) -> None:
    data = make(tmp_path)
    (tmp_path / "annotations" / "temporal_other.txt").touch()
    with pytest.raises(DataError, match=r"data\.spans=.*2 files"):
        data.load()
    (tmp_path / "annotations" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"data\.index=annotations/test\.txt: no file"):
        data.load()
    with pytest.raises(DataError, match=r"data\.root=.*nowhere: no such folder(?s:.)*annotations/test\.txt"):
        loader(tmp_path / "nowhere").load()


def configured(name: str, root: Path) -> AnnotatedDataset:
    """The loader of `data=NAME`."""
    config = OmegaConf.merge(OmegaConf.load(CONF / f"{name}.yaml"), {"root": str(root)})
    loader: AnnotatedDataset = instantiate(config, _convert_="all")
    return loader


MSAD = {
    "urf": {
        "test.txt": "Fire_1 0 9 -1\nNormal_1 0 5 7\n",
        "msad_anomaly_index.txt": "Fire_1 Fire 2 9\nNormal_1 Normal -1 -1\n",
    },
    "vadtree": {
        "anomaly_test.txt": "Fire_1 0 9 1\nNormal_1 0 5 0\n",
        "Temporal_Anomaly.txt": "Fire_1.mp4  Fire  2  9  -1  -1\nNormal_1.mp4 Normal -1 -1 -1 -1\n",
    },
}


def write_annotations(root: Path, *layouts: str) -> Path:
    (root / "annotations").mkdir()
    for layout in layouts:
        for name, content in MSAD[layout].items():
            (root / "annotations" / name).write_text(content)
    return root


@pytest.mark.parametrize("layout", MSAD)
def test_msad_has_two_layouts(tmp_path: Path, layout: str) -> None:
    dataset = configured("msad", write_annotations(tmp_path, layout)).load()
    assert [(video.id, video.n_frames) for video in dataset.videos] == [("Fire_1", 10), ("Normal_1", 6)]
    assert dataset.truths["Fire_1"] == GroundTruth((Span(2, 10, "Fire"),), "Fire")
    assert dataset.truths["Normal_1"] == GroundTruth((), "Normal")


def test_both_layouts_of_msad_at_once_are_refused_with_their_files(tmp_path: Path) -> None:
    root = write_annotations(tmp_path, *MSAD)
    with pytest.raises(DataError, match=r"data\.index=.*annotations/anomaly_test\.txt, annotations/test\.txt"):
        configured("msad", root).load()
    (root / "annotations/anomaly_test.txt").unlink()
    with pytest.raises(DataError, match=r"data\.spans=.*Temporal.*msad_anomaly_index\.txt"):
        configured("msad", root).load()


@pytest.mark.parametrize(
    "line", ["Fire_2 Fire 5", "Fire_2 Fire", "Fire_2 Fire 9 2", "Fire_1 Fire 3 4", "Fire_2 Fire a b"]
)
def test_a_broken_line_of_msads_index_is_named(tmp_path: Path, line: str) -> None:
    root = write_annotations(tmp_path, "urf")
    with (root / "annotations/msad_anomaly_index.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=r"msad_anomaly_index\.txt:3: "):
        configured("msad", root).load()


@pytest.mark.parametrize(
    ("data", "folder", "videos", "frames", "anomalous"),
    [("msad", "MSAD", 240, 146_408, 33_671), ("ucf_crime", "UCF", 290, 1_111_808, 84_331)],
)
def test_vadtrees_annotations(shared: Path, data: str, folder: str, videos: int, frames: int, anomalous: int) -> None:
    dataset = configured(data, shared / "recorded/vadtree" / folder).load()
    protocol = Protocol(
        name="lavad",
        labels=None,
        end_inclusive=True,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    labels = [protocol.frame_labels(video, dataset.truths[video.id].spans) for video in dataset.videos]
    assert (len(labels), sum(map(len, labels)), sum(int(each.sum()) for each in labels)) == (videos, frames, anomalous)


def test_names_of_video_files_may_lack_the_hash(tmp_path: Path) -> None:
    """As CoReVAD stores XD-Violence; the exact name is used if there are both."""
    (tmp_path / "videos").mkdir()
    for name in ("v=a__1_label_A.mp4", "b__1.mp4", "b__#1.mp4"):
        (tmp_path / "videos" / name).touch()
    data = make(tmp_path, "v=a__#1_label_A 0 9 A\nb__#1 0 9 A\n", "v=a__#1_label_A Normal -1 -1\nb__#1 Normal -1 -1\n")
    assert [video.path.name for video in data.load().videos] == ["v=a__1_label_A.mp4", "b__#1.mp4"]


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_without_annotations_the_layout_and_the_download_are_shown(tmp_path: Path, folder: str) -> None:
    data = experiment(["data=ucf_crime"], [f"data.root={tmp_path / folder}"]).data
    with pytest.raises(DataError) as error:
        data.load()
    for part in ("annotations/test.txt", "emporal*.txt", "videos/", "python -m vaa.data.fetch urf", "data/ucf_crime"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "videos", "frames", "anomalous", "past"),
    [("ucf_crime", 290, 1_111_808, 140, 5), ("xd_violence", 800, 2_335_801, 500, None)],
)
def test_the_real_annotations(
    shared: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    videos: int,
    frames: int,
    anomalous: int,
    past: int | None,
) -> None:
    with caplog.at_level(logging.WARNING, "vaa"):
        dataset = loader(shared / "recorded" / "urf" / name, name).load()
    assert (len(dataset.videos), sum(video.n_frames for video in dataset.videos), dataset.failures) == (
        videos,
        frames,
        [],
    )
    assert sum(bool(dataset.truths[video.id].spans) for video in dataset.videos) == anomalous
    if past:
        assert caplog.records[0].getMessage().startswith(f"{past} videos have spans past")


def test_boxes_and_reference_texts_are_read_where_they_exist(shared: Path) -> None:
    root = shared / "recorded" / "urf"
    ucf, xd = (loader(root / name) for name in ("ucf_crime", "xd_violence"))
    truths = ucf.load().truths
    assert sum(len(truth.boxes) for truth in truths.values()) == 3102
    assert sum(bool(truth.text) for truth in truths.values()) == 251
    assert not any(truth.boxes for truth in xd.load().truths.values())


def test_reference_texts_of_another_layout_are_reported(tmp_path: Path) -> None:
    data = make(tmp_path)
    (tmp_path / "video_summaries.json").write_text("[1]")
    with pytest.raises(DataError, match=r"video_summaries\.json"):
        data.load()


def test_a_video_has_the_rate_of_its_file_and_that_of_the_data_set_where_there_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = make(tmp_path)
    (tmp_path / "videos").mkdir()
    make_clip(tmp_path / "videos/Abuse028_x264.mp4", 100, fps=25)
    assert [video.fps for video in data.load().videos] == [25.0, 30.0]
    assert "1 of 1 video files have another frame rate than data.fps=30; windows and times use their own" in caplog.text
    assert "Abuse028_x264 (25)" in caplog.text
    caplog.clear()
    assert [video.fps for video in replace(data, file_fps=False).load().videos] == [30.0, 30.0]
    assert "data.file_fps=false" in caplog.text
    caplog.clear()
    assert [video.fps for video in replace(data, fps=25.0).load().videos] == [25.0, 25.0]
    assert "frame rate" not in caplog.text


def test_a_file_that_cannot_be_opened_leaves_the_rate_of_the_data_set(tmp_path: Path) -> None:
    data = make(tmp_path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/Abuse028_x264.mp4").write_text("no video")
    assert [video.fps for video in data.load().videos] == [30.0, 30.0]
