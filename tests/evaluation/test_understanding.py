from __future__ import annotations

import json
import logging
import math
import os
import shutil
import sys
from functools import cache
from pathlib import Path

import debian_wordnet
import pytest

from vaa.evaluation import understanding as understanding_module
from vaa.evaluation.understanding import NAMES, MetricUnavailableError, judge_metrics, meteor_jar, understanding
from vaa.types import Judgement

URF = "ucf_crime/understanding/video_llama3_8B_InterTC_full_bbox"
# The numbers of the authors' files to four digits: BLEU-1 to 4, their sum, CIDEr, ROUGE-L; METEOR; number of videos.
# Those of other descriptions and of XD-Violence are tested by their experiments (test_run.py).
TABLE = {
    URF: (0.1895, 0.0854, 0.0448, 0.0255, 0.3453, 0.0232, 0.1878, 0.1750, 251),
}
COLUMNS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum", "cider", "rouge_l", "meteor", "described")


def installed() -> bool:
    import nltk

    try:
        nltk.corpus.wordnet.ensure_loaded()
    except LookupError:
        return False
    return True


@pytest.fixture
def wordnet() -> None:
    if not installed():
        pytest.skip("no WordNet: python -m nltk.downloader wordnet, or apt-get install wordnet-base")


def texts(shared: Path, name: str) -> tuple[dict[str, str], dict[str, str]]:
    root = shared / "recorded" / "urf"
    references = json.loads((root / name.split("/")[0] / "video_summaries.json").read_text())
    return references, json.loads((root / f"{name}.json").read_text())


@cache
def measured(shared: Path, name: str) -> dict[str, float]:
    return understanding(*texts(shared, name))


@pytest.mark.parametrize("name", TABLE)
def test_the_published_descriptions_give_the_published_numbers(shared: Path, name: str) -> None:
    metrics = measured(shared, name)
    for column, expected in zip(COLUMNS, TABLE[name], strict=True):
        if column != "meteor" and expected is not None:
            assert round(metrics[column], 4) == expected, column


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.usefixtures("wordnet")
def test_the_published_descriptions_give_the_published_meteor(shared: Path, name: str) -> None:
    assert round(measured(shared, name)["meteor"], 4) == TABLE[name][COLUMNS.index("meteor")]


@pytest.mark.usefixtures("wordnet")
def test_a_description_equal_to_its_reference_has_the_highest_scores() -> None:
    texts_by_video = {"a": "a man breaks the window of a parked car", "b": "two people fight in front of a shop"}
    metrics = understanding(texts_by_video, texts_by_video)
    assert metrics["bleu_sum"] == pytest.approx(4.0)
    assert metrics["rouge_l"] == 1.0
    assert metrics["cider"] == pytest.approx(10.0)
    assert metrics["meteor"] == pytest.approx(((1 - 0.5 / 9**3) + (1 - 0.5 / 8**3)) / 2)
    assert metrics["described"] == 2.0


def test_bleu_by_hand() -> None:
    """Three of four words, one of three pairs, no triple: method 4 gives it ln 4 / 10, of two triples."""
    metrics = understanding({"v": "a b c d"}, {"v": "a b x d"})
    smoothed = [0.75, 1 / 3, math.log(4) / 10 / 2]
    assert metrics["bleu_1"] == pytest.approx(0.75)
    assert metrics["bleu_2"] == pytest.approx(0.5)
    assert metrics["bleu_3"] == pytest.approx(math.exp(0.33 * sum(map(math.log, smoothed))))
    assert metrics["bleu_sum"] == pytest.approx(sum(metrics[f"bleu_{n}"] for n in (1, 2, 3, 4)))


@pytest.mark.usefixtures("wordnet")
def test_meteor_matches_stems_and_synonyms_of_stems() -> None:
    metrics = understanding({"v": "the car burns"}, {"v": "The auto burned"})
    assert metrics["meteor"] == pytest.approx(1 - 0.5 / 3**3)
    assert metrics["rouge_l"] == pytest.approx(2 / 3)
    # Words are stemmed before synonyms are looked up, and "automobil" is no word: nltk's METEOR, and so the authors'.
    missed = understanding({"v": "the car burns"}, {"v": "The automobile burned"})
    assert missed["meteor"] == pytest.approx(2 / 3 * (1 - 0.5))


def test_one_video_has_no_cider() -> None:
    assert math.isnan(understanding({"v": "a man"}, {"v": "a man"})["cider"])


def test_videos_without_a_reference_are_left_out_and_an_empty_description_counts() -> None:
    references = {"a": "a man runs away fast", "b": "  ", "c": "a dog", "d": "not described"}
    metrics = understanding(references, {"a": "a man runs away fast", "b": "x", "c": "", "e": "y"})
    assert metrics["described"] == 2.0
    assert metrics["bleu_1"] == pytest.approx(0.5)
    assert metrics["rouge_l"] == pytest.approx(0.5)


def test_without_pairs_no_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(module: str) -> object:
        raise AssertionError(module)

    monkeypatch.setattr(understanding_module, "_library", refuse)
    metrics = understanding({}, {"a": "x"})
    assert metrics.keys() == {*NAMES, "described"}
    assert metrics["described"] == 0.0
    assert all(math.isnan(metrics[name]) for name in NAMES)


LIBRARIES = {
    "nltk.translate.bleu_score": {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum"},
    "nltk.translate.meteor_score": {"meteor"},
    "pycocoevalcap.cider.cider": {"cider"},
    "rouge_score.rouge_scorer": {"rouge_l"},
}


@pytest.mark.parametrize("module", LIBRARIES)
@pytest.mark.usefixtures("wordnet")
def test_without_a_library_its_metrics_are_nan_and_one_warning_says_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING, "vaa"):
        metrics = understanding({"a": "a man", "b": "a dog"}, {"a": "a man", "b": "a dog"})
    assert {name for name in NAMES if math.isnan(metrics[name])} == LIBRARIES[module]
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"{module.split('.')[0]} is not installed: pip install {module.split('.')[0].replace('_', '-')}" in message


def test_without_any_library_there_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in LIBRARIES:
        monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING, "vaa"):
        metrics = understanding({"a": "a man"}, {"a": "a man"})
    assert all(math.isnan(metrics[name]) for name in NAMES)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Not computed (null): BLEU and METEOR: nltk is not installed")


def test_without_wordnet_meteor_is_nan_and_one_warning_says_how_to_install_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk.corpus, "wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, object()))
    with caplog.at_level(logging.WARNING, "vaa"):
        metrics = understanding({"a": "a man", "b": "a dog"}, {"a": "a man", "b": "a dog"})
    assert {name for name in NAMES if math.isnan(metrics[name])} == {"meteor"}
    (message,) = [record.getMessage() for record in caplog.records]
    assert "python -m nltk.downloader wordnet" in message
    assert "NLTK_DATA" in message


def test_lexicographer_files_are_numbered_as_wordnet_numbers_them() -> None:
    lines = [line.split("\t") for line in debian_wordnet.lexnames().splitlines()]
    assert len(lines) == 45
    assert (lines[3], lines[28], lines[29], lines[44]) == (
        ["03", "noun.Tops", "1"],
        ["28", "noun.time", "1"],
        ["29", "verb.body", "2"],
        ["44", "adj.ppl", "3"],
    )


def java(folder: Path, body: str) -> None:
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_the_jar_reads_one_text_per_line_for_each_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path, f'cat "$4" "$5" > {tmp_path}/inputs; echo "$@" > {tmp_path}/args; echo 0.25; echo 0.5 >&2')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    metrics = understanding({"a": "the\nreference"}, {"a": "a  model\ntext"}, jar=True)
    assert metrics["meteor_jar"] == 0.25
    assert (tmp_path / "inputs").read_text() == "a model text\nthe reference\n"
    assert "meteor-1.5.jar" in (tmp_path / "args").read_text()


def test_a_jar_that_fails_and_a_missing_java_give_nan_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    java(tmp_path, "echo out of memory >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(MetricUnavailableError, match="out of memory"):
        meteor_jar([("a", "b")])
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with caplog.at_level(logging.WARNING, "vaa"):
        assert math.isnan(understanding({"a": "x"}, {"a": "x"}, jar=True)["meteor_jar"])
    assert "METEOR by Java: there is no java: install a Java runtime" in caplog.text


@pytest.mark.long
def test_the_released_jar_gives_its_number(shared: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no java: apt-get install default-jre-headless")
    references, descriptions = texts(shared, URF)
    metrics = meteor_jar([(references[video], descriptions[video]) for video in references])
    assert metrics["meteor_jar"] == pytest.approx(0.11421107, abs=1e-8)


def test_a_judges_ratings_are_averaged_over_the_parsed_ones() -> None:
    metrics = judge_metrics([Judgement(0.5, math.nan, 1.0), None, Judgement(1.0, math.nan, math.nan)])
    assert metrics == {
        "judge_reasonability": 0.75,
        "judge_detail": pytest.approx(math.nan, nan_ok=True),
        "judge_consistency": 1.0,
        "judged": 2.0,
        "judge_unparsed": 3.0,
    }


def test_without_judgements_the_means_are_nan() -> None:
    metrics = judge_metrics([None])
    assert metrics["judged"] == metrics["judge_unparsed"] == 0.0
    assert all(math.isnan(metrics[f"judge_{name}"]) for name in ("reasonability", "detail", "consistency"))
