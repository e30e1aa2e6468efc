"""Dropout from a stream: the share that is dropped, the mean that stays, the same masks for the same seed."""

from __future__ import annotations

import pytest
import torch

from mlsg.model.fast.dropout import StreamDropout, drop, masks_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.003])
def test_the_share_is_p_and_the_mean_stays(p: float, dtype: torch.dtype) -> None:
    count = 400_001  # not a multiple of the four numbers that one draw decides on
    with masks_of(1):
        found = drop(torch.ones(count, dtype=dtype), p)
    dropped = float((found == 0).double().mean())
    assert dropped == pytest.approx(p, abs=4 * (p * (1 - p) / count) ** 0.5)
    kept = found[found != 0]
    assert found.dtype == dtype
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert float(kept[0]) == pytest.approx(1 / (1 - p), rel=5e-3 if dtype == torch.bfloat16 else 1e-4)


def test_numbers_are_dropped_independently_of_their_neighbours() -> None:
    with masks_of(2):
        zero = (drop(torch.ones(400_000), 0.3) == 0).double()
    for apart in (1, 2, 3, 4, 5):
        assert float((zero[:-apart] * zero[apart:]).mean()) == pytest.approx(0.09, abs=0.003)


def test_the_seed_decides_and_nothing_else() -> None:
    layer = StreamDropout(0.5)
    x = torch.randn(3, 7, 5)
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(len(found))
        with masks_of(seed):
            found.append((layer(x), layer(x)))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[0][1])
    assert not torch.equal(found[0][0], found[2][0])
    assert torch.equal(layer.eval()(x), x)


def test_gradients_pass_what_was_kept() -> None:
    x = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    with masks_of(3):
        y = drop(x, 0.25)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(y, x * x.grad)
    assert sorted(x.grad.unique().tolist()) == pytest.approx([0.0, 4 / 3], abs=1e-4)


def test_without_a_stream_it_is_torchs_own() -> None:
    x = torch.randn(50, 3)
    torch.manual_seed(4)
    found = StreamDropout(0.2)(x)
    torch.manual_seed(4)
    assert torch.equal(found, torch.nn.Dropout(0.2)(x))
    with masks_of(1):
        assert torch.equal(drop(x, 1.0), torch.zeros_like(x))
        assert torch.equal(drop(x, 0.0), x)
