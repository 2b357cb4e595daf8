"""The pictures of a run over its epochs: losses, what the supernet and the derived cell are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archgrad.reporting.curves import curve, draw_line, finish, metric_names, step_curve
from archgrad.reporting.figures import LINES, panels, render, style
from archgrad.reporting.growth_plots import mark_growths
from archgrad.reporting.record import Record, finite

__all__ = ["comparison", "losses", "training_loss", "training_scores", "validation"]

SIZE = (5.6, 3.3)  # of a panel, in inches
TITLE = 0.28  # room for a panel's title, in inches


def losses(record: Record, name: str) -> str | None:
    """Draw the loss of the weights and that of the choices: every logged step faintly, the epochs' means over them.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs, steps = record.epochs("search"), record.steps("search")
    keys = {"loss": "weights", "choice_loss": "choices"}
    if not finite(event.get(key) for event in (*epochs, *steps) for key in keys):
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for colour, (key, label) in zip(LINES, keys.items(), strict=False):
            x, y = step_curve(steps, key)
            if finite(y):
                draw_line(axes, x, y, color=colour, alpha=0.35, linewidth=1.0, label="" if epochs else label)
            if finite(event.get(key) for event in epochs):
                draw_line(axes, *curve(epochs, key), color=colour, label=label)
        mark_growths(axes, record)
        finish(axes, "loss")
        return render(figure, name, "Loss over the epochs of the search")


def validation(record: Record, name: str) -> str | None:
    """Draw every validation metric of the supernet against the same metric of the cell that would be derived.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("search")
    parts = {"validation": "supernet", "derived_validation": "derived cell"}
    metrics = [metric for metric in metric_names(epochs, parts) if metric != "loss"] or metric_names(epochs, parts)
    if not metrics:
        return None
    with style():
        figure, grid = panels(*SIZE, rows=len(metrics))
        for axes, metric in zip(grid, metrics, strict=True):
            for colour, (part, label) in zip(LINES, parts.items(), strict=False):
                draw_line(axes, *curve(epochs, part, metric), color=colour, label=label)
            mark_growths(axes, record)
            finish(axes, f"validation {metric}")
        return render(figure, name, "Validation of the supernet and of the derived cell over the epochs")


def training_loss(record: Record, name: str) -> str | None:
    """Draw the loss of the derived network's training, and that of its validation.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("train")
    curves = {"training": curve(epochs, "loss"), "validation": curve(epochs, "validation", "loss")}
    return _curves(curves, "loss", name, "Loss over the epochs of the training")


def training_scores(record: Record, name: str) -> str | None:
    """Draw the derived network's accuracy on the examples that it trains on, and every other metric of its validation.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("train")
    metrics = [metric for metric in metric_names(epochs, ["validation"]) if metric != "loss"]
    curves = {"training": curve(epochs, "train_accuracy")}
    if len(metrics) > 1 and not finite(curves["training"][1]):
        return None  # errors in several units, each with a panel of its own: forecast_plots.learning_curves
    for metric in metrics:
        curves["validation" if len(metrics) == 1 else f"validation {metric}"] = curve(epochs, "validation", metric)
    label = metrics[0] if len(metrics) == 1 else "accuracy" if not metrics else ""
    return _curves(curves, label, name, "Accuracy over the epochs of the training")


def _curves(curves: Mapping[str, tuple[list[float], list[float]]], label: str, name: str, title: str) -> str | None:
    """Draw the curves that have anything to show into one panel."""
    if not any(finite(y) for _, y in curves.values()):
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for colour, (words, (x, y)) in zip(LINES, curves.items(), strict=False):
            if finite(y):
                draw_line(axes, x, y, color=colour, label=words)
        finish(axes, label)
        return render(figure, name, title)


def comparison(records: Sequence[Record], names: Sequence[str], name: str) -> str | None:
    """Draw the validation of several searches into one picture: the supernet, and the derived cell beside it.

    Args:
        records: the runs.
        names: what each is called.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when fewer than two of them have a validation to show.
    """
    parts = {"validation": "supernet", "derived_validation": "derived cell"}
    counts: dict[str, int] = {}
    for record in records:
        for metric in metric_names(record.epochs("search"), parts):
            counts[metric] = counts.get(metric, 0) + 1
    common = [metric for metric, count in counts.items() if count > 1]
    if not common:
        return None
    metric = next((metric for metric in common if metric != "loss"), common[0])
    with style():
        figure, grid = panels(SIZE[0], SIZE[1] + 0.15 * len(records), columns=2, top=TITLE)
        for axes, (part, label) in zip(grid, parts.items(), strict=True):
            for k, (record, run) in enumerate(zip(records, names, strict=True)):
                x, y = curve(record.epochs("search"), part, metric)
                draw_line(axes, x, y, color=LINES[k % len(LINES)], linestyle="-" if k < len(LINES) else "--", label=run)
            finish(axes, f"validation {metric}")
            axes.set_title(label)
        return render(figure, name, f"Validation {metric} of all runs over the epochs")
