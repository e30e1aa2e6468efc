"""The key of an artefact: all that can change the result is in it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlsg.cache.artefact import Request

REQUEST = Request("sentences", 1, "tr/my text", {"limit": 3}, {}, {"a.txt": "00"})


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, settings={"limit": 4}),
        replace(REQUEST, inputs={"sentences": "ab"}),
        replace(REQUEST, fingerprints={"a.txt": "01"}),
        replace(REQUEST, format=2),
        replace(REQUEST, stage="scores"),
    ],
)
def test_the_key_follows_everything_that_can_change_the_result(other: Request) -> None:
    assert other.key != REQUEST.key


def test_the_key_ignores_the_name_and_the_order_of_settings() -> None:
    one = replace(REQUEST, settings={"a": 1, "b": 2})
    two = replace(REQUEST, settings={"b": 2, "a": 1}, name="other")
    assert one.key == two.key


def test_a_setting_that_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError):
        _ = replace(REQUEST, settings={"path": Path()}).key
