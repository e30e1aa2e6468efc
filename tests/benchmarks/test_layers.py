from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.layers import between, layer_vectors, least_alike, random_cosines
from tests.tiny_models import tiny_bert


def test_figures_are_those_of_loops() -> None:
    layers = np.random.default_rng(1).normal(size=(3, 7, 4)).astype(np.float32)
    layers /= np.linalg.norm(layers, axis=-1, keepdims=True)
    for layer, found in enumerate(random_cosines(layers)):
        expected = [float(layers[layer, row] @ layers[layer, row - 1]) for row in range(7)]
        assert found == pytest.approx(sum(expected) / 7, abs=1e-6)
    distances = [
        1 - float(layers[a, row] @ layers[b, row]) for a in range(3) for b in range(a + 1, 3) for row in range(7)
    ]
    assert between(layers) == pytest.approx(sum(distances) / len(distances), abs=1e-6)


def test_the_layer_is_one_of_the_base(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, layers=3)
    assert layer_vectors(str(folder)).shape[0] == 4
    assert least_alike(str(folder)) in range(4)
