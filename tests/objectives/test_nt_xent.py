"""The losses against double loops written from the formulas of design part 4, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mlsg.objectives.nt_xent import LOSSES, base, opt1, opt2, opt3, similarities

TAU = 0.3


def phi(u: Tensor, v: Tensor, tau: float = TAU) -> float:
    dot = sum(float(a) * float(b) for a, b in zip(u.detach(), v.detach(), strict=True))
    length = math.sqrt(sum(float(a) ** 2 for a in u.detach())) * math.sqrt(sum(float(b) ** 2 for b in v.detach()))
    return math.exp(dot / length / tau)


def written_base(c: Tensor, h: Tensor, same: Tensor) -> float:
    b = len(c)
    total = 0.0
    for x in range(2 * b):
        element = [*c, *h]
        partner = (x + b) % (2 * b)
        denominator = 0.0
        for y in range(2 * b):
            if y != x and not same[x % b, y % b]:
                denominator += phi(element[x], element[y])
        total += -math.log(phi(element[x], element[partner]) / denominator)
    return total / (2 * b)


def written_opt1(c: Tensor, h: Tensor, same: Tensor) -> float:
    total = 0.0
    for i in range(len(c)):
        z = phi(c[i], h[i])
        for j in range(len(c)):
            if j != i and not same[i, j]:
                z += phi(c[i], c[j]) + phi(c[i], h[j])
        total += -math.log(phi(c[i], h[i]) / z)
    return total / len(c)


def written_opt2(c: Tensor, h: Tensor, same: Tensor) -> float:
    total = 0.0
    for i in range(len(c)):
        z = phi(c[i], h[i])
        for j in range(len(c)):
            if j != i and not same[i, j]:
                z += phi(c[i], h[j])
        total += -math.log(phi(c[i], h[i]) / z)
    return total / len(c)


def written_opt3(c: Tensor, h: Tensor, same: Tensor) -> float:
    b, views = h.shape[:2]
    total = 0.0
    for i in range(b):
        for k in range(views):
            z = phi(c[i], h[i, k])
            for j in range(b):
                for n in range(views):
                    if j != i and not same[i, j]:
                        z += phi(c[i], h[j, n])
            total += -math.log(phi(c[i], h[i, k]) / z)
    return total / (b * views)


WRITTEN = {"base": written_base, "opt1": written_opt1, "opt2": written_opt2, "opt3": written_opt3}


def inputs(loss: str, b: int, dtype: torch.dtype = torch.float64, views: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(b)
    shape = (b, views, 6) if loss == "opt3" else (b, 6)
    return (
        torch.randn(b, 6, generator=generator, dtype=dtype),
        torch.randn(*shape, generator=generator, dtype=dtype),
    )


def no_duplicates(b: int) -> Tensor:
    return torch.zeros(b, b, dtype=torch.bool)


def some_duplicates(b: int) -> Tensor:
    same = no_duplicates(b)
    same[0, 2] = same[2, 0] = True
    return same


@pytest.mark.parametrize("b", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_equals_its_written_out_double_loop(loss: str, b: int) -> None:
    anchors, views = inputs(loss, b)
    expected = WRITTEN[loss](anchors, views, no_duplicates(b))
    assert LOSSES[loss](anchors, views, TAU, None).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_duplicates_leave_the_denominator(loss: str) -> None:
    anchors, views = inputs(loss, 4)
    masked = LOSSES[loss](anchors, views, TAU, some_duplicates(4)).item()
    assert masked == pytest.approx(WRITTEN[loss](anchors, views, some_duplicates(4)), abs=1e-12)
    assert masked < LOSSES[loss](anchors, views, TAU, None).item()


@pytest.mark.parametrize("same", [None, some_duplicates(3)], ids=["plain", "duplicates"])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_pass_gradcheck(loss: str, same: Tensor | None) -> None:
    anchors, views = inputs(loss, 3, views=3)
    anchors.requires_grad_()
    views.requires_grad_()
    assert torch.autograd.gradcheck(lambda c, h: LOSSES[loss](c, h, TAU, same), (anchors, views))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_one_or_of_duplicates_only_has_finite_gradients(loss: str) -> None:
    for b, same in ((1, None), (2, torch.tensor([[False, True], [True, False]]))):
        anchors, views = inputs(loss, b)
        anchors.requires_grad_()
        value = LOSSES[loss](anchors, views, 0.01, same)
        value.backward()
        assert value.item() == pytest.approx(0.0, abs=1e-9)
        assert anchors.grad is not None
        assert torch.isfinite(anchors.grad).all()


def test_opt2_keeps_all_other_views_as_negatives() -> None:
    anchors, views = inputs("opt2", 5)
    for j in range(5):
        moved = views.clone()
        moved[j] = -moved[j]
        for i in range(5):
            before, after = (per_anchor_opt2(anchors, v, i) for v in (views, moved))
            assert before != pytest.approx(after), f"anchor {i} does not feel view {j}"


def per_anchor_opt2(anchors: Tensor, views: Tensor, i: int) -> float:
    """The term of anchor i alone: the gradient of the mean with respect to that anchor has only this term."""
    leaf = anchors.clone().requires_grad_()
    opt2(leaf, views, TAU).backward()
    assert leaf.grad is not None
    return float(leaf.grad[i].norm())


def test_opt3_does_not_feel_other_views_of_the_same_sentence_in_a_denominator() -> None:
    anchors, views = inputs("opt3", 2, views=2)
    term = -math.log(
        phi(anchors[0], views[0, 0])
        / (phi(anchors[0], views[0, 0]) + phi(anchors[0], views[1, 0]) + phi(anchors[0], views[1, 1]))
    )
    others = sum(
        -math.log(
            phi(anchors[i], views[i, k])
            / (phi(anchors[i], views[i, k]) + phi(anchors[i], views[1 - i, 0]) + phi(anchors[i], views[1 - i, 1]))
        )
        for i, k in ((0, 1), (1, 0), (1, 1))
    )
    assert opt3(anchors, views, TAU).item() == pytest.approx((term + others) / 4, abs=1e-12)


def test_small_temperatures_do_not_overflow() -> None:
    for loss in LOSSES:
        anchors, views = inputs(loss, 6, torch.float32)
        assert torch.isfinite(LOSSES[loss](anchors, views, 1e-4, None))
        assert torch.isfinite(LOSSES[loss](anchors, -views, 1e-4, None))


def test_similarities_stay_in_float32_under_bf16_autocast() -> None:
    left, right = inputs("opt1", 4, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = similarities(left.bfloat16(), right.bfloat16(), 0.01)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, similarities(left.bfloat16().float(), right.bfloat16().float(), 0.01))


def test_the_losses_order_as_their_denominators_do() -> None:
    anchors, views = inputs("opt1", 6)
    assert opt2(anchors, views, TAU) < opt1(anchors, views, TAU)
    assert base(anchors, views, TAU) > 0
