"""The regulariser against a loop over every entry, and against autograd through the sum."""

from __future__ import annotations

import pytest
import torch

from mlsg.objectives.l2_sp import L2ToStart


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"matrix": (3, 4), "bias": (5,), "cube": (2, 2, 2), "wide": (2, 17)}
    return {name: torch.randn(*shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def test_it_is_lambda_times_the_sum_over_every_entry_of_the_squared_difference() -> None:
    moved, fixed = tensors(0), tensors(1)
    expected = 0.0
    for name, left in moved.items():
        for a, b in zip(left.flatten().tolist(), fixed[name].flatten().tolist(), strict=True):
            expected += (a - b) ** 2
    assert L2ToStart(0.3, fixed).add_gradient(moved).item() == pytest.approx(0.3 * expected, rel=1e-12)


def test_its_gradient_is_that_of_autograd_and_comes_on_top_of_what_is_there() -> None:
    moved, fixed = {name: value.requires_grad_() for name, value in tensors(0).items()}, tensors(1)
    sum(value.sin().sum() for value in moved.values()).backward()  # type: ignore[union-attr]
    L2ToStart(0.3, fixed).add_gradient(moved)
    found = {name: value.grad for name, value in moved.items()}
    for name, value in moved.items():
        value.grad = None
        (value.sin().sum() + 0.3 * (value - fixed[name]).square().sum()).backward()
        assert torch.allclose(found[name], value.grad, rtol=1e-12)  # type: ignore[arg-type]


def test_a_parameter_that_the_loss_does_not_reach_is_pulled_too() -> None:
    moved, fixed = {name: value.requires_grad_() for name, value in tensors(0).items()}, tensors(1)
    L2ToStart(0.3, fixed).add_gradient(moved)
    for name, value in moved.items():
        assert torch.allclose(value.grad, 0.6 * (value.detach() - fixed[name]))  # type: ignore[arg-type]


def test_it_is_zero_where_nothing_moved() -> None:
    moved = {name: value.requires_grad_() for name, value in tensors(0).items()}
    assert L2ToStart(0.3, tensors(0)).add_gradient(moved).item() == 0.0
    assert not any(value.grad.any() for value in moved.values())  # type: ignore[union-attr]


def test_only_the_named_parameters_are_looked_at() -> None:
    moved, fixed = tensors(0), tensors(1)
    some = {name: moved[name] for name in ("bias", "cube")}
    part = L2ToStart(0.3, fixed).add_gradient(some).item()
    assert moved["matrix"].grad is None
    assert 0 < part < L2ToStart(0.3, fixed).add_gradient(moved).item()
