"""Poolings against a plain double loop in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Pooling

from mlsg.errors import SettingError
from mlsg.model.fast.packing import pack, pool_packed, pool_rows
from mlsg.model.folder_keys import LAYER_MEANS, MODES
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
    chosen = {"first_last": [1, layer], "embedding_last": [0, layer], "last_two": [layer - 1, layer]}.get(pooling, [])
    chosen = chosen or [1, 2, 3][:layer]
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
            elif pooling == "mean_sqrt_len_tokens":
                row.append(math.fsum(column) / math.sqrt(length))
            elif pooling == "weightedmean":
                weighted = [value * (place + 1) for place, value in enumerate(column)]
                row.append(math.fsum(weighted) / math.fsum(range(1, length + 1)))
            elif pooling == "lasttoken":
                row.append(column[-1])
            else:
                summed = [math.fsum(states[k][sentence, token, dimension] for k in chosen) for token in range(length)]
                row.append(math.fsum(summed) / length / len(chosen))
        rows.append(row)
    return rows


@pytest.mark.parametrize(
    ("pooling", "layer"),
    [(p, k) for p in (*MODES, *LAYER_MEANS) for k in range(4) if k or p not in LAYER_MEANS],
)
def test_pool_equals_a_double_loop_at_every_layer(pooling: str, layer: int) -> None:
    found = pool_packed(_STATES, _PACKED, pooling, layer)
    torch.testing.assert_close(found, torch.tensor(_by_loop(_STATES, pooling, layer), dtype=torch.float64))


def test_layer_minus_one_is_the_last() -> None:
    assert torch.equal(pool_packed(_STATES, _PACKED, "mean"), pool_packed(_STATES, _PACKED, "mean", 3))


def test_joined_poolings_stand_side_by_side_in_their_order() -> None:
    expected = torch.cat([pool_packed(_STATES, _PACKED, how) for how in ("max", "cls", "max")], dim=1)
    assert torch.equal(pool_packed(_STATES, _PACKED, "max+cls+max"), expected)


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("together", [True, False])
def test_without_a_prompt_the_other_tokens_are_pooled(how: str, together: bool) -> None:
    """By sentence-transformers' own module; a sentence of one token has none left."""
    packed = pack(_TOKENS, range(4), together=together, budget=6)
    states = torch.zeros(*packed.ids.shape, 5, dtype=torch.float64)
    for sentence, first in enumerate(packed.firsts.tolist()):
        for token in range(_LENGTHS[sentence]):
            states.flatten(0, 1)[first + token] = _STATES[3][sentence, token]
    features = {"token_embeddings": _STATES[3], "attention_mask": _MASK, "prompt_length": 2}
    expected = Pooling(5, how, include_prompt=False)(features)["sentence_embedding"]
    torch.testing.assert_close(pool_rows(states, packed.after(2), how), expected)


@pytest.mark.parametrize("how", MODES)
def test_what_stands_in_the_padding_does_not_matter(how: str) -> None:
    spoilt = torch.where(_MASK.unsqueeze(-1) == 1, _STATES[3], torch.full_like(_STATES[3], 1e6))
    assert torch.equal(pool_rows(spoilt, _PACKED, how), pool_rows(_STATES[3], _PACKED, how))


@pytest.mark.parametrize("pooling", [*MODES, *LAYER_MEANS, "cls+mean"])
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
    [
        *((4, "cls", "layers 0 to 3"), (-2, "cls", "layers 0 to 3"), (0, "first_last", "layer 0"), (1, "men", 'mean"')),
        *((1, "cls+first_last", "unknown pooling"), (1, "cls+", "unknown pooling"), (1, "", "unknown pooling")),
    ],
)
def test_a_layer_or_pooling_that_does_not_exist_is_refused(layer: int, pooling: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        pool_packed(_STATES, _PACKED, pooling, layer)
    with pytest.raises(SettingError):
        checked_layer(layer, 3, pooling)
