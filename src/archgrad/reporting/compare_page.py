"""Writes compare.html: the table of a comparison with its intervals and tests, box plots, anytime curves, every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archgrad._version import __version__
from archgrad.reporting.compare_plots import anytime, boxes, colour_of
from archgrad.reporting.compare_statistics import main_figure
from archgrad.reporting.notation import printable

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["render_comparison"]


def render_comparison(
    title: str,
    figures: Mapping[str, str],
    table: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    points: Sequence[Mapping[str, Any]],
) -> str:
    """Return the page of a comparison; it asks no network.

    Args:
        title: of the page.
        figures: name -> heading, in the order in which they are shown.
        table: an entry per arm with what :func:`~archgrad.reporting.compare_statistics.describe` says of each figure.
        runs: a row per run.
        points: of the anytime curves, in the order of their epochs.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("archgrad.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    names = [str(entry["arm"]) for entry in table]
    shown = {name: heading for name, heading in figures.items() if any(name in entry for entry in table)}
    main = main_figure(list(shown))
    metric = next((str(row["metric"]) for row in runs if "metric" in row), "")
    return environment.get_template("compare.html.j2").render(
        title=title,
        version=__version__,
        arms=[(place + 1, name, colour_of(place)) for place, name in enumerate(names)],
        main=_headed(main, shown, metric) if main else "",
        verdicts=[_verdict(entry[main]) if main and main in entry else None for entry in table],
        headings=list(shown.values()),
        table=[[_spread(entry.get(name)) for name in shown] for entry in table],
        curves=[_safe(svg) for svg in _curves(names, points, f"{metric} of the derived cell") if svg],
        boxes=[(heading, _safe(svg)) for heading, svg in _boxes(names, shown, runs, metric) if svg],
        runs=[
            (row["arm"], row["seed"], [_amount(row.get(name)) for name in shown], row.get("error", "")) for row in runs
        ],
    )


def _headed(name: str, shown: Mapping[str, str], metric: str) -> str:
    """Return a figure's heading, with the metric where it is one."""
    measured = name in ("validation", "derived_validation", "supernet", "child", "random_children", "test")
    return f"{shown[name]} {metric}" if measured else shown[name]


def _curves(names: Sequence[str], points: Sequence[Mapping[str, Any]], heading: str) -> list[str | None]:
    grouped: list[dict[int, list[Mapping[str, Any]]]] = [{} for _ in names]
    for point in points:
        grouped[names.index(str(point["arm"]))].setdefault(int(point["seed"]), []).append(point)
    arms = [list(arm.values()) for arm in grouped]
    return [anytime(arms, along, heading, f"anytime-{along}") for along in ("seconds", "images")]


def _boxes(
    names: Sequence[str], shown: Mapping[str, str], runs: Sequence[Mapping[str, Any]], metric: str
) -> list[tuple[str, str | None]]:
    drawn = []
    for name in shown:
        values = [
            [float(row[name]) for row in runs if row["arm"] == arm and row.get(name) is not None] for arm in names
        ]
        heading = _headed(name, shown, metric)
        drawn.append((heading, boxes(values, heading, f"box-{name}")))
    return drawn


def _verdict(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the words of the first table's row."""
    interval = "–" if entry["low"] is None else f"{_amount(entry['low'])} to {_amount(entry['high'])}"
    return {
        "mean": _spread(entry),
        "interval": interval,
        "best": _amount(entry["best"]),
        "rank": _amount(entry["rank"]),
        "p": _amount(entry["p"]),
        "p_holm": _amount(entry["p_holm"]),
        "runs": str(entry["runs"]),
    }


def _spread(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "–"
    return _amount(entry["mean"]) + ("" if entry["spread"] is None else f" ± {entry['spread']:.2g}")


def _amount(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _safe(svg: str) -> Markup:
    from markupsafe import Markup

    return Markup(svg)  # made here, every name in it is escaped
