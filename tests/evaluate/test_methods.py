"""Several methods side by side: means against scipy, Holm's correction and p-values against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.cache.workspace import Workspace
from mlsg.errors import SettingError
from mlsg.evaluate.methods import Method, compare_methods, holm, p_value
from mlsg.evaluate.statistics import Resampled
from mlsg.report.comparison import comparison_grid
from tests.evaluate.test_over_seeds import SETS, cosines_of, rho, scores_of

NOISE = {"good": (1, 1, 1), "bad": (9, 9, 9), "alike": (1, 1, 1)}


@pytest.fixture
def methods(workspace: Workspace) -> list[Method]:
    base = cosines_of((5, 5, 5), 99)
    seeds = {"good": (1, 2), "bad": (3, 4), "alike": (5,)}
    return [
        Method(name, [scores_of(workspace, noise, seed, base) for seed in seeds[name]], 12.0, 345.6, "stsb")
        for name, noise in NOISE.items()
    ]


def test_rows_are_means_over_seeds_and_languages(methods: list[Method]) -> None:
    found = compare_methods(methods, "good")
    rows = {row.name: row for row in found.rows}
    for name, seeds in (("good", (1, 2)), ("bad", (3, 4))):
        values = np.array([[rho(cosines_of(NOISE[name], seed), each) for each in SETS] for seed in seeds])
        assert rows[name].mean == pytest.approx(values.mean())
        assert rows[name].spread == pytest.approx(values.mean(1).std(ddof=1))
        assert list(rows[name].by_language.values()) == pytest.approx(list(values.mean(0)))
    assert rows["bad"].difference == pytest.approx(rows["bad"].mean - rows["good"].mean)  # type: ignore[operator]
    assert rows["good"].difference is None
    assert rows["base_cls"].seeds == 1
    assert rows["alike"].spread is None
    assert rows["bad"].p is not None and rows["alike"].p is not None
    assert rows["bad"].p < 0.2 < rows["alike"].p


def test_an_unknown_row_to_compare_with_is_one_line(methods: list[Method]) -> None:
    with pytest.raises(SettingError, match='no row "god" to compare with; did you mean "good"'):
        compare_methods(methods, "god")
    assert compare_methods(methods, "base_cls").against == "base_cls"


def test_the_table_has_a_row_for_each_method_and_its_json_is_rounded(methods: list[Method]) -> None:
    found = compare_methods(methods, "good")
    grid = comparison_grid(found)
    assert [row[0] for row in grid.rows] == ["good", "bad", "alike", "base CLS", "overlap", "idf overlap"]
    assert all(len(row) == len(grid.columns) for row in grid.rows)
    assert grid.rows[0][-2:] == ("12", "346")
    assert grid.rows[-1][-2:] == ("-", "-")
    assert (grid.rows[0][1], grid.rows[-1][1]) == ("stsb", "-")
    document = found.to_dict()
    assert document["schema"] == "mlsg.comparison/1"
    assert document["rows"][0]["mean"] == round(found.rows[0].mean or 0, 6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_its_definition(values: list[float]) -> None:
    named = {str(number): p for number, p in enumerate(values)}
    found = holm(named)
    ordered = sorted(values)
    for name, p in named.items():
        below = [min(1.0, (len(values) - k) * q) for k, q in enumerate(ordered) if q <= p]
        assert found[name] == max(below)


def test_p_is_twice_the_smaller_tail() -> None:
    values = np.array([-1.0, 1.0, 2.0, 3.0, np.nan, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert p_value(Resampled(3.0, values)) == pytest.approx(2 * 2 / 10)
    assert p_value(Resampled(0.0, np.zeros(9))) == 1.0
    assert p_value(Resampled(1.0, np.ones(999))) == pytest.approx(0.002)
