"""The regulariser against a loop over every entry."""

from __future__ import annotations

import pytest
import torch

from mlsg.objectives.drift import squared_drift


def tensors(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((3, 4), (5,), (2, 2, 2))]


def test_it_is_the_sum_over_every_entry_of_the_squared_difference() -> None:
    moving, fixed = tensors(0), tensors(1)
    expected = 0.0
    for left, right in zip(moving, fixed, strict=True):
        for a, b in zip(left.flatten().tolist(), right.flatten().tolist(), strict=True):
            expected += (a - b) ** 2
    assert squared_drift(moving, fixed).item() == pytest.approx(expected, rel=1e-12)


def test_its_gradient_passes_gradcheck() -> None:
    moving, fixed = [t.requires_grad_() for t in tensors(0)], tensors(1)
    assert torch.autograd.gradcheck(lambda *m: squared_drift(m, fixed) * 0.3, moving)


def test_it_is_zero_without_gradient_where_nothing_moved() -> None:
    moving, fixed = [t.requires_grad_() for t in tensors(0)], tensors(0)
    value = squared_drift(moving, fixed)
    value.backward()
    assert value.item() == 0.0
    assert all(t.grad is not None and not t.grad.any() for t in moving)


def test_the_fixed_side_gets_no_gradient() -> None:
    moving, fixed = [t.requires_grad_() for t in tensors(0)], tensors(1)
    squared_drift(moving, fixed).backward()
    assert all(t.grad is None for t in fixed)
