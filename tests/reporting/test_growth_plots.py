"""The report shows how a cell grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archgrad.reporting.growth_plots import grown_cells, growths, sizes
from archgrad.reporting.record import Record
from archgrad.reporting.report import render_report


def architecture(nodes: int) -> dict[str, Any]:
    edges = [[0, node, "tanh"] for node in range(1, nodes + 1)]
    cell = {"inputs": 1, "nodes": nodes, "edges": edges, "output": [*range(1, nodes + 1)], "output_combine": "mean"}
    return {"schema": 1, "space": "darts-rnn", "cells": {"recurrent": cell}}


def size(nodes: int) -> dict[str, Any]:
    return {"cells": {"recurrent": {"nodes": nodes}}, "parameters": 10 * nodes, "mixed_edges": nodes}


def a_record(undone: bool = False) -> Record:
    grown = {"event": "grown", "phase": "search", "epoch": 2, "what": "grown", "step": "node"}
    events: list[dict[str, Any]] = [grown | {"before": size(2), "after": size(3)}]
    for epoch in (1, 2, 3, 4):
        events.append({"event": "epoch", "phase": "search", "epoch": epoch, "loss": 1.0 / epoch})
        events[-1]["architecture"] = architecture(2 if epoch < 3 else 3)
    if undone:
        back = {"event": "grown", "phase": "search", "epoch": 3, "what": "undone", "before": size(3), "after": size(2)}
        events.append(back)
    return Record(Path("run"), events=events)


def test_the_size_is_drawn_and_the_cells_on_both_sides_of_each_growth() -> None:
    record = a_record(undone=True)
    assert [event["what"] for event in growths(record)] == ["grown", "undone"]
    figure = sizes(record, "sizes")
    assert figure is not None
    assert figure.startswith("<svg")
    (title, drawings), (other, _) = grown_cells(record)
    assert (title, other) == ("After epoch 2: a new node", "After epoch 3: undone")
    assert len(drawings) == 2
    assert drawings[0] != drawings[1]
    page = render_report([record])
    assert "How it grew" in page
    assert "Size over the epochs" in page


def test_a_search_that_did_not_grow_shows_nothing_of_it() -> None:
    record = a_record()
    record.events = [event for event in record.events if event["event"] != "grown"]
    assert sizes(record, "sizes") is None
    assert grown_cells(record) == []
    assert "How it grew" not in render_report([record])


def test_damaged_events_do_not_stop_the_report() -> None:
    record = a_record()
    record.events += [{"event": "grown"}, {"event": "grown", "epoch": 3, "after": 7, "step": None}]
    assert sizes(record, "sizes") is not None
    assert render_report([record])
