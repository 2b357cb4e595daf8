"""A grid of known numbers has the effects that were put into it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from benchmarks.factors import GAP, MEASURES, SIZE, effects, main, read_grid, spreads

from archgrad.errors import InputError

CHILD = MEASURES[1]


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """b takes 10 points from the child and halves the size, y adds 5 points; seeds differ by one point in x alone."""
    lines = ["arm,seed,validation,derived_validation,parameters,choice_steps,stable_since"]
    for first, second, seed in product("ab", "xy", range(3)):
        child = 0.5 - 0.1 * (first == "b") + 0.05 * (second == "y") + 0.01 * seed * (second == "x")
        lines.append(f"{first}-{second},{seed},0.9,{child},{1000 * (seed + 1) // (1 + (first == 'b'))},30,{5 + seed}")
    (tmp_path / "runs.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_level_is_held_against_the_first_one_of_its_factor_in_equal_pairs(grid: Path) -> None:
    runs = read_grid(grid)
    (points,), (gap,), (size,) = (effects(runs, 0, measure) for measure in (CHILD, GAP, SIZE))
    assert (points.level, points.against, points.pairs) == ("b", "a", 6)
    assert points.mean == pytest.approx(-10)
    assert gap.mean == pytest.approx(10)
    assert gap.interval == pytest.approx((10, 10))
    assert size.mean == pytest.approx(0.5)
    assert size.interval == pytest.approx((0.5, 0.5))


def test_pairs_differ_in_one_factor_alone(grid: Path) -> None:
    (found,) = effects(read_grid(grid), 1, CHILD)
    assert found.mean == pytest.approx(5 - (0 + 1 + 2) / 3)
    assert found.interval is not None
    assert 3 <= found.interval[0] <= found.mean <= found.interval[1] <= 5


def test_a_run_without_its_partner_is_left_out(grid: Path) -> None:
    runs = [run for run in read_grid(grid) if (run["arm"], run["seed"]) != ("a-x", 2)]
    assert effects(runs, 0, CHILD)[0].pairs == 5


def test_the_spread_is_that_over_the_seeds(grid: Path) -> None:
    assert spreads(read_grid(grid), 1, CHILD) == pytest.approx({"x": 1.0, "y": 0.0})


def test_a_part_of_the_grid_is_printed_and_drawn(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(grid), "--only", "b-*", "--figure", str(grid / "grid.svg")])
    printed = capsys.readouterr().out
    assert "| b, y | 90.0 ± 0.0 | 45.0 ± 0.0 | 45.0 ± 0.0 | 1,000 ± 500 | 30 ± 0 | 6.0 ± 1.0 |" in printed
    assert "| y, against x | 3 |" in printed
    assert "a, x" not in printed
    assert "<svg" in (grid / "grid.svg").read_text()


def test_two_arms_of_any_name_are_compared_by_their_seeds(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(grid), "--pair", "b-y:a-x"])
    printed = capsys.readouterr().out
    assert (
        "| b-y, against a-x | 3 | 0.0 [0.0, 0.0] | -6.0 [-7.0, -5.0] | 6.0 [5.0, 7.0] | 0.50 [0.50, 0.50] |" in printed
    )
    with pytest.raises(InputError, match="'b-y'"):
        main([str(grid), "--pair", "b-z:a-x"])


def test_a_folder_without_a_grid_is_refused(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"archgrad compare --run"):
        read_grid(tmp_path / "nothing")
    with pytest.raises(InputError, match="'c-\\*' finds none"):
        read_grid(grid, "c-*")
