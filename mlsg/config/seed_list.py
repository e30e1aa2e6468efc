"""Which seeds a command line names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlsg.errors import SettingError

_FORM = "write them as 1,2,5 or 1-8"


def parse_seeds(text: str) -> tuple[int, ...]:
    """`"1-3,7"` -> (1, 2, 3, 7). Raises SettingError for anything else, and for a seed named twice."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part, re.ASCII)
        if match is None:
            raise SettingError(f'"{text}" names no seeds', _FORM)
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not found or len(set(found)) < len(found):
        raise SettingError(f'"{text}" names {"a seed twice" if found else "no seeds"}', _FORM)
    return tuple(found)


def seeds_to_train(seeds: str | None, seed: int | None, jobs: int) -> tuple[int, ...]:
    """Those of `mlsg train`, none without --seeds. Raises SettingError for options that do not go together."""
    if seeds is None:
        if jobs > 1:
            raise SettingError("--jobs without --seeds", "name the seeds, as 1,2,5 or 1-8")
        return ()
    if seed is not None:
        raise SettingError("--seed and --seeds", "give one of them")
    return parse_seeds(seeds)


def seeds_to_evaluate(seeds: str | None, encoders: Sequence[str], pooling: str | None) -> tuple[int, ...]:
    """Those of `mlsg eval`, none without --seeds. Raises SettingError for options that do not go together."""
    if seeds is None:
        return ()
    if encoders or pooling:
        raise SettingError(
            f"--seeds and {'--encoder' if encoders else '--pooling'}", "--seeds is for encoders that mlsg trained here"
        )
    return parse_seeds(seeds)
