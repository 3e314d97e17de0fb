"""The colours of the page have enough contrast (WCAG 2.1, level AA) in both themes."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import vaa.report.page

ASSETS = Path(vaa.report.page.__file__).parent / "assets"
CSS = (ASSETS / "page.css").read_text()
TEXT = ("ink", "muted", "accent", "truth", "alert")
GRAPHICS = ("edge", "mark", "predicted", "annotated", *(f"s{k}" for k in range(6)), *TEXT)


def theme(selector: str) -> dict[str, str]:
    """The colours that a rule defines, name -> #rrggbb; without those that are transparent."""
    found = re.search(re.escape(selector) + r"\s*\{(.*?)\}", CSS, re.DOTALL)
    assert found
    return dict(re.findall(r"--([a-z0-9]+):\s*(#[0-9a-f]{6})\b", found[1]))


def luminance(colour: str) -> float:
    """Relative luminance as defined by WCAG 2.1."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    dark, bright = sorted((luminance(a), luminance(b)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("selector", [":root", ':root[data-theme="dark"]'])
def test_texts_and_lines_have_the_contrast_of_level_aa(selector: str) -> None:
    colours = theme(selector)
    low = {
        (name, ground): round(contrast(colours[name], colours[ground]), 2)
        for least, names in ((4.5, TEXT), (3.0, GRAPHICS))
        for name, ground in product(names, ("ground", "panel", "warn"))
        if contrast(colours[name], colours[ground]) < least
    }
    assert low == {}


def test_both_themes_define_every_colour_that_is_used() -> None:
    scripts = "".join(file.read_text() for file in ASSETS.glob("*.js"))
    used = set(re.findall(r"var\(--([a-z]+)\)", CSS + scripts)) | set(re.findall(r'vaa\.colour\("([a-z]+)"\)', scripts))
    for selector in (":root", ':root[data-theme="dark"]'):
        assert used - {"key", "wash", "s"} <= set(theme(selector))
