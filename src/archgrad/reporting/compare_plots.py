"""The pictures of a comparison: boxes of every figure, and anytime curves. Arms keep number and colour throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archgrad.reporting.figures import LINES, panels, render, style

__all__ = ["anytime", "boxes", "colour_of", "mean_curve"]

SIZE = (5.6, 3.3)  # of a panel, in inches


def colour_of(place: int) -> str:
    """Return the colour of an arm."""
    return LINES[place % len(LINES)]


def boxes(values: Sequence[Sequence[float]], heading: str, name: str) -> str | None:
    """Draw a box for every arm, with a dot for every run.

    Args:
        values: of every arm; an arm without any leaves its place empty.
        heading: what the figure is.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there are fewer than two values.
    """
    if sum(len(arm) for arm in values) < 2:
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for place, arm in enumerate(values):
            if not arm:
                continue
            line = {"color": colour_of(place), "linewidth": 1.4}
            axes.boxplot(
                [list(arm)],
                positions=[place + 1],
                widths=0.55,
                showfliers=False,
                boxprops=line,
                whiskerprops=line,
                capprops=line,
                medianprops={**line, "linewidth": 2.4},
            )
            places = [place + 1 + 0.16 * ((k + 0.5) / len(arm) - 0.5) for k in range(len(arm))]
            axes.plot(places, list(arm), "o", color=colour_of(place), markersize=3.5, alpha=0.75)
        numbers = list(range(1, len(values) + 1))
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.set_xlim(0.4, len(values) + 0.6)
        axes.set_xlabel("arm")
        return render(figure, name, f"{heading}: a box for every arm, a dot for every run")


def mean_curve(
    runs: Sequence[Sequence[Mapping[str, Any]]], along: str
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return place, mean, lowest and highest value of an arm's runs, epoch by epoch.

    Args:
        runs: points of every run in the order of their epochs; epochs that not all have are left out.
        along: "seconds" or "images", averaged over the runs too.
    """
    steps = list(zip(*runs, strict=False))
    x = [sum(float(point[along]) for point in step) / len(step) for step in steps]
    values = [[float(point["value"]) for point in step] for step in steps]
    return x, [sum(step) / len(step) for step in values], [min(step) for step in values], [max(step) for step in values]


def anytime(arms: Sequence[Sequence[Sequence[Mapping[str, Any]]]], along: str, heading: str, name: str) -> str | None:
    """Draw what the currently derived cell is worth: the mean of every arm's runs, and from the lowest to the highest.

    Args:
        arms: the runs' points (``seconds``, ``images``, ``value``) of every arm.
        along: "seconds" or "images".
        heading: what the value is.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    if not any(run for arm in arms for run in arm):
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for place, arm in enumerate(arms):
            begun = [run for run in arm if run]
            x, y, low, high = mean_curve(begun, along)
            line = "-" if place < len(LINES) else "--"
            marker = "o" if len(x) == 1 else ""
            axes.plot(x, y, color=colour_of(place), linestyle=line, marker=marker, label=str(place + 1))
            axes.fill_between(x, low, high, color=colour_of(place), alpha=0.15, linewidth=0)
        axes.set_xlabel(f"{along} of search")
        axes.set_ylabel(heading)
        if len(arms) > 1:
            axes.legend(loc="best", ncols=1 + len(arms) // 7)
        return render(figure, name, f"{heading} of the currently derived cell against {along}")
