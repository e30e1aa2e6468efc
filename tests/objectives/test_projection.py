"""The projection head: shape, initial weights, seed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlsg.objectives.projection import projection_head


def head(**changes: float) -> nn.Sequential:
    settings = {"width": 512, "depth": 2, "deviation": 0.02, "seed": 7, **changes}
    return projection_head(64, **settings)  # type: ignore[arg-type]


def test_the_head_is_linear_gelu_linear_gelu() -> None:
    kinds = (nn.Linear, nn.GELU, nn.Linear, nn.GELU)
    assert all(isinstance(layer, kind) for layer, kind in zip(head(), kinds, strict=True))
    assert head()(torch.zeros(3, 5, 64)).shape == (3, 5, 512)


def test_it_computes_what_its_formula_says() -> None:
    made = head()
    x = torch.randn(4, 64)
    first, second = made[0], made[2]
    hidden = nn.functional.gelu(x @ first.weight.T + first.bias)
    assert torch.allclose(made(x), nn.functional.gelu(hidden @ second.weight.T + second.bias), atol=1e-6)


def test_weights_are_normal_with_the_given_deviation_and_biases_zero() -> None:
    for layer in (head()[0], head()[2]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.weight.mean().item() == pytest.approx(0.0, abs=3e-4)
        within_one = (layer.weight.abs() < 0.02).float().mean().item()
        assert within_one == pytest.approx(0.6827, abs=0.01)  # a normal distribution, not a uniform one
        assert not layer.bias.any()


def test_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    before = torch.get_rng_state()
    one = head()
    torch.manual_seed(99)
    assert torch.equal(one[2].weight, head()[2].weight)
    assert not torch.equal(one[2].weight, head(seed=8)[2].weight)
    torch.set_rng_state(before)
    head()
    assert torch.equal(before, torch.get_rng_state())


def test_depth_zero_leaves_vectors_as_they_are() -> None:
    x = torch.randn(3, 64)
    assert head(depth=0)(x) is x
    assert not list(head(depth=0).parameters())


def test_depth_one_and_three_have_that_many_layers() -> None:
    assert len(head(depth=1)) == 2
    assert len(head(depth=3)) == 6
