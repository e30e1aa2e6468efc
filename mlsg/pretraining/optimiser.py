"""Two optimisers, one schedule: Muon for the matrices of the layers, AdamW for embeddings, biases and norms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mlsg.pretraining.muon import Muon
from mlsg.pretraining.settings import PretrainSettings
from mlsg.train.optimiser import make_moments, moments, restore_moments

_BETAS = (0.9, 0.98)
_EPSILON = 1e-8


def rate_at(tokens: int, settings: PretrainSettings) -> float:
    """What part of the peak rate is used after so many tokens: it climbs, stays, and falls to 0."""
    share, warmup = tokens / settings.tokens, min(settings.warmup_tokens, settings.tokens / 10)
    climbing = (tokens + settings.batch_tokens / 2) / warmup if warmup else 1.0
    falling = (1 - share) / settings.decay if settings.decay else 1.0
    return max(0.0, min(1.0, climbing, falling))


class Optimiser:
    """Steps all parameters of a model."""

    def __init__(self, model: nn.Module, settings: PretrainSettings) -> None:
        self.s = settings
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())
        matrices = {name: value for name, value in self.parameters.items() if _is_matrix(name, value)}
        self.others = {name: value for name, value in self.parameters.items() if name not in matrices}
        self.matrices = matrices
        self.muon = Muon(matrices.values())
        words = [value for name, value in self.others.items() if "word_embeddings" in name]
        rest = [value for name, value in self.others.items() if "word_embeddings" not in name]
        self.rates = (settings.embedding_rate, settings.other_rate)
        groups = [{"params": words}, {"params": rest}]
        self.adamw = torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, eps=_EPSILON, weight_decay=0.0, fused=True)
        make_moments(self.adamw)
        for value in self.parameters.values():
            value.grad = torch.zeros_like(
                value
            )  # a step without neighbours asks nothing of [CLS], and goes on all the same

    def step(self, tokens: int) -> None:
        """One step after so many tokens; gradients are zero after it."""
        rate = rate_at(tokens, self.s)
        if self.s.clip:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.s.clip, foreach=True)
        self.muon.step(self.s.matrix_rate * rate, self.s.weight_decay)
        for group, peak in zip(self.adamw.param_groups, self.rates, strict=True):
            group["lr"] = peak * rate
        self.adamw.step()
        torch._foreach_zero_([value.grad for value in self.parameters.values() if value.grad is not None])

    def state(self) -> dict[str, Tensor]:
        """Momenta as flat tensors."""
        momenta = {f"muon/{name}": self.muon.momenta[id(value)] for name, value in self.matrices.items()}
        return {**momenta, **{f"adamw/{name}": value for name, value in moments(self.adamw, self.others).items()}}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Undo `state`."""
        for name, value in self.matrices.items():
            self.muon.momenta[id(value)].copy_(tensors[f"muon/{name}"])
        prefix = "adamw/"
        kept = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        restore_moments(self.adamw, self.others, kept)


def _is_matrix(name: str, value: Tensor) -> bool:
    """Embeddings and the two outputs of the next-sentence head are tables of vectors, not maps."""
    return value.ndim == 2 and "embeddings" not in name and "seq_relationship" not in name and "decoder" not in name
