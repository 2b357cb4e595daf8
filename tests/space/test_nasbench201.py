"""The space of NAS-Bench-201 and the names of its cells."""

from __future__ import annotations

import pytest

from archgrad import space
from archgrad.architecture import Architecture, Cell, Edge
from archgrad.errors import InputError
from archgrad.published import published
from archgrad.space.nasbench201_strings import all_strings, canonical, read_string, write_string

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


def test_the_cell_has_four_nodes_and_six_edges() -> None:
    made = space.get("nasbench201")
    cell = made.cells["normal"]
    assert cell.edges == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert (cell.inputs, cell.output, cell.single, cell.pool_norm) == (1, (3,), True, False)
    assert len(cell.operations) == 5
    assert space.get("nasbench201", none=False).cells["normal"].operations == cell.operations[1:]


@pytest.mark.parametrize(("cells", "stages"), [(15, (5, 5, 5)), (3, (1, 1, 1)), (8, (2, 3, 3)), (2, (2,))])
def test_cells_are_dealt_to_three_stages_that_double_the_channels(cells: int, stages: tuple[int, ...]) -> None:
    layers = space.get("nasbench201").skeleton.layers(cells, 4)
    assert [layer.channels for layer in layers] == [4 * 2**k for k, size in enumerate(stages) for _ in range(size)]
    starts = [sum(stages[:k]) for k in range(1, len(stages))]
    assert [index for index, layer in enumerate(layers) if layer.residual] == starts
    assert {(layer.cell, layer.reduction) for layer in layers} == {("normal", False)}


def test_every_string_is_read_and_written_back() -> None:
    strings = list(all_strings())
    assert len(set(strings)) == 15_625
    assert [write_string(read_string(text)) for text in strings] == strings


def test_a_string_is_the_architecture_that_it_names() -> None:
    architecture = read_string(BEST)
    assert [(edge.source, edge.target, edge.operation) for edge in architecture.cells["normal"].edges] == [
        (0, 1, "conv_3x3"),
        (0, 2, "conv_3x3"),
        (1, 2, "conv_3x3"),
        (0, 3, "skip_connect"),
        (1, 3, "conv_3x3"),
        (2, 3, "conv_1x1"),
    ]
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    shuffled = "|nor_conv_3x3~0|+|nor_conv_3x3~1|nor_conv_3x3~0|+|nor_conv_1x1~2|skip_connect~0|nor_conv_3x3~1|"
    assert read_string(shuffled) == architecture
    assert read_string("|none~0|").cells["normal"] == Cell(1, 1, (), (1,), "last")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("|nor_conv_3x3~0", "no architecture string.*it is .operation~source"),
        ("|none~0|+|none~0|", "node 2 must name each of its sources 0, 1 once"),
        ("|none~0|+|none~0|none~0|", "node 2 must name each"),
        ("|nor_conv_3x3~1|", "node 1 must name each"),
        ("|nor_conv_5x5~0|", "Unknown operation 'nor_conv_5x5'.*Did you mean 'nor_conv_3x3'"),
    ],
)
def test_other_strings_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_string(text)


def test_what_no_string_can_say_is_refused() -> None:
    twice = Cell(1, 1, (Edge(0, 1, "conv_1x1"), Edge(0, 1, "conv_3x3")), (1,), "last")
    weighted = Cell(1, 1, (Edge(0, 1, "conv_1x1"),), (1,), "last", weights=(0.5,))
    for cell, message in ((twice, "from node 0 to node 1 carries several"), (weighted, "weights")):
        with pytest.raises(InputError, match=message):
            write_string(Architecture("nasbench201", {"normal": cell}))
    with pytest.raises(InputError, match="space darts"):
        write_string(published("DARTS_V2"))


def test_there_are_as_many_classes_of_isomorphic_cells_as_published() -> None:
    assert len({canonical(text) for text in all_strings()}) == 6_466


def computed(text: str) -> tuple[str, ...]:
    """Return the terms of what a cell computes, sums inside of sums dissolved and zeros dropped."""
    values: list[tuple[str, ...]] = [("x",)]
    for part in text.split("+"):
        terms: list[str] = []
        for value, entry in zip(values, part.strip("|").split("|"), strict=True):
            name = entry.partition("~")[0]
            if name == "skip_connect":
                terms += value
            elif name != "none" and value:
                terms.append(f"{name}({'+'.join(value)})")
        values.append(tuple(sorted(terms)))
    return values[-1]


def test_isomorphic_cells_compute_the_same() -> None:
    functions: dict[str, set[tuple[str, ...]]] = {}
    for text in all_strings():
        functions.setdefault(canonical(text), set()).add(computed(text))
    assert all(len(found) == 1 for found in functions.values())
    assert len({function for found in functions.values() for function in found}) == 4_930  # as the docs say


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        # nothing comes of a node that nothing leads to
        ("|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|",) * 2 + (True,),
        (
            "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
            "|none~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
            True,
        ),
        # two paths of the same two operations
        (
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|",
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|",
            False,
        ),
        (BEST, BEST.replace("nor_conv_1x1~2", "nor_conv_3x3~2"), False),
    ],
)
def test_cells_that_compute_the_same_are_recognised(one: str, other: str, alike: bool) -> None:
    assert (canonical(one) == canonical(other)) is alike
