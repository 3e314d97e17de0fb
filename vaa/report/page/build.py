"""Write the page of a finished run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from vaa.evaluation.evaluation import Evaluation
from vaa.report.alerts import alert_scores, read_alerts
from vaa.report.files import write_bytes
from vaa.report.page.levels import score_levels
from vaa.report.page.media import write_media
from vaa.report.page.overview import run_data, video_row
from vaa.report.page.video import video_data
from vaa.report.runs import Run
from vaa.types import file_name

SCRIPTS = (
    *("theme.js", "dom.js", "threshold.js", "alerts.js", "overview.js", "table.js"),
    *("marks.js", "marking.js", "track.js", "player.js", "video.js", "main.js"),
)
_TEMPLATES = Environment(loader=PackageLoader("vaa.report.page", "assets"), autoescape=True, undefined=StrictUndefined)


@dataclass(frozen=True, kw_only=True)
class Page:
    """`copy`: copy the videos into the run's folder, so that it can be moved; `encoded` as H.264, which browsers play.

    An encoded copy has no sound. A video that cannot be decoded is copied as it is. For a video that browsers do not
    play the page has stills at about equal distances.
    """

    copy: bool | Literal["encoded"]

    def write(self, run: Run, evaluation: Evaluation | None = None) -> Path:
        """Write the page from a run's folder, and return the path of `report.html`; an earlier page is replaced.

        `evaluation`: that of the run, if it is in memory; else it is read from the folder.
        """
        evaluation = evaluation or run.evaluation
        folder, page = run.folder / "page", run.folder / "report.html"
        page.unlink(missing_ok=True)  # it is written last: a page that exists is complete
        shutil.rmtree(folder, ignore_errors=True)
        alerts = _alerts(run.folder)
        rows, levels, definitions = [], [], dict[str, None]()
        for number, video in enumerate(sorted(evaluation.reports, key=file_name)):
            own = sorted(
                (alert for alert in (alerts or {}).get("alerts", []) if alert["video"] == video),
                key=lambda alert: float(alert["start"]),
            )
            rows.append(video_row(evaluation, video, own))
            about = evaluation.reports[video].video
            truth = evaluation.truths.get(video)
            media = write_media(run.folder, replace(about, path=run.cwd / about.path), number, self.copy, truth)
            content = {**video_data(evaluation, video), "alerts": own, **asdict(media)}
            definitions |= dict.fromkeys(definition["name"] for definition in content["definitions"])
            _write_script(folder / "videos" / f"{number}.js", f"vaa.addVideo({number}, ", content)
            if alerts:
                scores = alert_scores(evaluation, video, alerts.get("scores", "shown"))
                levels.append(score_levels(about, scores))
        if alerts:
            _write_script(folder / "levels.js", "vaa.addLevels(", {"videos": levels})
        content = {**run_data(run, evaluation, rows, alerts), "definitions": list(definitions)}
        _write_script(folder / "run.js", "vaa.start(", content)
        _write_assets(folder)
        text = _TEMPLATES.get_template("report.html.j2").render(run=content, scripts=SCRIPTS)
        write_bytes(page, text.encode())
        return page


def _alerts(folder: Path) -> dict[str, Any] | None:
    """The content of `alerts.json`, with each still as an address for the browser, None where there is no such file."""
    content = read_alerts(folder)
    for alert in (content or {}).get("alerts", []):
        still = alert.get("still")
        alert["still"] = quote(still) if still and (folder / still).is_file() else None
    return content


def _write_assets(folder: Path) -> None:
    """The chart library, the page's own scripts and its style."""
    from plotly.offline import get_plotlyjs

    write_bytes(folder / "plotly.js", get_plotlyjs().encode())
    for name in (*SCRIPTS, "page.css"):
        write_bytes(folder / name, files("vaa.report.page").joinpath("assets", name).read_bytes())


def _write_script(file: Path, call: str, value: Mapping[str, Any]) -> None:
    """Data as a script, since a page opened from disk may not fetch; no text in it can end the script or open a tag."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    write_bytes(file, f"{call}{text});\n".encode())
