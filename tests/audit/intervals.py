"""Coverage of the 95% intervals: samples of a distribution whose Spearman correlation is known."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlsg.evaluate.statistics import resampled
from tests.audit.finding import Finding

_SAMPLES, _PAIRS, _RESAMPLES = 400, 250, 400
_CORRELATIONS = (0.3, 0.7)


def findings() -> Iterator[Finding]:
    """How far the share of intervals that hold the true value is from 95%; allowed: what 400 samples leave open.

    Of a bivariate normal distribution with correlation r, Spearman's is 6 / pi asin(r / 2) (Kruskal 1958).
    """
    for correlation in _CORRELATIONS:
        true = 6 / math.pi * math.asin(correlation / 2)
        generator = np.random.default_rng(0)
        held = [_holds(true, *_sample(generator, correlation)) for _ in range(_SAMPLES)]
        yield Finding(f"coverage at Spearman {true:.2f}: {np.mean(held):.3f}", abs(float(np.mean(held)) - 0.95), 0.03)


def _sample(generator: np.random.Generator, correlation: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, noise = generator.standard_normal((2, _PAIRS))
    return first, correlation * first + math.sqrt(1 - correlation**2) * noise


def _holds(true: float, first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    found = resampled(first, second, resamples=_RESAMPLES)
    assert found is not None and found.interval is not None
    low, high = found.interval
    return low <= true <= high
