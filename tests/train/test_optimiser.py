"""The optimiser: rate of each step, groups, and its state through a checkpoint."""

from __future__ import annotations

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from mlsg.config.recipes import TrainSettings
from mlsg.train.optimiser import adamw, learning_rate, moments, restore_moments, update


@pytest.mark.parametrize(("steps", "warmup", "climb"), [(1079, 0.1, 108), (10, 0.0, 0), (7, 1.0, 7), (30, 0.1, 3)])
def test_the_rate_equals_transformers_linear_schedule(steps: int, warmup: float, climb: int) -> None:
    settings = TrainSettings(learning_rate=5e-5, warmup_ratio=warmup)
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-5)
    schedule = get_linear_schedule_with_warmup(reference, climb, steps)
    for step in range(steps):
        assert learning_rate(step, steps, settings) == pytest.approx(schedule.get_last_lr()[0], abs=1e-18)
        reference.step()
        schedule.step()


def parameters() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = {"dense.weight": (4, 3), "dense.bias": (4,), "LayerNorm.weight": (4,), "LayerNorm.bias": (4,)}
    return {name: torch.randn(*shape).requires_grad_() for name, shape in shapes.items()}


def test_matrices_decay_and_biases_and_layernorm_do_not() -> None:
    named = parameters()
    optimiser = adamw(named, TrainSettings())
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in named.items()} == {
        "dense.weight": 0.01,
        "dense.bias": 0.0,
        "LayerNorm.weight": 0.0,
        "LayerNorm.bias": 0.0,
    }
    assert all(group["betas"] == (0.9, 0.9) and group["eps"] == 1e-6 for group in optimiser.param_groups)


def test_a_step_is_adamw_written_out() -> None:
    named = {"w": torch.tensor([[1.0, -2.0]], requires_grad=True)}
    optimiser = adamw(named, TrainSettings(learning_rate=0.1))
    w = [1.0, -2.0]
    m, v = [0.0, 0.0], [0.0, 0.0]
    for t in (1, 2, 3):
        gradient = [0.5 * t, -0.1]
        named["w"].grad = torch.tensor([gradient])
        update(optimiser, 0.1 / t, 0.0)
        for i in range(2):
            w[i] *= 1 - 0.1 / t * 0.01
            m[i] = 0.9 * m[i] + 0.1 * gradient[i]
            v[i] = 0.9 * v[i] + 0.1 * gradient[i] ** 2
            w[i] -= 0.1 / t * (m[i] / (1 - 0.9**t)) / ((v[i] / (1 - 0.9**t)) ** 0.5 + 1e-6)
    assert named["w"].tolist()[0] == pytest.approx(w, rel=1e-5)


def test_the_state_goes_through_a_checkpoint_to_the_bit() -> None:
    def step(named: dict[str, torch.Tensor], optimiser: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for name, p in named.items():
            p.grad = None if name == "dense.bias" else torch.randn(p.shape, generator=generator)
        optimiser.step()

    one = parameters()
    first = adamw(one, TrainSettings(learning_rate=0.1))
    step(one, first, 1)
    saved = {name: value.clone() for name, value in moments(first, one).items()}
    two = {name: value.detach().clone().requires_grad_() for name, value in one.items()}
    second = adamw(two, TrainSettings(learning_rate=0.1))
    restore_moments(second, two, saved)
    for seed in (2, 3):
        step(one, first, seed)
        step(two, second, seed)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("clip", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("fused", [True, False])
def test_an_update_is_clipping_and_a_step(fused: bool, clip: float) -> None:
    ours, plain = parameters(), parameters()
    optimiser = adamw(ours, TrainSettings(learning_rate=0.1))
    if not fused:
        optimiser = torch.optim.AdamW(optimiser.param_groups, fused=False)
    reference = torch.optim.AdamW(
        [{"params": [p], "weight_decay": 0.01 if p.ndim > 1 else 0.0} for p in plain.values()],
        lr=0.1,
        betas=(0.9, 0.9),
        eps=1e-6,
        foreach=False,
    )
    for step in (1, 2, 3):
        for named in (ours, plain):
            for parameter in named.values():
                parameter.grad = torch.linspace(-step, 1, parameter.numel()).view_as(parameter)
        if clip:
            torch.nn.utils.clip_grad_norm_(plain.values(), clip)
        reference.step()
        counts = [p._version for p in ours.values()]
        update(optimiser, 0.1, clip)
        assert all(p._version > count for p, count in zip(ours.values(), counts, strict=True))
    for name, parameter in plain.items():
        assert torch.allclose(ours[name], parameter, atol=1e-6), name
