"""Turns a matplotlib figure into SVG that lives inside a page: its ink follows the page's, its bytes never vary."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LINES", "legend", "panels", "render", "style"]

# Visible on a light and on a dark page (contrast 3 and more) and told apart by the colour-blind in this order.
LINES = ("#3b82f6", "#d97706", "#16a34a", "#a855f7", "#db2777", "#0891b2", "#78716c", "#65a30d")

_INK = "#123456"  # stands for "the colour of the page's text" until the figure is written

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "grid.alpha": 0.18,
    "grid.color": _INK,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "lines.linewidth": 2.0,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's own face
    "text.color": _INK,
    "text.parse_math": False,  # a name with dollar signs is a name
    "xtick.color": _INK,
    "ytick.color": _INK,
}


@contextmanager
def style() -> Iterator[None]:
    """Within it figures are made in the report's style; matplotlib's own settings are back afterwards."""
    import matplotlib

    # A character that matplotlib's own face lacks is still drawn, by the browser's.
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        matplotlib.rcdefaults()  # a person's own matplotlibrc does not change the report
        matplotlib.rcParams.update(_STYLE)
        yield


def panels(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    left: float = 0.62,
    right: float = 0.15,
    bottom: float = 0.5,
    top: float = 0.1,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of empty panels, and the panels row by row.

    The margins are given instead of measured: to measure every text costs as much time as to draw it.

    Args:
        width: of one panel with its margins, in inches; an inch is 72 units of the drawing.
        height: of one panel with its margins, in inches.
        rows: panels below one another.
        columns: panels beside one another.
        left: margin of a panel for labels, in inches.
        right: margin of a panel, in inches.
        bottom: margin of a panel for labels, in inches.
        top: margin of a panel, for its title if it has one, in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows))
    axes = []
    for row in range(rows):
        for column in range(columns):
            corner = (
                (column * width + left) / (width * columns),
                ((rows - 1 - row) * height + bottom) / (height * rows),
            )
            size = ((width - left - right) / (width * columns), (height - top - bottom) / (height * rows))
            axes.append(figure.add_axes((*corner, *size)))
    return figure, axes


def legend(axes: Axes) -> None:
    """Add a legend if there is more than one labelled line; a label with an underscore in front is shown as well."""
    labels = [str(line.get_label()) for line in axes.lines]
    named = [k for k, label in enumerate(labels) if not re.fullmatch(r"|_child\d+", label)]
    if len(named) > 1:
        axes.legend([axes.lines[k] for k in named], [labels[k].lstrip("_") or "?" for k in named], loc="best")


def render(figure: Figure, name: str, title: str) -> str:
    """Return a figure as one ``<svg>`` element that may stand in a page beside others.

    Args:
        figure: made within :func:`style`, where this must be called too.
        name: unique in the page; every identifier in the drawing starts with it.
        title: what the drawing shows, for people who cannot see it.
    """
    import matplotlib

    from archgrad.reporting.notation import escape

    buffer = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]*)"', rf'href="#{name}-\1"', text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1).replace(_INK, "currentColor")
