"""AdamW as transformers had it, against its arithmetic written out with Python's floats, and against torch's."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsg.config.recipes import TrainSettings
from mlsg.train.adamw_hf import AdamWHF
from mlsg.train.optimiser import adamw, learning_rate, make_moments, moments, restore_moments, update

HF = TrainSettings(optimizer="adamw_hf", learning_rate=0.1)
Named = dict[str, torch.Tensor]


def parameters(kind: torch.dtype = torch.float64) -> Named:
    generator = torch.Generator().manual_seed(0)
    shapes = {"dense.weight": (3, 2), "dense.bias": (3,), "LayerNorm.weight": (3,)}
    return {name: torch.randn(*shape, generator=generator).to(kind).requires_grad_() for name, shape in shapes.items()}


def gradients(step: int, size: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda p: (size * torch.linspace(-step, 1.5, p.numel(), dtype=torch.float64)).view_as(p).to(p.dtype)


def written_out(given: Named, rates: list[float], size: float, chosen: TrainSettings) -> dict[str, list[float]]:
    """Each number by itself: moments, root plus epsilon, corrected rate, then the decay by the rate as it is."""
    beta1, beta2 = chosen.adam_betas
    ended = {}
    for name, parameter in given.items():
        values = parameter.detach().double().flatten().tolist()
        decay = chosen.weight_decay if parameter.ndim > 1 else 0.0
        for place in range(len(values)):
            m = v = 0.0
            for t, rate in enumerate(rates, start=1):
                gradient = float(gradients(t, size)(parameter.detach().double()).flatten()[place])
                m = beta1 * m + (1 - beta1) * gradient
                v = beta2 * v + (1 - beta2) * gradient * gradient
                corrected = rate * math.sqrt(1 - beta2**t) / (1 - beta1**t)
                values[place] -= corrected * m / (math.sqrt(v) + chosen.adam_epsilon)
                values[place] -= rate * decay * values[place]
        ended[name] = values
    return ended


def moved(named: Named, rates: list[float], size: float, chosen: TrainSettings) -> Named:
    optimiser = adamw(named, chosen)
    make_moments(optimiser)
    for t, rate in enumerate(rates, start=1):
        for parameter in named.values():
            parameter.grad = gradients(t, size)(parameter)
        update(optimiser, rate, 0.0)
    return named


@pytest.mark.parametrize("size", [1.0, 1e-5, 1e-7])
@pytest.mark.parametrize("betas", [(0.9, 0.9), (0.9, 0.999), (0.0, 0.0)])
def test_twelve_steps_are_the_written_out_arithmetic(betas: tuple[float, float], size: float) -> None:
    chosen = TrainSettings(optimizer="adamw_hf", learning_rate=0.1, adam_betas=betas, weight_decay=0.3)
    rates = [learning_rate(step, 12, chosen) for step in range(12)]
    expected = written_out(parameters(), rates, size, chosen)
    for name, parameter in moved(parameters(), rates, size, chosen).items():
        assert parameter.flatten().tolist() == pytest.approx(expected[name], rel=1e-12, abs=1e-14), name


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 0.1), min_size=1, max_size=6),
    st.floats(0, 0.99),
    st.floats(1e-12, 1e-2),
    st.floats(0, 0.5),
    st.sampled_from([1e-6, 1.0]),
)
def test_any_rates_betas_epsilons_and_decays(
    rates: list[float], beta2: float, epsilon: float, decay: float, size: float
) -> None:
    chosen = TrainSettings(
        optimizer="adamw_hf", adam_betas=(0.9, beta2), adam_epsilon=epsilon, weight_decay=decay, learning_rate=0.1
    )
    expected = written_out(parameters(), rates, size, chosen)
    for name, parameter in moved(parameters(), rates, size, chosen).items():
        assert parameter.flatten().tolist() == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def test_float32_follows_to_its_rounding_and_torchs_own_goes_elsewhere_by_percents() -> None:
    """At gradients of a few epsilons, as those of most weights are."""
    rates, size = [0.01] * 12, 3e-6
    expected = written_out(parameters(), rates, size, HF)
    start = {name: p.detach().flatten().tolist() for name, p in parameters().items()}
    apart = {}
    for chosen in (HF, TrainSettings()):
        ended = moved(parameters(torch.float32), rates, size, chosen)
        far = sum(
            (a - b) ** 2
            for name, p in ended.items()
            for a, b in zip(p.detach().double().flatten().tolist(), expected[name], strict=True)
        )
        way = sum((a - b) ** 2 for name in start for a, b in zip(start[name], expected[name], strict=True))
        apart[chosen.optimizer] = math.sqrt(far / way)
    assert apart["adamw_hf"] < 1e-5
    assert apart["adamw"] > 1e-2


def test_a_parameter_without_a_gradient_stays_as_it_is_and_settings_are_left_alone() -> None:
    named = parameters()
    optimiser = adamw(named, HF)
    assert isinstance(optimiser, AdamWHF)
    make_moments(optimiser)
    before = {name: p.detach().clone() for name, p in named.items()}
    named["dense.weight"].grad = torch.ones_like(named["dense.weight"])
    update(optimiser, 0.1, 1.0)
    assert {name for name, p in named.items() if not torch.equal(p, before[name])} == {"dense.weight"}
    assert [(g["eps"], g["weight_decay"]) for g in optimiser.param_groups] == [(1e-6, 0.01), (1e-6, 0.0)]


def test_its_state_goes_through_a_checkpoint_to_the_bit() -> None:
    rates = [0.1, 0.05, 0.02, 0.01]
    whole = moved(parameters(), rates, 1e-6, HF)
    first = parameters()
    optimiser = adamw(first, HF)
    make_moments(optimiser)
    for t, rate in enumerate(rates, start=1):
        if t == 3:
            saved = {name: value.clone() for name, value in moments(optimiser, first).items()}
            first = {name: p.detach().clone().requires_grad_() for name, p in first.items()}
            optimiser = adamw(first, HF)
            make_moments(optimiser)
            restore_moments(optimiser, first, saved)
        for parameter in first.values():
            parameter.grad = gradients(t, 1e-6)(parameter)
        update(optimiser, rate, 0.0)
    assert all(torch.equal(first[name], whole[name]) for name in first)
