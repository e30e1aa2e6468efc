"""Anchors of packed sentences against padded ones with all hidden states, and their gradients too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mlsg.config.recipes import EncoderSettings
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.fast.packing import pack
from mlsg.objectives.anchor import _attended, anchors_of
from tests.model.padded import pool
from tests.tiny_models import tiny_bert, tiny_xlmr
from tests.train.small import tokenised

ROWS = np.asarray([3, 0, 11, 30, 7])


@pytest.fixture(scope="module", params=[tiny_bert, tiny_xlmr])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    write: Callable[[Path], Path] = request.param
    return load_backbone(str(write(tmp_path_factory.mktemp("model")))).double()


def gradients(base: Backbone, vectors: torch.Tensor) -> list[torch.Tensor]:
    base.zero_grad(set_to_none=True)
    weights = torch.linspace(-1, 1, vectors.numel(), dtype=vectors.dtype).view_as(vectors)
    (vectors * weights).sum().backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in base.parameters()]


@pytest.mark.parametrize(
    ("pooling", "layer"),
    [("cls", -1), ("cls", 2), ("cls", 1), ("cls", 0), ("mean", -1), ("max", -1), ("max", 1), ("first_last", -1)],
)
@pytest.mark.parametrize("together", [True, False])
def test_anchors_are_those_of_padded_sentences(pooling: str, layer: int, together: bool, base: Backbone) -> None:
    text = tokenised(base)
    packed = pack(text.tokens, ROWS, together=together)
    found = anchors_of(base, packed, EncoderSettings(pooling=pooling, layer=layer))  # type: ignore[arg-type]
    moved = gradients(base, found)
    ids, mask = text.tokens.batch(ROWS)
    expected = pool(base.hidden_states(ids, mask), mask, pooling, layer)
    assert torch.allclose(found, expected, atol=1e-9)
    for one, two in zip(moved, gradients(base, expected), strict=True):
        assert torch.allclose(one, two, atol=1e-8 * max(1.0, float(two.abs().max())))


def test_only_first_tokens_pass_the_last_feed_forward_and_all_pass_for_others(base: Backbone) -> None:
    text = tokenised(base)
    packed = pack(text.tokens, ROWS, together=True)
    attended = _attended(base)
    assert attended is not None
    sizes: list[int] = []
    watch = attended.register_forward_hook(lambda module, given, made: sizes.append(made[..., 0].numel()))
    anchors_of(base, packed, EncoderSettings(pooling="cls"))
    base.last_state_of(packed)
    watch.remove()
    assert sizes == [len(ROWS), packed.ids.numel()]
