"""Damaged and unusual annotation files are read correctly, or refused with file and line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from making import make_clip

from vaa.data.annotated import AnnotatedDataset, read_index, read_spans, read_texts
from vaa.data.folder import VideoFolder
from vaa.errors import ConfigError, DataError, VaaError, VideoError
from vaa.evaluation.protocol import read_labels
from vaa.stages.read_scores import ReadScores
from vaa.types import Report, Span, Video


def loader(root: Path, index: str) -> AnnotatedDataset:
    return AnnotatedDataset(
        name="x",
        root=str(root),
        index=index,
        spans="spans.txt",
        videos="videos",
        boxes="no*",
        texts="no*",
        fps=30.0,
        file_fps=True,
        base=0,
    )


def index(folder: Path, content: str | bytes) -> dict[str, int]:
    file = folder / "test.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_index(file)


def spans(folder: Path, content: str | bytes) -> dict[str, tuple[Span, ...]]:
    file = folder / "spans.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {name: truth.spans for name, truth in read_spans(file).items()}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a video 0 9 1", "a video"),
        ('"quoted" it\'s 0 9 1', '"quoted" it\'s'),
        ("#1 & more 0 9 1", "#1 & more"),
        ("Überfall_日本 0 9 1", "Überfall_日本"),
        ("../../etc/passwd 0 9 1", "passwd"),
        ("/etc/x.mp4 0 9 1", "x"),
        ("..\\..\\Abuse\\x.MP4 0 9 1", "x"),
        ("tabs.mp4\t0\t9\t1", "tabs"),
        ("100 0 9 1", "100"),
    ],
)
def test_a_name_keeps_all_but_folders_and_suffix(tmp_path: Path, line: str, name: str) -> None:
    assert index(tmp_path, line) == {name: 10}
    (tmp_path / "spans.txt").write_text(line.replace("\t", " ").replace(" 0 9 1", " Abuse 1 2"))
    (video,) = loader(tmp_path, "test.txt").load().videos
    assert video.path.parent == tmp_path / "videos"


@pytest.mark.parametrize("content", ["v 0 9 1\r\nw 0 5 2\r\n", "\ufeffv 0 9 1\n\n  w 0 5 2", "v 0 9 1\rw 0 5 2"])
def test_line_ends_marks_and_blanks_are_not_part_of_names(tmp_path: Path, content: str) -> None:
    assert index(tmp_path, content) == {"v": 10, "w": 6}


@pytest.mark.parametrize("read", [index, spans])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_refused_with_the_line(tmp_path: Path, read: type[object], encoding: str) -> None:
    line = 1 if encoding == "utf-16" else 2
    with pytest.raises(DataError, match=rf"\.txt:{line}: not UTF-8 text.*iconv"):
        read(tmp_path, "v 0 9 1\nGröße 0 9 1\n".encode(encoding))


@pytest.mark.parametrize(
    "line",
    ["w 0 1_0 1", "w 0 ٣ 1", "w 0 1e3 1", f"w 0 {10**30} 1", "w 0", "w", ".. 0 9 1", "a/ 0 9 1", "w\0 0 9 1",
     "w\x1b[31m 0 9 1", f"{'日' * 90} 0 9 1", "v 0 9 1", "v.mp4 0 9 1", "w 9 0 1"],
)  # fmt: skip
def test_a_wrong_line_of_the_index_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"test\.txt:2: "):
        index(tmp_path, f"v 0 9 1\n{line}\n")


@pytest.mark.parametrize(
    "line",
    ["w Abuse ² ³", "w Abuse --1 --1", "w Abuse 1 2.5", "w Abuse 5 -1", "w Abuse 1 2 3", f"w Abuse 1 {10**30}",
     "w 1 2", "w Abuse", ".. Abuse 1 2", "v Abuse 3 4"],
)  # fmt: skip
def test_a_wrong_line_of_the_spans_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"spans\.txt:2: "):
        spans(tmp_path, f"v Abuse 1 2\n{line}\n")


def test_overlapping_and_empty_intervals_are_accepted(tmp_path: Path) -> None:
    assert spans(tmp_path, "v Abuse 5 20 10 30 7 7 -1 -1") == {
        "v": (Span(5, 21, "Abuse"), Span(10, 31, "Abuse"), Span(7, 8, "Abuse"))
    }


def test_files_that_cannot_be_opened_and_absolute_patterns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_index(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_spans(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match=r"data\.index=/etc/passwd: .*data\.root"):
        loader(tmp_path, "/etc/passwd").load()


@pytest.mark.parametrize("content", ['{"v": 1}', '{"v": null}', '{"v": "a", "v.mp4": "b"}', '[["v", "a"]]', "[" * 9999])
def test_invalid_and_duplicate_reference_texts_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "texts.json").write_text(content)
    with pytest.raises(DataError, match=r"texts\.json"):
        read_texts(tmp_path / "texts.json")


@pytest.mark.parametrize(
    "entries",
    ['[{"video": "v", "temporal_label": [5, 1], "length": 9}]', '[{"video": "v", "temporal_label": [1], "length": 9}]',
     '[{"video": "v", "temporal_label": [1, 1e999], "length": 9}]', '["v"]', '{"v": 1}', "[" * 9999,
     '[{"video": "a/v", "temporal_label": [], "length": 9}, {"video": "v.mp4", "temporal_label": [], "length": 8}]'],
)  # fmt: skip
def test_invalid_reversed_and_duplicate_labels_are_refused(tmp_path: Path, entries: str) -> None:
    (tmp_path / "labels.json").write_text(entries)
    with pytest.raises(VaaError, match=r"labels\.json"):
        read_labels(tmp_path / "labels.json")


@pytest.mark.parametrize(
    "content",
    ['{"0": 0.5, "00": 0.6}', '{"0": 0.5, "0": 0.6}', '{"0": true}', '{"0": [0.5]}', '{"1e3": 0.5}', '{"0": "0,5"}',
     '{"0": 1e9}', '{"0": Infinity}', f'{{"{10**30}": 0.5}}', f'{{"{10**12}": 0.5}}', '[["0", 0.5]]', "[" * 9999],
)  # fmt: skip
def test_invalid_and_duplicate_scores_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(VideoError, match=r"v\.json"):
        ReadScores(root=str(tmp_path), field="refined", step=1, lowest=0.0, highest=1.0)(
            Report(Video("v", Path("v.mp4"), 64, 30.0))
        )


@pytest.mark.parametrize(("starts", "length"), [((0, 7, 50), 64), ((5, 6), 2), ((0, 500), 64)])
def test_a_score_lasts_to_the_next_and_never_past_the_end(tmp_path: Path, starts: tuple[int, ...], length: int) -> None:
    (tmp_path / "v.json").write_text(json.dumps({str(start): 0.5 for start in starts}))
    track = ReadScores(root=str(tmp_path), field="refined", step=1, lowest=0.0, highest=1.0)(
        Report(Video("v", Path("v.mp4"), 64, 30.0))
    ).track
    assert track is not None
    assert len(track.per_frame(64).values) == length


def test_videos_with_unusual_names_are_read_and_invalid_ones_are_failures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 2).read_bytes()
    root = tmp_path / "clips"
    root.mkdir()
    valid = ["with space", "#1 & 'quoted'", "日本語", "two..dots", "100%"]
    for name in valid:
        (root / f"{name}.mp4").write_bytes(clip)
    Path(os.fsdecode(os.fsencode(root) + b"/latin-\xe9.mp4")).write_bytes(clip)
    (root / f"{'日' * 80}.mp4").write_bytes(clip)
    dataset = VideoFolder(name="mine", root=str(root), labels=None, annotators="majority", decoder="decord").load()
    assert {video.id for video in dataset.videos} == set(valid)
    assert sorted(f.reason.split(":")[0] for f in dataset.failures) == [
        "its name has characters that are not text",
        "its name is longer than 200 bytes in the name of a result file",
    ]
    json.dumps([f.video for f in dataset.failures]).encode("utf-8")
