"""Descriptions against references: BLEU, CIDEr, METEOR, ROUGE-L as URF counts them; a judge's marks."""

from __future__ import annotations

import logging
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.types import Judgement

log = logging.getLogger("vaa")
Pairs = Sequence[tuple[str, str]]
"""(reference, description) of each video."""

BLEU = {"bleu_1": (1.0,), "bleu_2": (0.5, 0.5), "bleu_3": (0.33, 0.33, 0.33), "bleu_4": (0.25, 0.25, 0.25, 0.25)}
NAMES = (*BLEU, "bleu_sum", "cider", "meteor", "rouge_l")
_JAR_SCORE = re.compile(r"^(?:Final score:\s*)?([\d.]+(?:E-?\d+)?)\s*$", re.MULTILINE)


class MetricUnavailableError(VaaError):
    """A metric needs a library, data or program that is missing or fails; the metric is NaN and the log says why."""


def understanding(
    references: Mapping[str, str], descriptions: Mapping[str, str], jar: bool = False
) -> dict[str, float]:
    """Means over the `described` videos, which have a description and a reference; an empty description counts 0.

    With `jar` also METEOR by its original Java program, which knows more synonyms than nltk's. A metric whose library
    or data is missing is NaN; one warning names all of them.
    """
    pairs = [(references[video], text) for video, text in descriptions.items() if references.get(video, "").strip()]
    measures: dict[str, Callable[[Pairs], dict[str, float]]] = {
        "BLEU": _bleu,
        "CIDEr": _cider,
        "METEOR": _meteor,
        "ROUGE-L": _rouge_l,
    }
    if jar:
        measures["METEOR by Java"] = meteor_jar
    metrics = dict.fromkeys((*NAMES, "meteor_jar") if jar else NAMES, math.nan) | {"described": len(pairs)}
    missing: dict[str, list[str]] = {}
    for name, measure in measures.items() if pairs else ():
        try:
            metrics |= measure(pairs)
        except MetricUnavailableError as error:
            missing.setdefault(str(error), []).append(name)
    if missing:
        reasons = (f"{' and '.join(names)}: {reason}" for reason, names in missing.items())
        log.warning("Not computed (null): %s", "; ".join(reasons))
    return metrics


def judge_metrics(judgements: Iterable[Judgement | None]) -> dict[str, float]:
    """Means of a judge's marks over those that were parsed (NaN if none), and how many videos and unparsed marks."""
    known = [judgement for judgement in judgements if judgement is not None]
    marks = {
        "judge_reasonability": [judgement.reasonability for judgement in known],
        "judge_detail": [judgement.detail for judgement in known],
        "judge_consistency": [judgement.consistency for judgement in known],
    }
    parsed = {name: [mark for mark in each if not math.isnan(mark)] for name, each in marks.items()}
    means = {name: float(np.mean(each)) if each else math.nan for name, each in parsed.items()}
    unparsed = 3 * len(known) - sum(map(len, parsed.values()))
    return means | {"judged": len(known), "judge_unparsed": unparsed}


def _bleu(pairs: Pairs) -> dict[str, float]:
    """Sentence BLEU, smoothing method 4, of tokens between white space."""
    bleu = _library("nltk.translate.bleu_score")
    smooth = bleu.SmoothingFunction().method4
    each = [bleu.sentence_bleu([r.split()], d.split(), list(BLEU.values()), smooth) for r, d in pairs]
    means = dict(zip(BLEU, np.mean(each, axis=0).tolist(), strict=True))
    return means | {"bleu_sum": sum(means.values())}


def _cider(pairs: Pairs) -> dict[str, float]:
    """CIDEr of the raw strings; it weights words by their rarity among the references, so one pair has no value."""
    cider = _library("pycocoevalcap.cider.cider").Cider()
    if len(pairs) < 2:
        return {"cider": math.nan}
    score, _ = cider.compute_score(
        {k: [reference] for k, (reference, _) in enumerate(pairs)}, {k: [text] for k, (_, text) in enumerate(pairs)}
    )
    return {"cider": float(score)}


def _meteor(pairs: Pairs) -> dict[str, float]:
    """METEOR by nltk of tokens between white space; WordNet's answers and stems are cached."""
    single = _library("nltk.translate.meteor_score").single_meteor_score
    try:
        corpus = _library("nltk.corpus").wordnet
        corpus.ensure_loaded()
    except LookupError as error:
        raise MetricUnavailableError(
            "no WordNet in nltk's data: python -m nltk.downloader wordnet (the environment variable NLTK_DATA adds a "
            "folder of nltk's data)"
        ) from error
    words, stemmer = SimpleNamespace(synsets=cache(corpus.synsets)), _stemmer()
    each = [single(r.split(), d.split(), stemmer=stemmer, wordnet=words) for r, d in pairs]
    return {"meteor": float(np.mean(each))}


def meteor_jar(pairs: Pairs) -> dict[str, float]:
    """METEOR 1.5 by its authors' Java program (part of pycocoevalcap), over all pairs as one corpus, normalised.

    Raises:
        MetricUnavailableError: there is no Java, no pycocoevalcap, or the program failed.
    """
    java, package = shutil.which("java"), find_spec("pycocoevalcap")  # a package without __init__
    if java is None:
        raise MetricUnavailableError("there is no java: install a Java runtime (apt-get install default-jre-headless)")
    if package is None or not package.submodule_search_locations:
        raise MetricUnavailableError("pycocoevalcap is not installed: pip install pycocoevalcap")
    jar = Path(package.submodule_search_locations[0]) / "meteor" / "meteor-1.5.jar"
    with tempfile.TemporaryDirectory() as folder:
        references, descriptions = Path(folder) / "references", Path(folder) / "descriptions"
        for file, texts in ((references, [r for r, _ in pairs]), (descriptions, [d for _, d in pairs])):
            file.write_text("".join(f"{' '.join(text.split())}\n" for text in texts), encoding="utf-8")
        command = [java, "-Xmx2G", "-jar", str(jar), str(descriptions), str(references), "-l", "en", "-norm", "-q"]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    scores = _JAR_SCORE.findall(process.stdout)
    if process.returncode or not scores:
        message = (process.stderr or process.stdout).strip()[-200:]
        raise MetricUnavailableError(f"METEOR's Java program failed: {message}")
    return {"meteor_jar": float(scores[-1])}


def _rouge_l(pairs: Pairs) -> dict[str, float]:
    """The F measure of ROUGE-L, of stems."""
    rouge, tokens, stemmer = _library("rouge_score.rouge_scorer"), _library("rouge_score.tokenize"), _stemmer()
    tokenizer = SimpleNamespace(tokenize=lambda text: tokens.tokenize(text, stemmer))
    scorer = rouge.RougeScorer(["rougeL"], tokenizer=tokenizer)
    return {"rouge_l": float(np.mean([scorer.score(r, d)["rougeL"].fmeasure for r, d in pairs]))}


def _stemmer() -> SimpleNamespace:
    """Porter's stemmer, which stems each word once."""
    return SimpleNamespace(stem=cache(_library("nltk.stem.porter").PorterStemmer().stem))


def _library(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        library = (error.name or module).split(".")[0]
        distribution = library.replace("_", "-")
        raise MetricUnavailableError(f"{library} is not installed: pip install {distribution}") from error
