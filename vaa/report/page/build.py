"""Write the page of a finished run, from nothing but the run's folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from vaa.report import alerts
from vaa.report.files import put
from vaa.report.page.glance import Glance
from vaa.report.page.story import story
from vaa.report.runs import Run

SCRIPTS = ("theme.js", "dom.js", "glance.js", "table.js", "track.js", "player.js", "video.js", "main.js")
_TEMPLATES = Environment(loader=PackageLoader("vaa.report.page", "assets"), autoescape=True, undefined=StrictUndefined)


@dataclass(frozen=True)
class Page:
    """`copy`: the videos are copied in, so that the run's folder can be carried elsewhere."""

    copy: bool

    def write(self, run: Run) -> Path:
        """The path of `report.html`; what an earlier page left beside it is replaced."""
        folder, page = run.folder / "page", run.folder / "report.html"
        page.unlink(missing_ok=True)  # it comes last: one that is there is whole
        shutil.rmtree(folder, ignore_errors=True)
        warned = alerts.read(run.folder)
        glance = Glance(run, warned)
        for number, video in enumerate(run.videos):
            report, scores, labels = run.report(video), run.scores(video), run.labels(video)
            glance.add(video, report, scores, labels)
            shown = story(report, run.truth["videos"].get(video), glance.alerts(video))
            shown["sources"] = self._sources(run.folder, run.cwd / report["video"]["path"], number)
            _script(folder / "videos" / f"{number}.js", f"vaa.loaded({number}, ", shown)
        whole = glance.whole()
        _script(folder / "run.js", "vaa.begin(", whole)
        _static(folder)
        text = _TEMPLATES.get_template("report.html.j2").render(whole=whole, scripts=SCRIPTS)
        put(page, text.encode())
        return page

    def _sources(self, folder: Path, video: Path, number: int) -> list[str]:
        """Where the browser finds the video: beside the page, or relative to it and, if that fails, on this machine."""
        if not video.is_file():
            return []
        if self.copy:
            copied = folder / "page" / "media" / f"{number}{video.suffix.lower()}"
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(video, copied)
            return [quote(copied.relative_to(folder).as_posix())]
        absolute = video.resolve()
        try:
            relative = quote(Path(os.path.relpath(absolute, folder.resolve())).as_posix())
        except ValueError:  # on another drive
            return [absolute.as_uri()]
        return [relative, absolute.as_uri()]


def _static(folder: Path) -> None:
    """The chart library, the page's own scripts and its style."""
    from plotly.offline import get_plotlyjs

    put(folder / "plotly.js", get_plotlyjs().encode())
    for name in (*SCRIPTS, "page.css"):
        put(folder / name, files("vaa.report.page").joinpath("assets", name).read_bytes())


def _script(file: Path, before: str, value: Mapping[str, Any]) -> None:
    """Data as a script, since a page from disk may fetch nothing; no text in it can end the script or open a tag."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in ("<", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    put(file, f"{before}{text});\n".encode())
