"""Poolings against a plain double loop in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mlsg.errors import SettingError
from mlsg.model.fast.packing import pack, pool_packed, pool_rows
from mlsg.model.pooling import checked_layer
from mlsg.model.tokens import Tokens

_GENERATOR = torch.Generator().manual_seed(3)
_STATES = tuple(torch.randn(4, 6, 5, generator=_GENERATOR, dtype=torch.float64) for _ in range(4))  # L = 3
_LENGTHS = (6, 1, 2, 4)
_MASK = torch.tensor([[1] * n + [0] * (6 - n) for n in _LENGTHS])
_STARTS = np.concatenate([[0], np.cumsum(_LENGTHS)])
_TOKENS = Tokens(np.zeros(_STARTS[-1], dtype=np.int32), _STARTS, np.zeros(4, dtype=bool), 0)
_PACKED = pack(_TOKENS, range(4), together=False)


def _by_loop(states: tuple[torch.Tensor, ...], pooling: str, layer: int) -> list[list[float]]:
    last = states[layer].tolist()
    first = states[1].tolist()
    rows = []
    for sentence, length in enumerate(_LENGTHS):
        row = []
        for dimension in range(5):
            column = [last[sentence][token][dimension] for token in range(length)]
            if pooling == "cls":
                row.append(column[0])
            elif pooling == "max":
                row.append(max(column))
            elif pooling == "mean":
                row.append(math.fsum(column) / length)
            else:
                both = [(value + first[sentence][token][dimension]) / 2 for token, value in enumerate(column)]
                row.append(math.fsum(both) / length)
        rows.append(row)
    return rows


@pytest.mark.parametrize(
    ("pooling", "layer"),
    [(p, k) for p in ("cls", "mean", "max", "first_last") for k in range(4) if (p, k) != ("first_last", 0)],
)
def test_pool_equals_a_double_loop_at_every_layer(pooling: str, layer: int) -> None:
    found = pool_packed(_STATES, _PACKED, pooling, layer)
    torch.testing.assert_close(found, torch.tensor(_by_loop(_STATES, pooling, layer), dtype=torch.float64))


def test_layer_minus_one_is_the_last() -> None:
    assert torch.equal(pool_packed(_STATES, _PACKED, "mean"), pool_packed(_STATES, _PACKED, "mean", 3))


@pytest.mark.parametrize("how", ["cls", "mean", "max"])
def test_what_stands_in_the_padding_does_not_matter(how: str) -> None:
    spoilt = torch.where(_MASK.unsqueeze(-1) == 1, _STATES[3], torch.full_like(_STATES[3], 1e6))
    assert torch.equal(pool_rows(spoilt, _PACKED, how), pool_rows(_STATES[3], _PACKED, how))


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last"])
def test_gradients_are_those_of_finite_differences(pooling: str) -> None:
    states = tuple(state.clone().requires_grad_() for state in _STATES)
    assert torch.autograd.gradcheck(lambda *given: pool_packed(given, _PACKED, pooling, -1), states)


def test_a_mean_of_half_precision_is_taken_in_float32() -> None:
    tokens = torch.full((1, 4096, 1), 1.0, dtype=torch.bfloat16)
    tokens[0, ::2] = 3.0
    whole = pack(Tokens(np.zeros(4096, dtype=np.int32), np.array([0, 4096]), np.zeros(1, dtype=bool), 0), [0])
    assert pool_rows(tokens, whole, "mean").item() == 2.0


@pytest.mark.parametrize(
    ("layer", "pooling", "said"),
    [(4, "cls", "layers 0 to 3"), (-2, "cls", "layers 0 to 3"), (0, "first_last", "layer 0"), (1, "men", 'mean"')],
)
def test_a_layer_or_pooling_that_does_not_exist_is_refused(layer: int, pooling: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        pool_packed(_STATES, _PACKED, pooling, layer)
    with pytest.raises(SettingError):
        checked_layer(layer, 3, pooling)
