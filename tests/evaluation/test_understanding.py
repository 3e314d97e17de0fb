from __future__ import annotations

import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from vaa.errors import VaaError
from vaa.evaluation import understanding as counted
from vaa.evaluation.meteor_jar import meteor_jar
from vaa.evaluation.understanding import NAMES, judged, understanding
from vaa.evaluation.wordnet import _FILES, DEBIAN, _copied, _lexnames, wordnet
from vaa.types import Judgement

URF = "ucf_crime/understanding/video_llama3_8B_InterTC_full_bbox"
# The numbers of the authors' files to four digits: BLEU-1 to 4, their sum, CIDEr, ROUGE-L; METEOR; how many.
TABLE = {
    URF: (0.1895, 0.0854, 0.0448, 0.0255, 0.3453, 0.0232, 0.1878, 0.1750, 251),
    "ucf_crime/understanding/HolmesVAU": (None, None, None, None, 0.4352, 0.0207, 0.2566, 0.1943, 251),
    "ucf_crime/understanding/hawk": (None, None, None, None, 0.3788, 0.0080, 0.1865, 0.2172, 251),
    # Not given by anybody: as first measured here.
    "xd_violence/understanding/HolmesVAU": (None, None, None, None, 0.3757, 0.0110, 0.2529, 0.1824, 800),
}
COLUMNS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum", "cider", "rouge_l", "meteor", "described")


@pytest.fixture(scope="module", autouse=True)
def _cache_in_tmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def words() -> None:
    """METEOR's data."""
    try:
        wordnet()
    except LookupError as error:
        pytest.skip(f"{error}: python -m nltk.downloader wordnet, or apt-get install wordnet-base")


def texts(shared: Path, name: str) -> tuple[dict[str, str], dict[str, str]]:
    root = shared / "recorded" / "urf"
    references = json.loads((root / name.split("/")[0] / "video_summaries.json").read_text())
    return references, json.loads((root / f"{name}.json").read_text())


@cache
def measured(shared: Path, name: str) -> dict[str, float]:
    return understanding(*texts(shared, name))


@pytest.mark.parametrize("name", TABLE)
def test_the_published_descriptions_give_the_published_numbers(shared: Path, name: str) -> None:
    found = measured(shared, name)
    for column, expected in zip(COLUMNS, TABLE[name], strict=True):
        if column != "meteor" and expected is not None:
            assert round(found[column], 4) == expected, column


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.usefixtures("words")
def test_the_published_descriptions_give_the_published_meteor(shared: Path, name: str) -> None:
    assert round(measured(shared, name)["meteor"], 4) == TABLE[name][COLUMNS.index("meteor")]


@pytest.mark.usefixtures("words")
def test_the_reference_itself_scores_as_high_as_can_be() -> None:
    said = {"a": "a man breaks the window of a parked car", "b": "two people fight in front of a shop"}
    found = understanding(said, said)
    assert found["bleu_sum"] == pytest.approx(4.0)
    assert found["rouge_l"] == 1.0
    assert found["cider"] == pytest.approx(10.0)
    assert found["meteor"] == pytest.approx(((1 - 0.5 / 9**3) + (1 - 0.5 / 8**3)) / 2)
    assert found["described"] == 2.0


def test_bleu_by_hand() -> None:
    """Three of four words, one of three pairs, no triple: method 4 gives it ln 4 / 10, of two triples."""
    found = understanding({"v": "a b c d"}, {"v": "a b x d"})
    smoothed = [0.75, 1 / 3, math.log(4) / 10 / 2]
    assert found["bleu_1"] == pytest.approx(0.75)
    assert found["bleu_2"] == pytest.approx(0.5)
    assert found["bleu_3"] == pytest.approx(math.exp(0.33 * sum(map(math.log, smoothed))))
    assert found["bleu_sum"] == pytest.approx(sum(found[f"bleu_{n}"] for n in (1, 2, 3, 4)))


@pytest.mark.usefixtures("words")
def test_meteor_knows_stems_and_synonyms_of_stems() -> None:
    found = understanding({"v": "the car burns"}, {"v": "The auto burned"})
    assert found["meteor"] == pytest.approx(1 - 0.5 / 3**3)
    assert found["rouge_l"] == pytest.approx(2 / 3)
    # Words are stemmed before synonyms are looked up, and "automobil" is no word: nltk's METEOR, and so the authors'.
    missed = understanding({"v": "the car burns"}, {"v": "The automobile burned"})
    assert missed["meteor"] == pytest.approx(2 / 3 * (1 - 0.5))


def test_one_video_has_no_cider() -> None:
    assert math.isnan(understanding({"v": "a man"}, {"v": "a man"})["cider"])


def test_videos_without_a_reference_are_left_out_and_a_silent_description_counts() -> None:
    references = {"a": "a man runs away fast", "b": "  ", "c": "a dog", "d": "nobody describes this"}
    found = understanding(references, {"a": "a man runs away fast", "b": "x", "c": "", "e": "y"})
    assert found["described"] == 2.0
    assert found["bleu_1"] == pytest.approx(0.5)
    assert found["rouge_l"] == pytest.approx(0.5)


def test_with_nothing_to_score_no_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(module: str) -> object:
        raise AssertionError(module)

    monkeypatch.setattr(counted, "_library", never)
    found = understanding({}, {"a": "x"})
    assert found.keys() == {*NAMES, "described"}
    assert found["described"] == 0.0
    assert all(math.isnan(found[name]) for name in NAMES)


LIBRARIES = {
    "nltk.translate.bleu_score": {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum"},
    "nltk.translate.meteor_score": {"meteor"},
    "pycocoevalcap.cider.cider": {"cider"},
    "rouge_score.rouge_scorer": {"rouge_l"},
}


@pytest.mark.parametrize("module", LIBRARIES)
@pytest.mark.usefixtures("words")
def test_without_a_library_its_metrics_are_nan_and_one_warning_says_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING, "vaa"):
        found = understanding({"a": "a man", "b": "a dog"}, {"a": "a man", "b": "a dog"})
    assert {name for name in NAMES if math.isnan(found[name])} == LIBRARIES[module]
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"{module.split('.')[0]} is not installed: pip install 'vaa[understanding]'" in said


def test_without_any_library_one_warning_says_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in LIBRARIES:
        monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING, "vaa"):
        found = understanding({"a": "a man"}, {"a": "a man"})
    assert all(math.isnan(found[name]) for name in NAMES)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("Not computed (null): BLEU and METEOR: nltk is not installed")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No WordNet in nltk's data, nor Debian's; the user's cache is empty."""
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("vaa.evaluation.wordnet.DEBIAN", tmp_path / "debian")
    return tmp_path


@pytest.mark.usefixtures("nowhere")
def test_without_wordnet_meteor_is_nan_and_one_warning_says_how_to_get_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "vaa"):
        found = understanding({"a": "a man", "b": "a dog"}, {"a": "a man", "b": "a dog"})
    assert {name for name in NAMES if math.isnan(found[name])} == {"meteor"}
    (said,) = [record.getMessage() for record in caplog.records]
    assert "python -m nltk.downloader wordnet" in said
    assert "apt-get install wordnet-base" in said


def fill(folder: Path) -> Path:
    folder.mkdir()
    for name in _FILES:
        (folder / name).write_text(name)
    return folder


def test_debians_files_become_a_corpus_of_nltks_whole_or_not_at_all(nowhere: Path) -> None:
    source, data = fill(nowhere / "debian"), nowhere / "data"
    (source / "data.noun").unlink()
    with pytest.raises(LookupError, match="no WordNet in nltk's data, nor in"):
        _copied(source, data)
    assert not data.exists()
    (source / "data.noun").write_text("data.noun")
    corpus = _copied(source, data) / "corpora" / "wordnet"
    assert {file.name for file in corpus.iterdir()} == {*_FILES, "lexnames", "index.sense"}
    assert [folder.name for folder in corpus.parent.iterdir()] == ["wordnet"]
    assert _copied(nowhere / "gone", data) == data  # it is made once


def test_another_process_may_be_first(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, data = fill(nowhere / "debian"), nowhere / "data"
    rename: Callable[[Path, Path], Path] = Path.rename

    def late(whole: Path, target: Path) -> Path:
        shutil.copytree(whole, target)
        return rename(whole, target)

    monkeypatch.setattr(Path, "rename", late)
    assert _copied(source, data) == data
    assert [folder.name for folder in (data / "corpora").iterdir()] == ["wordnet"]


def test_a_cache_that_cannot_be_written_is_said(nowhere: Path) -> None:
    (nowhere / "data").write_text("a file")
    with pytest.raises(LookupError, match="cannot be made"):
        _copied(fill(nowhere / "debian"), nowhere / "data")


def test_lexicographer_files_are_numbered_as_wordnet_numbers_them() -> None:
    lines = [line.split("\t") for line in _lexnames().splitlines()]
    assert len(lines) == 45
    assert (lines[3], lines[28], lines[29], lines[44]) == (
        ["03", "noun.Tops", "1"],
        ["28", "noun.time", "1"],
        ["29", "verb.body", "2"],
        ["44", "adj.ppl", "3"],
    )


def test_debians_wordnet_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DEBIAN / "data.noun").is_file():
        pytest.skip(f"{DEBIAN} is not there: apt-get install wordnet-base")
    import nltk
    from nltk.corpus.decoder.wordnet import WordNetCorpusReader

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])  # nltk reads nothing elsewhere
    folder = _copied(DEBIAN, tmp_path) / "corpora" / "wordnet"
    decoder = WordNetCorpusReader(str(folder), object())
    assert decoder.synset("car.n.01").lexname() == "noun.artifact"


def java(folder: Path, body: str) -> None:
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_the_jar_is_given_both_texts_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path, f'cat "$4" "$5" > {tmp_path}/seen; echo "$@" > {tmp_path}/asked; echo 0.25; echo 0.5 >&2')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = understanding({"a": "the\nreference"}, {"a": "what  was\nsaid"}, jar=True)
    assert found["meteor_jar"] == 0.25
    assert (tmp_path / "seen").read_text() == "what was said\nthe reference\n"
    assert "meteor-1.5.jar" in (tmp_path / "asked").read_text()


def test_a_jar_that_fails_or_no_java_is_nan_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    java(tmp_path, "echo out of memory >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(VaaError, match="failed: out of memory"):
        meteor_jar([("a", "b")])
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with caplog.at_level(logging.WARNING, "vaa"):
        assert math.isnan(understanding({"a": "x"}, {"a": "x"}, jar=True)["meteor_jar"])
    assert "METEOR by Java: there is no java: install a Java runtime" in caplog.text


@pytest.mark.slow
def test_the_jar_itself(shared: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no java: apt-get install default-jre-headless")
    references, said = texts(shared, URF)
    found = meteor_jar([(references[video], said[video]) for video in references])
    assert found["meteor_jar"] == pytest.approx(0.11421107, abs=1e-8)


def test_a_judges_marks_are_averaged_over_those_that_could_be_read() -> None:
    found = judged([Judgement(0.5, math.nan, 1.0), None, Judgement(1.0, math.nan, math.nan)])
    assert found == {
        "judge_reasonability": 0.75,
        "judge_detail": pytest.approx(math.nan, nan_ok=True),
        "judge_consistency": 1.0,
        "judged": 2.0,
        "judge_unread": 3.0,
    }


def test_without_judgements_nothing_is_claimed() -> None:
    found = judged([None])
    assert found["judged"] == found["judge_unread"] == 0.0
    assert all(math.isnan(found[f"judge_{name}"]) for name in ("reasonability", "detail", "consistency"))
