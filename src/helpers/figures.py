"""One style for every picture; a picture without a text alternative is an error.

Pictures are SVG with text kept as text: they can be searched, stay small, and Chinese labels are drawn with
the reader's own fonts. The style is readable in grey and by colour-blind readers: hues are those of Okabe
and Ito (2008), and whatever colour says, lightness, a marker or a label says too.
"""

from __future__ import annotations

import html
import io
import logging
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import pandas as pd
from cycler import cycler
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from helpers.sentences import in_chinese, say, width, word
from helpers.tables import html_table

# Families that carry Chinese glyphs on macOS, iOS, Windows, Android and Linux come after the Latin ones, so
# each glyph is drawn by the first family on the reader's machine that has it.
FONT_FAMILIES = (
    *(
        "DejaVu Sans",
        "PingFang SC",
        "Hiragino Sans GB",
        "Microsoft YaHei",
        "Noto Sans CJK SC",
        "Noto Sans SC",
    ),
    *("Source Han Sans SC", "WenQuanYi Micro Hei", "sans-serif"),
)

INK, MUTED, GRID, PAPER = "#1f2933", "#52606d", "#d9dee4", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#aa4499"
ACCENTS = (BLUE, ORANGE, GREEN, PURPLE)
SEQUENTIAL = LinearSegmentedColormap.from_list("playbook_blues", ["#f3f7fb", "#9cc3e0", "#2f7fb8", "#0b3c5d"])

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": list(FONT_FAMILIES),
    "font.size": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=ACCENTS),
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}

SHORTEST_ALT = 40
_LABEL = re.compile(r">([^<>]+)</text>")
_DECIMALS = re.compile(r"(\.\d\d)\d+")

# Families of other systems are named for the reader's browser; that they are missing here is expected.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Chart:
    """A picture that says one thing, with the words and the numbers that say it too.

    Attributes
    ----------
    title : str
        What the picture shows, as a statement.
    alt : str
        Text alternative that states the finding; at least 40 characters, of which one of Chinese counts as two.
    data : pandas.DataFrame
        The numbers drawn, small enough to be read as a table.
    figure : matplotlib.figure.Figure
        The drawing.
    note : str
        Units, denominators and source, shown under the picture.
    units : mapping of str to str
        Column of `data` to its unit, as :func:`helpers.tables.html_table` takes it.
    name : str
        Lower-case name of its file, unique in a run.
    members : str
        Column of `data` with the number of members that a row is about, if rows are about groups of members.
    """

    title: str
    alt: str
    data: pd.DataFrame
    figure: Figure = field(repr=False)
    note: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    members: str = ""

    def __post_init__(self) -> None:
        if width(self.alt.strip()) < SHORTEST_ALT:
            raise ValueError(
                f"alt == {self.alt!r}, must state the finding in at least {SHORTEST_ALT} characters."
            )
        if not self.title.strip():
            raise ValueError("title == '', must state what the picture shows.")
        if self.data.empty:
            raise ValueError(f"data of {self.title!r} is empty, must hold the numbers drawn.")

    def svg(self) -> str:
        """Return the drawing as an SVG element with title and description, the same bytes each time."""
        slug = slugify(self.title)
        with mpl.rc_context({**STYLE, "svg.hashsalt": slug}), warnings.catch_warnings():
            # The glyphs are drawn by the browser; only their width is guessed here.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            buffer = io.StringIO()
            undated = {"Date": None, "Creator": None}
            self.figure.savefig(buffer, format="svg", bbox_inches="tight", metadata=undated)
        drawn = _LABEL.sub(
            lambda label: f">{html.escape(word(html.unescape(label[1])))}</text>", buffer.getvalue()
        )
        return _accessible(drawn, f"c{zlib.crc32(slug.encode()):08x}", self.title, self.alt)

    def _repr_html_(self, svg: str = "") -> str:
        note = f'<p class="note">{html.escape(self.note)}</p>' if self.note else ""
        caption, summary = say("Data behind “{title}”", title=self.title), say("Data behind this picture")
        table = html_table(self.data, caption=caption, units=self.units)
        return (
            f'<figure class="chart"><figcaption>{html.escape(self.title)}</figcaption>{svg or self.svg()}{note}'
            f"<details><summary>{summary}</summary>{table}</details></figure>"
        )

    def __repr__(self) -> str:
        return f"Chart: {self.title}"


@dataclass(frozen=True)
class NoChart:
    """What stands where a picture would be when there is too little data to draw it.

    Attributes
    ----------
    title : str
        What the picture would have shown.
    reason : str
        Why it cannot be drawn.
    name : str
        Lower-case name that its file would have.
    """

    title: str
    reason: str
    name: str = ""

    def _repr_html_(self) -> str:
        title, reason = html.escape(self.title), html.escape(self.reason)
        return f'<p class="no-chart"><strong>{title}</strong>: {reason}</p>'

    def __repr__(self) -> str:
        return f"{self.title}: {self.reason}"


def new_figure(width: float = 7.2, height: float = 4.0, **subplots: Any) -> tuple[Figure, Any]:
    """Return a figure in the house style and its axes, outside pyplot so that nothing is shown twice."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(**subplots)


def date_axis(axis: Axis) -> None:
    """Write the days of an axis in the language of the report, as few words as they need."""
    axis.set_major_locator(places := AutoDateLocator(maxticks=8))
    formats: dict[str, Any] = {}
    if in_chinese():
        days, hours = ["%Y年", "%-m月", "%-m月%-d日"], ["%H:%M", "%H:%M", "%H:%M:%S"]
        formats = {
            "formats": days + hours,
            "zero_formats": ["", *days, *hours[1:]],
            "offset_formats": [""] * 6,
        }
    axis.set_major_formatter(ConciseDateFormatter(places, **formats))


def slugify(text: str) -> str:
    """Return a name safe for ids and files; letters of every script are kept."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "chart"


def _accessible(svg: str, slug: str, title: str, alt: str) -> str:
    """Make a drawing fit to be inlined: scalable, described, light, and with ids of its own.

    matplotlib numbers its ids the same way in every drawing, names parts that nothing refers to, and repeats the
    font stack on every label; inlined into one page, the first would be a defect and the rest most of the weight.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    used = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if {(m[1], ""), ("", m[1])} & used else "", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{slug}-", svg)
    # A hundredth of a point is finer than any screen shows.
    svg = re.sub(r' d="[^"]*"', lambda path: _DECIMALS.sub(r"\1", path[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><")
    head, body = svg.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    width = re.search(r'width="([\d.]+)pt"', head)
    assert view_box and width, "matplotlib writes width and viewBox"
    pixels = round(float(width[1]) * 4 / 3)
    families = ", ".join(name if name == "sans-serif" else f"'{name}'" for name in FONT_FAMILIES)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view_box[0]} '
        f'role="img" aria-labelledby="{slug}-title {slug}-desc" stroke-linejoin="round" style="width:100%;'
        f'max-width:{pixels}px;height:auto;background:{PAPER};font-family:{families}">'
        f'<title id="{slug}-title">{html.escape(title)}</title>'
        f'<desc id="{slug}-desc">{html.escape(alt)}</desc>{body.strip()}'
    )
