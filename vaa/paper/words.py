"""The words of `docs/results.md`."""

from __future__ import annotations

INTRO = """# Results

Made by `make paper` from the authors' released files; do not edit. Every number of ours is the output of a command on
this page. Published ones stand in `vaa/paper/published.py`, each with its source. `docs/results.json` holds what was
measured: tests hold this page to it, and it to new runs.

    python -m vaa.data.fetch urf DIR/urf    # corevad and vera likewise; vera wants a --commit
    make paper RECORDED=DIR
"""

PUBLISHED = """## Published and replayed

Published numbers are in percent, differences in points. Counted under LAVAD's protocol, CoReVAD's under VERA's. Flat
AUC mostly ranks whole videos, so the AUC within videos stands beside it. Position weighting is a prior on where events
lie in trimmed test videos, not evidence; its row on XD-Violence is not what our brief gave: the formula as published
gives the number here, and what else was tried is in the [log](experiments.md).
"""

PROTOCOLS = """
## The same scores under every protocol

`lavad`: the annotation files of the LAVAD line, the end of an interval included. `vera`: VERA's labels, the end
excluded. `corevad`: these too, scores in float16. `corevad` reports AP by steps, the others by trapezoids. Papers that
count differently can be compared only through a table like this one.
"""

CHAIN = "\n## What else has to agree\n"

COMBINED = """
## Combinations

Δ: to the first row of each table, in brackets its 95 % interval over {resamples} paired resamples of the videos, seed
{seed} ([what that is and is not](compare.md)). LAVAD's protocol. Each setting is a paper's, or a plain one of `conf/`;
none was tuned on these labels. Whoever takes the best row of a table does choose on them: see
[fair choosing](tune.md). A search for a better one is in the [log](experiments.md)."""

WAITING = """
## What needs a GPU, weights and the videos

Nothing released replays these. `doctor=true` behind a command says what it needs and whether this machine has it.
"""
