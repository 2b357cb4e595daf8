"""The cell over time that searches on series and on text have in common, from a configuration."""

from __future__ import annotations

from archgrad.runs.config import SearchConfig
from archgrad.space.form import Form
from archgrad.supernet.recurrent.supernet import RecurrentSupernet

__all__ = ["recurrent_core"]


def recurrent_core(config: SearchConfig, form: Form, inputs: int, steps: int) -> RecurrentSupernet:
    """Build the recurrent supernet that stands between a task's ends.

    Args:
        config: the whole configuration.
        form: its cell, of a recurrent space, and its units.
        inputs: features of one time step.
        steps: time steps of a window; no weight depends on it.
    """
    settings = config.supernet
    return RecurrentSupernet(
        form.space,
        inputs=inputs,
        hidden=form.width,
        steps=steps,
        evaluation=settings.evaluation,
        node_norm=settings.node_norm is not False,
        dropout_input=settings.dropout_input,
        dropout_hidden=settings.dropout_hidden,
        young=form.young_nodes,
    )
