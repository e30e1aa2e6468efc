"""Suites: ways to evaluate an encoder, one file each.

To add one: a file here with a function `evaluate` of the type `Suite`, and one line in `_SUITES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from mlsg.errors import SettingError, nearest

if TYPE_CHECKING:
    from mlsg.config.recipes import EvalSettings
    from mlsg.context import Context
    from mlsg.evaluate.encoder_ref import EncoderRef
    from mlsg.evaluate.results import Scores

    Suite = Callable[[EncoderRef, EvalSettings, Context], Scores]

_SUITES: Mapping[str, str] = {
    "sts": "mlsg.evaluate.suites.sts",
}


def suite(name: str) -> Suite:
    """The function that evaluates an encoder, imported when it is called. Raises SettingError for an unknown name."""
    if name not in _SUITES:
        raise SettingError(f'unknown suite "{name}" in eval.suite', nearest(name, _SUITES))
    return lambda encoder, settings, context: import_module(_SUITES[name]).evaluate(encoder, settings, context)
