from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from queries import choose_query

from vaa.cache import AnswerCache, RecentAnswers
from vaa.errors import CacheError, VideoError
from vaa.frame_times import FrameTimes
from vaa.generation import GenerationConfig
from vaa.types import EmbedQuery, GenerateQuery, Query, Video


@pytest.fixture
def query(tmp_path: Path) -> Query:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"pixels")
    return GenerateQuery(
        purpose="verdict",
        video=Video("v", path, 50, 30.0),
        at=0,
        frames=(0, 10),
        text="what?",
        system="be brief",
        max_new_tokens=16,
    )


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(str(tmp_path / "deep" / "cache.sqlite"))


@pytest.mark.parametrize(
    "answer",
    ["", "Größe 人\n'); DROP TABLE answers;--", np.float32([0.1, np.nan, -0.0]), np.arange(6.0).reshape(2, 3)],
    ids=["empty", "text", "float32", "float64"],
)
def test_answers_are_loaded_unchanged_by_another_cache_of_the_file(cache: AnswerCache, answer: object) -> None:
    cache.store(b"key", answer)
    back = AnswerCache(cache.path).load([b"key", b"other"])
    assert list(back) == [b"key"]
    if isinstance(answer, str):
        assert back[b"key"] == answer
    else:
        assert back[b"key"].dtype == answer.dtype
        assert back[b"key"].shape == answer.shape
        assert back[b"key"].tobytes() == answer.tobytes()


def test_two_caches_of_one_file_share_answers(cache: AnswerCache) -> None:
    other = AnswerCache(cache.path)
    for k in range(20):
        (cache if k % 2 else other).store(bytes([k]), str(k))
    assert cache.load([bytes([k]) for k in range(20)]) == other.load([bytes([k]) for k in range(20)])
    assert len(cache.load([bytes([k]) for k in range(20)])) == 20


def test_the_last_answer_stored_is_loaded(cache: AnswerCache) -> None:
    cache.store(b"key", "old")
    cache.store(b"key", "new")
    assert cache.load([b"key"]) == {b"key": "new"}


def test_thousands_of_keys_are_loaded(cache: AnswerCache) -> None:
    keys = [k.to_bytes(2, "big") for k in range(1234)]
    for key in keys[::2]:
        cache.store(key, key.hex())
    assert cache.load(keys) == {key: key.hex() for key in keys[::2]}


def test_a_cache_without_a_path_is_not_shared() -> None:
    cache = AnswerCache(None)
    cache.store(b"key", "yes")
    assert cache.load([b"key"]) == {b"key": "yes"}
    assert AnswerCache(None).load([b"key"]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"frames": (0, 11)},
        {"frames": (0,)},
        {"text": "what? "},
        {"system": ""},
        {"max_new_tokens": 17},
        {"stop_pattern": "x"},
        {"text": "be brief", "system": "what?"},
    ],
    ids=str,
)
def test_the_key_depends_on_all_inputs_of_the_answer(
    cache: AnswerCache, query: Query, change: dict[str, object]
) -> None:
    assert cache.key("model", replace(query, **change)) != cache.key("model", query)


def test_the_key_depends_on_the_model(cache: AnswerCache, query: Query) -> None:
    assert cache.key("model", query) != cache.key("model int8", query)


@pytest.mark.parametrize("change", [{"purpose": "rating"}, {"at": 7}], ids=str)
def test_the_key_does_not_depend_on_purpose_and_frame(
    cache: AnswerCache, query: Query, change: dict[str, object]
) -> None:
    assert cache.key("model", replace(query, **change)) == cache.key("model", query)


def test_the_key_depends_on_the_videos_content_not_on_its_path(
    cache: AnswerCache, query: Query, tmp_path: Path
) -> None:
    before = cache.key("model", query)
    moved = tmp_path / "elsewhere.mp4"
    moved.write_bytes(b"pixels")
    other = Video("other", moved, 99, 1.0)
    assert cache.key("model", replace(query, video=other)) == before
    moved.write_bytes(b"PIXELS")  # as many bytes: only content and time of change tell
    os.utime(moved, ns=(1, 1))
    assert cache.key("model", replace(query, video=other)) != before


def test_keys_are_equal_in_every_cache(cache: AnswerCache, query: Query) -> None:
    assert (
        AnswerCache(cache.path).key("model", query)
        == cache.key("model", query)
        == AnswerCache(None).key("model", query)
    )


def test_a_query_without_frames_needs_no_video_file(cache: AnswerCache, query: Query) -> None:
    nowhere = replace(query.video, path=Path("nowhere.mp4"))
    text_only = replace(query, frames=())
    assert cache.key("model", replace(text_only, video=nowhere)) == cache.key("model", text_only)
    with pytest.raises(VideoError, match=r"nowhere\.mp4"):
        cache.key("model", replace(query, video=nowhere))


def test_a_file_that_is_not_a_cache_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"no database\n" * 500)
    with pytest.raises(CacheError, match=r"cache=.*cache\.sqlite.*cache=null"):
        AnswerCache(str(file))


def test_a_damaged_file_is_a_cache_error(cache: AnswerCache) -> None:
    for k in range(500):
        cache.store(k.to_bytes(2, "big"), "x" * 200)
    cache._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = Path(str(cache.path))
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(CacheError, match=r"cache\.sqlite"):
        AnswerCache(str(file)).load([k.to_bytes(2, "big") for k in range(500)])


def test_a_folder_that_cannot_be_created_is_a_cache_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="cache="):
        AnswerCache(str(tmp_path / "file" / "cache.sqlite"))


def test_a_damaged_answer_is_logged_and_not_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = AnswerCache(str(tmp_path / "cache.sqlite"))
    cache.store(b"good", np.ones(3))
    cache.store(b"bad", np.ones(3))
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("UPDATE answers SET answer = substr(answer, 1, 20) WHERE key = ?", (b"bad",))
    assert list(cache.load([b"good", b"bad"])) == [b"good"]
    assert "damaged" in caplog.text


@pytest.mark.parametrize("damage", ["yes, Normal", b"\xff\xfe", 3.5], ids=["another word", "no text", "a number"])
def test_a_changed_answer_is_logged_and_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    cache = AnswerCache(str(tmp_path / "cache.sqlite"))
    cache.store(b"key", "yes, Anomalous")
    cache.store(b"good", "yes")
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("UPDATE answers SET answer = CAST(? AS TEXT) WHERE key = ?", (damage, b"key"))
    assert cache.load([b"key", b"good"]) == {b"good": "yes"}
    assert "damaged" in caplog.text
    cache.store(b"key", "yes, Anomalous")
    assert AnswerCache(cache.path).load([b"key"]) == {b"key": "yes, Anomalous"}


def test_an_answer_without_a_checksum_is_not_used(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID")
        db.execute("INSERT INTO answers VALUES (?, ?)", (b"key", "old"))
    assert AnswerCache(str(tmp_path / "cache.sqlite")).load([b"key"]) == {}


def test_the_key_depends_on_a_querys_own_generation_settings(cache: AnswerCache, query: GenerateQuery) -> None:
    own = GenerationConfig(temperature=0.7, top_p=0.8, top_k=20, seed=3306)
    queries = [query, replace(query, generation=own), replace(query, generation=replace(own, seed=1))]
    assert len({cache.key("model", each) for each in queries}) == 3


def test_kinds_of_queries_have_different_keys(cache: AnswerCache, query: GenerateQuery) -> None:
    keys = {
        cache.key("model", query),
        cache.key("model", choose_query(query, ("YES", "NO"))),
        cache.key("model", choose_query(query, ("NO", "YES"))),
        cache.key("model", EmbedQuery(video=query.video, at=0, frames=query.frames)),
        cache.key("model", EmbedQuery(video=query.video, at=0, text=query.text)),
    }
    assert len(keys) == 5


def test_recent_answers_last_until_a_round_does_not_use_them(query: GenerateQuery) -> None:
    cache = RecentAnswers()
    key = cache.key("model", query)
    cache.store(key, "yes")
    cache.end_round()
    assert cache.load([key, b"other"]) == {key: "yes"}
    cache.end_round()
    cache.end_round()
    assert cache.load([key]) == {}


def test_a_file_with_other_columns_is_refused_and_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE answers (hash TEXT, question TEXT, answer TEXT)")
        db.execute("INSERT INTO answers VALUES ('1', 'what?', 'old')")
    with pytest.raises(CacheError, match=r"cache=.*'answers' has the columns hash, question, answer.*cache=null"):
        AnswerCache(str(file))
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT * FROM answers").fetchall() == [("1", "what?", "old")]


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "answers.sqlite")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE somebody_was_here (x)")
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    AnswerCache(path).store(b"key", "answer")
    timer.join()
    other.close()
    assert AnswerCache(path).load([b"key"]) == {b"key": "answer"}


def test_the_key_depends_on_times_of_a_varying_rate(cache: AnswerCache, query: Query) -> None:
    times = np.arange(50) / 10
    timed = [replace(query, video=replace(query.video, times=FrameTimes(t))) for t in (times, 2 * times)]
    assert len({cache.key("model", each) for each in (query, *timed)}) == 3
    assert cache.key("model", replace(timed[0], frames=())) == cache.key("model", replace(query, frames=()))


def test_the_key_depends_on_a_querys_times_only_if_they_are_shown(cache: AnswerCache, query: GenerateQuery) -> None:
    other = replace(query, times=(0.0, 0.25))
    assert cache.key("model", other) == cache.key("model", query)
    assert cache.key("model", other, timestamps=True) != cache.key("model", query, timestamps=True)
    own = replace(query, times=tuple(query.video.seconds(frame) for frame in query.frames))
    assert cache.key("model", own, timestamps=True) == cache.key("model", query, timestamps=True)


def test_the_key_depends_on_the_rate_only_if_times_are_shown(cache: AnswerCache, query: Query) -> None:
    other = replace(query, video=replace(query.video, fps=15.0))
    assert cache.key("model", query, timestamps=True) != cache.key("model", other, timestamps=True)
    assert cache.key("model", query) == cache.key("model", other) != cache.key("model", query, timestamps=True)
    # Caches of earlier versions stay valid.
    assert cache.key("model", query).hex() == "853fff54b5692bff98153cea0c3b640b"
