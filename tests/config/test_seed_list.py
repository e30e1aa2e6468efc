"""Which seeds a command line names, and which options go with them."""

from __future__ import annotations

import pytest

from mlsg.config.seed_list import parse_seeds, seeds_to_evaluate, seeds_to_train
from mlsg.errors import SettingError


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (3,)), ("1,2,5", (1, 2, 5)), ("1-4", (1, 2, 3, 4)), ("2-3, 8", (2, 3, 8))]
)
def test_seeds_are_listed_or_a_range(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,,2", "4-1", "-3", "1-", "1-2-3", "1,1", "1-3,2", "1.5"])
def test_what_names_no_seeds_or_one_twice_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="1-8"):
        parse_seeds(text)


def test_options_that_do_not_go_together_are_refused() -> None:
    assert seeds_to_train(None, 3, 1) == seeds_to_evaluate(None, ["x"], "cls") == ()
    assert seeds_to_train("1-2", None, 2) == seeds_to_evaluate("1-2", [], None) == (1, 2)
    for call, word in (
        (lambda: seeds_to_train("1-2", 3, 1), "--seed and --seeds"),
        (lambda: seeds_to_train(None, None, 2), "without --seeds"),
        (lambda: seeds_to_evaluate("1-2", ["folder"], None), "--encoder"),
        (lambda: seeds_to_evaluate("1-2", [], "mean"), "--pooling"),
    ):
        with pytest.raises(SettingError, match=word):
            call()
