"""Linear layers run by oneDNN and in bf16: equal to torch's own, on shared weights that stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from mlsg.model.fast import linear as module
from mlsg.model.fast.linear import fast_model, has_onednn


def network(bias: bool = True) -> nn.Module:
    torch.manual_seed(0)
    shared = nn.Linear(24, 24, bias=bias)
    return nn.Sequential(nn.Linear(12, 24), nn.GELU(), shared, nn.Dropout(0.5), shared, nn.LayerNorm(24)).train()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@torch.inference_mode()
def test_results_are_those_of_torch(precision: str, onednn: bool, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not onednn:
        monkeypatch.setattr(module, "has_onednn", lambda: False)
    plain = network(bias)
    quick = fast_model(plain, precision)
    x = torch.randn(3, 5, 12)
    expected, found = plain.eval()(x), quick(x) if precision == "float32" else _under_autocast(quick, x)
    most = 1e-5 if precision == "float32" else 0.1
    assert (found.float() - expected).abs().max() < most


def _under_autocast(quick: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return quick(x)


def test_the_original_keeps_its_mode_its_layers_and_its_gradients() -> None:
    plain = network()
    quick = fast_model(plain, "bf16")
    assert all(part.training for part in plain.modules())
    assert not any(part.training for part in quick.modules())
    assert type(plain[0]) is nn.Linear
    assert quick[2] is quick[4]
    assert [a is b for a, b in zip(plain.parameters(), quick.parameters(), strict=True)] == [True] * 6
    with torch.inference_mode():
        _under_autocast(quick, torch.randn(2, 12))
    plain(torch.randn(2, 12)).sum().backward()
    assert all(part.grad is not None for part in plain.parameters())


@torch.inference_mode()
def test_a_weight_is_rounded_once_until_it_changes() -> None:
    plain = nn.Linear(12, 4)
    quick = fast_model(plain, "bf16")
    x = torch.randn(3, 12)
    quick(x)
    first = quick._weight
    quick(x)
    assert quick._weight is first
    plain.weight.data = torch.randn(4, 12)
    expected = functional.linear(x.bfloat16(), plain.weight.bfloat16(), plain.bias.bfloat16())
    assert torch.allclose(quick(x), expected, atol=0.02)
    assert quick._weight is not first


def test_calls_that_are_gone_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        pass

    has_onednn.cache_clear()
    monkeypatch.setattr(torch.ops, "mkldnn", Gone())
    assert not has_onednn()
    plain, x = network(), torch.randn(3, 12)
    with torch.inference_mode():
        assert torch.equal(fast_model(plain, "float32")(x), plain.eval()(x))
    has_onednn.cache_clear()


def test_the_trial_is_the_same_under_autocast() -> None:
    has_onednn.cache_clear()
    expected = has_onednn()
    has_onednn.cache_clear()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert has_onednn() == expected
