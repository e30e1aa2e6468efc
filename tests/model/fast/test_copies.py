"""A base made ready for training: the same weights, the same vectors and gradients, other masks of dropout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.fast import attention, linear
from mlsg.model.fast.dropout import drop, masks_of
from mlsg.model.fast.packing import pack
from mlsg.model.tokens import Tokens
from tests.model.texts import TEXTS
from tests.tiny_models import tiny_bert, tiny_xlmr

Writer = Callable[..., Path]


def set_dropout(base: Backbone, p: float, attention: bool | None = None) -> None:
    """Of the shares of attention, of all else, or (None) everywhere."""
    for name, module in base.named_modules():
        if isinstance(module, nn.Dropout) and attention in (None, name.endswith("self.dropout")):
            module.p = p


def gradients(backbone: Backbone, precision: str, together: bool) -> tuple[Tensor, dict[str, Tensor]]:
    packed = pack(backbone.tokenize(TEXTS), range(len(TEXTS)), together=together)
    backbone.zero_grad(set_to_none=True)
    with masks_of(range(len(TEXTS)), packed), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        state = backbone.last_state_of(packed).float()
    vectors = state.flatten(0, 1)[packed.places]
    (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
    return vectors.detach(), {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("bf16", 0.06)])
@pytest.mark.parametrize("write", [tiny_bert, tiny_xlmr])
def test_vectors_and_gradients_are_those_of_the_base(
    write: Writer, precision: str, most: float, together: bool, tmp_path: Path
) -> None:
    base = load_backbone(str(write(tmp_path / "model"))).train()
    set_dropout(base, 0.0)
    expected, wanted = gradients(base, "float32", together)
    found, moved = gradients(base.for_training(), precision, together)
    assert (found - expected).abs().max() < most * expected.abs().max()
    assert moved.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (moved[name] - gradient).norm() <= most * max(1e-3, float(gradient.norm())), name


def test_tensors_are_shared_and_the_original_stays_as_it_is(tmp_path: Path) -> None:
    base = load_backbone(str(tiny_bert(tmp_path / "bert", dropout=0.1)))
    ready = base.for_training()
    assert all(a is b for a, b in zip(base.parameters(), ready.parameters(), strict=True))
    assert all(module.training for module in ready.modules())
    assert not any(module.training for module in base.modules())
    assert base.model.config._attn_implementation == "sdpa"
    assert not any(isinstance(module, linear.Float32Linear) for module in base.modules())


@pytest.mark.parametrize("dropped", ["hidden", "attention"])
def test_dropout_is_that_of_the_stream(dropped: str, tmp_path: Path) -> None:
    base = load_backbone(str(tiny_bert(tmp_path / "bert")))
    set_dropout(base, 0.0)
    set_dropout(base, 0.5, attention=dropped == "attention")
    ready, packed = base.for_training(), pack(base.tokenize(TEXTS), [0, 1, 2])

    def vectors(seed: int) -> Tensor:
        with masks_of([seed, 7, 8], packed), torch.no_grad():
            return ready.last_state_of(packed)

    assert torch.equal(vectors(1), vectors(1))
    assert not torch.equal(vectors(1), vectors(2))
    before = torch.get_rng_state()
    vectors(1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("bf16", 0.06)])
def test_dropout_does_not_depend_on_the_layout_or_the_batch(precision: str, most: float, tmp_path: Path) -> None:
    ready = load_backbone(str(tiny_bert(tmp_path / "bert", dropout=0.3))).for_training()
    tokens = ready.tokenize(TEXTS)

    def states(rows: list[int], together: bool) -> list[Tensor]:
        packed = pack(tokens, rows, together=together, budget=40)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
        with masks_of([50 + row for row in rows], packed), autocast, torch.no_grad():
            flat = ready.last_state_of(packed).flatten(0, 1).float()
        return list(flat[packed.places].split(packed.lengths.tolist()))

    rows = list(range(len(TEXTS)))
    expected = states(rows, True)
    for parts, together in (([rows], False), ([rows[:3], rows[3:]], True), ([[row] for row in rows], True)):
        found = [state for part in parts for state in states(part, together)]
        for one, other in zip(expected, found, strict=True):
            assert (one - other).abs().max() < most * one.abs().max()
    with masks_of([1], pack(tokens, [2])), torch.no_grad():
        assert (ready.last_state_of(pack(tokens, [2]))[0] - expected[2]).abs().max() > 0.1


@pytest.mark.parametrize("masked", [True, False])
def test_attention_with_dropout_is_the_formula(masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4, dtype=torch.float64) for _ in range(3))
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril() if masked else None
    module = nn.Module()
    starts = np.array([0, 5, 10])
    tokens = Tokens(np.zeros(10, dtype=np.int32), starts, np.zeros(2, dtype=bool), 0)
    packed = pack(tokens, [0, 1], together=False)
    with masks_of([7, 8], packed):
        found, _ = attention.attention(module, query, key, value, mask, dropout=0.4, scaling=0.3)
    scores = 0.3 * query @ key.transpose(-1, -2)
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    shares = scores.softmax(-1)
    with masks_of([7, 8], packed):
        shares = drop(shares, 0.4)
    assert torch.allclose(found, (shares @ value).transpose(1, 2), atol=1e-12)


@pytest.mark.skipif(not linear.has_onednn(), reason="oneDNN's products are not used here")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 12), (2, 5, 12), (1, 12)])
def test_a_linear_layer_by_onednn_has_the_gradients_of_float64(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = linear.Float32Linear(12, 9, bias=bias)
    x = torch.randn(shape, requires_grad=True)
    made = layer(x)
    weights = torch.randn_like(made)
    (made * weights).sum().backward()
    wide = [p.detach().double().requires_grad_() for p in (x, *layer.parameters())]
    expected = functional.linear(*wide)
    (expected * weights).sum().backward()
    assert torch.allclose(made.double(), expected, atol=1e-5)
    for found, exact in zip((x, *layer.parameters()), wide, strict=True):
        assert torch.allclose(found.grad.double(), exact.grad, atol=1e-4)
    assert not layer.weight.grad.is_mkldnn


def test_frozen_inputs_and_weights_get_no_gradient() -> None:
    layer = linear.Float32Linear(12, 9)
    layer.weight.requires_grad_(False)
    x = torch.randn(4, 12)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert torch.allclose(layer.bias.grad, torch.full((9,), 4.0))
