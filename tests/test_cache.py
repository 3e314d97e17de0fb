from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaa.memo import Memo
from vaa.types import Question, VaaError, Video, VideoError


@pytest.fixture
def question(tmp_path: Path) -> Question:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"pixels")
    return Question("verdict", Video("v", path, 50, 30.0), 0, (0, 10), "what?", "be brief", 16)


@pytest.fixture
def memo(tmp_path: Path) -> Memo:
    return Memo(str(tmp_path / "deep" / "memo.sqlite"))


@pytest.mark.parametrize(
    "answer",
    ["", "Größe 人\n'); DROP TABLE answers;--", np.float32([0.1, np.nan, -0.0]), np.arange(6.0).reshape(2, 3)],
    ids=["empty", "text", "float32", "float64"],
)
def test_what_is_remembered_comes_back_the_same_from_another_memo_of_the_file(memo: Memo, answer: object) -> None:
    memo.remember(b"key", answer)
    back = Memo(memo.path).recall([b"key", b"other"])
    assert list(back) == [b"key"]
    if isinstance(answer, str):
        assert back[b"key"] == answer
    else:
        assert back[b"key"].dtype == answer.dtype
        assert back[b"key"].shape == answer.shape
        assert back[b"key"].tobytes() == answer.tobytes()


def test_two_memos_on_one_file_see_each_others_answers(memo: Memo) -> None:
    other = Memo(memo.path)
    for k in range(20):
        (memo if k % 2 else other).remember(bytes([k]), str(k))
    assert memo.recall([bytes([k]) for k in range(20)]) == other.recall([bytes([k]) for k in range(20)])
    assert len(memo.recall([bytes([k]) for k in range(20)])) == 20


def test_the_last_answer_to_a_key_counts(memo: Memo) -> None:
    memo.remember(b"key", "old")
    memo.remember(b"key", "new")
    assert memo.recall([b"key"]) == {b"key": "new"}


def test_thousands_of_keys_are_recalled(memo: Memo) -> None:
    keys = [k.to_bytes(2, "big") for k in range(1234)]
    for key in keys[::2]:
        memo.remember(key, key.hex())
    assert memo.recall(keys) == {key: key.hex() for key in keys[::2]}


def test_no_path_remembers_for_this_memo_only() -> None:
    memo = Memo(None)
    memo.remember(b"key", "yes")
    assert memo.recall([b"key"]) == {b"key": "yes"}
    assert Memo(None).recall([b"key"]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"frames": (0, 11)},
        {"frames": (0,)},
        {"text": "what? "},
        {"system": ""},
        {"max_new_tokens": 17},
        {"choices": ("YES", "NO")},
        {"text": "be brief", "system": "what?"},
    ],
    ids=str,
)
def test_the_key_depends_on_what_the_answer_hangs_on(memo: Memo, question: Question, change: dict[str, object]) -> None:
    assert memo.key("model", replace(question, **change)) != memo.key("model", question)


def test_the_key_depends_on_the_model(memo: Memo, question: Question) -> None:
    assert memo.key("model", question) != memo.key("model int8", question)


@pytest.mark.parametrize("change", [{"purpose": "rating"}, {"at": 7}], ids=str)
def test_the_key_does_not_depend_on_what_the_question_is_for(
    memo: Memo, question: Question, change: dict[str, object]
) -> None:
    assert memo.key("model", replace(question, **change)) == memo.key("model", question)


def test_the_key_depends_on_the_videos_content_and_not_on_where_it_lies(
    memo: Memo, question: Question, tmp_path: Path
) -> None:
    before = memo.key("model", question)
    moved = tmp_path / "elsewhere.mp4"
    moved.write_bytes(b"pixels")
    other = Video("other", moved, 99, 1.0)
    assert memo.key("model", replace(question, video=other)) == before
    moved.write_bytes(b"PIXELS")  # as many bytes: only content and time of change tell
    os.utime(moved, ns=(1, 1))
    assert memo.key("model", replace(question, video=other)) != before


def test_a_key_outlives_the_memo(memo: Memo, question: Question) -> None:
    assert Memo(memo.path).key("model", question) == memo.key("model", question) == Memo(None).key("model", question)


def test_a_question_without_frames_needs_no_video(memo: Memo, question: Question) -> None:
    nowhere = replace(question.video, path=Path("nowhere.mp4"))
    text_only = replace(question, frames=())
    assert memo.key("model", replace(text_only, video=nowhere)) == memo.key("model", text_only)
    with pytest.raises(VideoError, match=r"nowhere\.mp4"):
        memo.key("model", replace(question, video=nowhere))


def test_a_file_that_is_no_memo_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "memo.sqlite"
    file.write_bytes(b"no database\n" * 500)
    with pytest.raises(VaaError, match=r"memo=.*memo\.sqlite.*memo=null"):
        Memo(str(file))


def test_a_memo_damaged_while_in_use_is_said(memo: Memo) -> None:
    for k in range(500):
        memo.remember(k.to_bytes(2, "big"), "x" * 200)
    memo._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = Path(str(memo.path))
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(VaaError, match=r"memo\.sqlite"):
        Memo(str(file)).recall([k.to_bytes(2, "big") for k in range(500)])


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VaaError, match="memo="):
        Memo(str(tmp_path / "file" / "memo.sqlite"))


def test_a_damaged_answer_is_forgotten_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memo = Memo(str(tmp_path / "memo.sqlite"))
    memo.remember(b"good", np.ones(3))
    memo.remember(b"bad", np.ones(3))
    with sqlite3.connect(tmp_path / "memo.sqlite") as db:
        db.execute("UPDATE answers SET answer = substr(answer, 1, 20) WHERE key = ?", (b"bad",))
    assert list(memo.recall([b"good", b"bad"])) == [b"good"]
    assert "damaged" in caplog.text


@pytest.mark.parametrize("damage", ["yes, Normal", b"\xff\xfe", 3.5], ids=["another word", "no text", "a number"])
def test_an_answer_that_is_not_what_was_written_is_forgotten_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    memo = Memo(str(tmp_path / "memo.sqlite"))
    memo.remember(b"key", "yes, Anomalous")
    memo.remember(b"good", "yes")
    with sqlite3.connect(tmp_path / "memo.sqlite") as db:
        db.execute("UPDATE answers SET answer = CAST(? AS TEXT) WHERE key = ?", (damage, b"key"))
    assert memo.recall([b"key", b"good"]) == {b"good": "yes"}
    assert "damaged" in caplog.text
    memo.remember(b"key", "yes, Anomalous")
    assert Memo(memo.path).recall([b"key"]) == {b"key": "yes, Anomalous"}


def test_answers_from_before_they_had_digests_still_count(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "memo.sqlite") as db:
        db.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID")
        db.execute("INSERT INTO answers VALUES (?, ?)", (b"key", "old"))
    assert Memo(str(tmp_path / "memo.sqlite")).recall([b"key"]) == {b"key": "old"}


def test_another_layout_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "memo.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE answers (hash TEXT, question TEXT, answer TEXT)")
        db.execute("INSERT INTO answers VALUES ('1', 'what?', 'old')")
    with pytest.raises(VaaError, match=r"memo=.*another layout: 'answers' has hash, question, answer.*memo=null"):
        Memo(str(file))
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT * FROM answers").fetchall() == [("1", "what?", "old")]


def test_a_memo_that_another_run_is_just_making_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "answers.sqlite")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE somebody_was_here (x)")
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    Memo(path).remember(b"key", "answer")
    timer.join()
    other.close()
    assert Memo(path).recall([b"key"]) == {b"key": "answer"}
