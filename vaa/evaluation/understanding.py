"""How near descriptions come to references: BLEU, CIDEr, METEOR, ROUGE-L as URF counts them; a judge's marks."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.evaluation.meteor_jar import meteor_jar
from vaa.evaluation.wordnet import INSTALL, wordnet
from vaa.types import Judgement

log = logging.getLogger("vaa")
Pairs = Sequence[tuple[str, str]]
"""(reference, description) of each video."""

BLEU = {"bleu_1": (1.0,), "bleu_2": (0.5, 0.5), "bleu_3": (0.33, 0.33, 0.33), "bleu_4": (0.25, 0.25, 0.25, 0.25)}
NAMES = (*BLEU, "bleu_sum", "cider", "meteor", "rouge_l")


def understanding(
    references: Mapping[str, str], descriptions: Mapping[str, str], jar: bool = False
) -> dict[str, float]:
    """Means over the `described` videos: those described that have a reference; an empty description counts, with 0.

    With `jar` also METEOR by its original Java program, which knows more synonyms than nltk's. What cannot be computed
    for want of a library or its data is NaN, and said once.
    """
    pairs = [(references[video], said) for video, said in descriptions.items() if references.get(video, "").strip()]
    measures: dict[str, Callable[[Pairs], dict[str, float]]] = {
        "BLEU": _bleu,
        "CIDEr": _cider,
        "METEOR": _meteor,
        "ROUGE-L": _rouge_l,
    }
    if jar:
        measures["METEOR by Java"] = meteor_jar
    found = dict.fromkeys((*NAMES, "meteor_jar") if jar else NAMES, math.nan) | {"described": len(pairs)}
    missing: dict[str, list[str]] = {}
    for name, measure in measures.items() if pairs else ():
        try:
            found |= measure(pairs)
        except VaaError as error:
            missing.setdefault(str(error), []).append(name)
    if missing:
        said = (f"{' and '.join(names)}: {reason}" for reason, names in missing.items())
        log.warning("Not computed (null): %s", "; ".join(said))
    return found


def judged(judgements: Iterable[Judgement | None]) -> dict[str, float]:
    """Means of a judge's marks over those that could be read (NaN if none), how many videos, how many marks unread."""
    given = [judgement for judgement in judgements if judgement is not None]
    marks = {
        "judge_reasonability": [judgement.reasonability for judgement in given],
        "judge_detail": [judgement.detail for judgement in given],
        "judge_consistency": [judgement.consistency for judgement in given],
    }
    read = {name: [mark for mark in each if not math.isnan(mark)] for name, each in marks.items()}
    means = {name: float(np.mean(each)) if each else math.nan for name, each in read.items()}
    unparsed = 3 * len(given) - sum(map(len, read.values()))
    return means | {"judged": len(given), "judge_unread": unparsed}


def _bleu(pairs: Pairs) -> dict[str, float]:
    """Sentence BLEU, smoothing method 4, of tokens between white space."""
    bleu = _library("nltk.translate.bleu_score")
    smooth = bleu.SmoothingFunction().method4
    each = [bleu.sentence_bleu([r.split()], d.split(), list(BLEU.values()), smooth) for r, d in pairs]
    means = dict(zip(BLEU, np.mean(each, axis=0).tolist(), strict=True))
    return means | {"bleu_sum": sum(means.values())}


def _cider(pairs: Pairs) -> dict[str, float]:
    """CIDEr of the raw strings; it weighs words by their rareness among the references, so one alone says nothing."""
    cider = _library("pycocoevalcap.cider.cider").Cider()
    if len(pairs) < 2:
        return {"cider": math.nan}
    score, _ = cider.compute_score(
        {k: [reference] for k, (reference, _) in enumerate(pairs)}, {k: [said] for k, (_, said) in enumerate(pairs)}
    )
    return {"cider": float(score)}


def _meteor(pairs: Pairs) -> dict[str, float]:
    """METEOR by nltk of tokens between white space; words and stems are looked up once, which changes nothing."""
    single = _library("nltk.translate.meteor_score").single_meteor_score
    try:
        words = SimpleNamespace(synsets=cache(wordnet().synsets))
    except LookupError as error:
        raise VaaError(f"{error}. Install it by {INSTALL}") from error
    stems = _stems()
    each = [single(r.split(), d.split(), stemmer=stems, wordnet=words) for r, d in pairs]
    return {"meteor": float(np.mean(each))}


def _rouge_l(pairs: Pairs) -> dict[str, float]:
    """The F measure of ROUGE-L, of stems."""
    rouge, tokens, stems = _library("rouge_score.rouge_scorer"), _library("rouge_score.tokenize"), _stems()
    words = SimpleNamespace(tokenize=lambda text: tokens.tokenize(text, stems))
    scorer = rouge.RougeScorer(["rougeL"], tokenizer=words)
    return {"rouge_l": float(np.mean([scorer.score(r, d)["rougeL"].fmeasure for r, d in pairs]))}


def _stems() -> SimpleNamespace:
    """Porter's stemmer, asked once a word."""
    return SimpleNamespace(stem=cache(_library("nltk.stem.porter").PorterStemmer().stem))


def _library(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        library = (error.name or module).split(".")[0]
        raise VaaError(f"{library} is not installed: pip install 'vaa[understanding]'") from error
