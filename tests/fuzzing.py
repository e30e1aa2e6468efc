"""How many inputs a test of any input tries: a few in `make test`, thousands in `make fuzz`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TIMES = int(os.environ.get("MLSG_FUZZ", "1"))
_Test = TypeVar("_Test", bound=Callable[..., Any])


def tried(few: int) -> Callable[[_Test], _Test]:
    """Have a property test try `few` inputs, under `make fuzz` many times as many, and take the time that it needs."""
    many = settings(
        max_examples=few * _TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )

    def marked(test: _Test) -> _Test:
        return pytest.mark.timeout(600 * _TIMES)(pytest.mark.fuzz(many(test)))

    return marked


def assert_short_line(error: BaseException, most: int) -> None:
    """One line of bounded length, in which nothing steers a terminal."""
    assert not _STEERING.search(str(error))
    assert len(str(error)) < most
