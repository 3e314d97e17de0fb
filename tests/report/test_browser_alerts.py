"""The threshold, the alerts and the marked intervals of the page in a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alert_rules import alert_rule
from browsing import opened, wait_until
from PIL import Image
from test_page import finished, scored

from vaa.data.interval_table import read_interval_table
from vaa.frame_times import FrameTimes
from vaa.report.page.build import Page
from vaa.report.runs import Run
from vaa.types import DefinitionTrack, GroundTruth, ScoreTrack, Span

pytestmark = pytest.mark.slow
TRUTHS = {
    "street": GroundTruth((Span(20, 40, "a fall"), Span(100, 110, "fire")), "fire"),
    "yard": GroundTruth((), "Normal"),
}
COUNTS = ".threshold output"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two videos with labels, 10 frames for each score; the higher alert has a still."""
    reports = [
        scored("street", [0.1, 0.2, 0.9, 0.7, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.4, 0.1]),
        scored("yard", [0.1, 0.3]),
    ]
    run = finished(tmp_path, reports, TRUTHS)
    file = tmp_path / "alerts.json"
    content = json.loads(file.read_text())
    content["alerts"][0] |= {"still": "alerts/street_0.jpg", "definition": "a fall"}
    file.write_text(json.dumps(content))
    (tmp_path / "alerts").mkdir()
    Image.new("RGB", (64, 40), "red").save(tmp_path / "alerts/street_0.jpg")
    Page(copy=False).write(run)
    return run


def test_the_threshold_changes_alerts_and_counts(tab: Any, run: Run) -> None:
    opened(tab, run.folder)
    assert tab.locator(COUNTS).text_content() == "2 alerts · 1 of 2 events · 1 false"
    assert tab.locator(".pictures img").count() == 1
    assert "a fall" in tab.locator(".pictures li").first.text_content()
    assert tab.evaluate("document.querySelector('.pictures img').naturalWidth") == 64
    slider = tab.locator("input[type=range]")
    slider.focus()
    for _ in range(10):
        tab.keyboard.press("ArrowLeft")
    wait_until(tab, f"document.querySelector('{COUNTS}').textContent === '3 alerts · 2 of 2 events · 1 false'")
    assert tab.locator(".threshold code").text_content() == "alerts.threshold=0.4"
    assert tab.locator("a.row", has_text="street").locator(".n").last.text_content() == "3"
    tab.fill("input[type=number]", "0.3")
    wait_until(tab, f"document.querySelector('{COUNTS}').textContent === '4 alerts · 2 of 2 events · 2 false'")
    tab.locator(".pictures a", has_text="street").first.click()
    tab.wait_for_selector(".plot .main-svg")
    shapes = "document.querySelector('.plot').layout.shapes"
    bands = tab.evaluate(f"{shapes}.filter((s) => s.opacity === 0.95).map((s) => [s.x0, s.x1])")
    assert bands == [[2, 4], [6, 7], [10, 11]]
    assert tab.evaluate(f"{shapes}.at(-1).y0") == 0.3
    tab.locator("#video .threshold button", has_text="reset").click()
    wait_until(tab, f"{shapes}.filter((s) => s.opacity === 0.95).length === 2")
    assert tab.locator("#video .alerts li").count() == 2


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({}, [None] * 6),
        ({"end": 0.3, "padding": 0.7}, [0.0, 0.04, 0.17, 0.34, 0.34, 0.6]),  # in proportion to the threshold
        ({"gap": 1.0, "shortest": 3.0, "padding": 1.0}, [None] * 6),  # lengths that are reached exactly
    ],
    ids=["default", "end", "lengths"],
)
def test_the_alerts_of_the_page_are_those_of_the_rule(
    tab: Any, tmp_path: Path, fields: dict[str, Any], ends: list[float | None]
) -> None:
    rng = np.random.default_rng(3)
    reports = [scored(f"v{k}", (rng.random(60) ** 2).round(3).tolist()) for k in range(6)]
    steps = rng.choice([0.04, 0.04, 0.04, 0.1, 3.0], 600)
    times = FrameTimes(np.concatenate([[0.0], np.cumsum(steps)[:-1]]))
    reports[0] = replace(reports[0], video=replace(reports[0].video, times=times))
    run = finished(tmp_path, reports, {})
    rule = alert_rule(**fields)
    rule.write(tmp_path, rule.find_all(run.evaluation))
    Page(copy=False).write(run)
    opened(tab, tmp_path)
    for threshold, end in zip((0.0, 0.07, 0.29, 0.57, 0.58, 1.0), ends, strict=True):
        tab.fill("input[type=number]", str(threshold))
        wait_until(tab, f"vaa.threshold() === {threshold}")
        shown = tab.evaluate("vaa.run.rows.map((_, k) => vaa.alertsOf(k).map((a) => [a.start, a.stop]))")
        for report, intervals in zip(reports, shown, strict=True):
            at_threshold = alert_rule(**{**fields, "threshold": threshold, "end": end})
            expected = at_threshold.find(run.evaluation, report.video.id)
            assert intervals == [pytest.approx([each.start_seconds, each.stop_seconds], abs=1e-6) for each in expected]


def test_intervals_are_marked_corrected_and_saved_as_labels(tab: Any, run: Run, tmp_path: Path) -> None:
    opened(tab, run.folder, "#video=yard&t=0.5")
    tab.keyboard.press("i")
    tab.keyboard.press("ArrowRight")  # to the end
    tab.keyboard.press("o")
    wait_until(tab, "vaa.marks(1).length === 1")
    tab.fill("[aria-label='class of interval 1']", 'a "quiet", one')
    tab.keyboard.press("Enter")
    tab.fill("[aria-label='end of interval 1']", "0:01.5")
    tab.keyboard.press("Enter")
    wait_until(tab, "vaa.marks(1)[0].stop === 1.5")
    tab.fill("[aria-label='start of interval 1']", "1:00")
    tab.keyboard.press("Enter")
    wait_until(tab, "document.querySelector('.marking [role=status]').textContent.startsWith('Not changed')")
    band = tab.evaluate("document.querySelector('.plot').layout.shapes.find((s) => s.opacity === 0.85)")
    assert (band["x0"], band["x1"]) == (0.5, 1.5)
    opened(tab, run.folder, "#video=street")
    tab.reload()
    tab.wait_for_selector(".marks tr")
    assert tab.locator(".marks tr").count() == 2
    tab.locator(".marks tr", has=tab.locator("input[value='a fall']")).get_by_text("delete").click()
    wait_until(tab, "document.querySelectorAll('.marks tr').length === 1")
    with tab.expect_download() as download:
        tab.get_by_text("save labels.csv").click()
    download.value.save_as(tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text() == (
        'video,start,end,label\nstreet,10.000,11.000,fire\nyard,0.500,1.500,"a ""quiet"", one"\n'
    )
    videos = [report.video for report in run.evaluation.reports.values()]
    read = read_interval_table(tmp_path / "labels.csv", Path(), videos, ())
    assert read["street"].spans == (Span(100, 110, "fire"),)
    assert read["yard"].spans == (Span(5, 15, 'a "quiet", one'),)
    tab.get_by_text("undo all in this video").click()
    wait_until(tab, "document.querySelectorAll('.marks tr').length === 2")
    tab.evaluate("localStorage.clear()")


def test_without_a_video_the_stills_of_its_alerts_are_shown(tab: Any, run: Run) -> None:
    opened(tab, run.folder, "#video=street")
    assert "no video file to play" in tab.locator(".unplayable").text_content()
    tab.locator(".stills button").click()
    wait_until(tab, "/^0:00:02[.]4/.test(document.querySelector('.moment h2').textContent)")


def test_several_definitions_are_lines_with_a_legend(tab: Any, tmp_path: Path) -> None:
    tracks = tuple(
        DefinitionTrack(name, ScoreTrack(np.array([0.1, value]), np.array([0, 10])))
        for name, value in (("a fall", 0.9), ("fire", 0.2))
    )
    Page(copy=False).write(finished(tmp_path, [replace(scored("mine", [0.1, 0.9]), definition_tracks=tracks)], {}))
    opened(tab, tmp_path, "#video=mine")
    lines = tab.evaluate("document.querySelector('.plot').data.map((line) => [line.name, line.line.dash])")
    assert lines == [["score", "solid"], ["a fall", "dash"], ["fire", "dash"]]
    assert tab.locator(".chip[data-definition]").all_text_contents() == ["a fall", "fire"]


def test_every_video_and_every_folded_part_is_printed(tab: Any, tmp_path: Path) -> None:
    reports = [scored(f"clip_{k:03}", [0.1, 0.9, 0.2]) for k in range(120)]
    Page(copy=False).write(finished(tmp_path, reports, {}))
    opened(tab, tmp_path)
    assert tab.locator("a.row").count() < 120
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("a.row").count() == 120
    assert tab.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    bottom = "document.querySelector('a.row:last-of-type').getBoundingClientRect().bottom"
    assert tab.evaluate(f"{bottom} <= document.querySelector('.rows').getBoundingClientRect().bottom + 1")
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("a.row").count() < 120


def test_a_pdf_has_the_sheets_for_every_video(tab: Any, tmp_path: Path) -> None:
    """A row is 46 CSS pixels high, a sheet of A4 1,123."""
    reports = [scored(f"clip_{k:03}", [0.1, 0.2]) for k in range(150)]
    Page(copy=False).write(finished(tmp_path, reports, {}))
    opened(tab, tmp_path)
    sheets = len(re.findall(rb"/Type */Page\b", tab.pdf(format="A4")))
    assert 150 * 46 / 1123 < sheets < 150 * 46 / 1123 + 3
