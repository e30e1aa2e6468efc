"""The straightforward procedure: what the authors' training script does, written plainly on transformers.

At each step the guide reads the batch again, with dropout on and eager attention, so that attention maps exist; both
models give out all hidden states and all maps. Batches are random and padded to their longest sentence. Views are
pooled layer by layer, the loss goes layer by layer, the regulariser parameter by parameter (frozen ones too, as
there), in float32, with AdamW as a loop over parameters. Dev is evaluated every 50 steps in batches of 16, sorted by
characters, as sentence-transformers does; the best weights are saved.

Where a choice was open it is the faster one: the head is called once for all views, cosines are matrix products, and
nothing is logged. Sources of the facts: Kim, Yoo, Lee, ACL 2021, and their released training script.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    get_linear_schedule_with_warmup,
)

from mlsg.data.pairs import GradedPairs
from mlsg.model.pretrained import quiet_transformers

_MAX_LENGTH = 128
_BATCH = 16
_DEV_EVERY = 50
_TEMPERATURE = 0.01
_REGULARISER = 0.1
_RATE = 5e-5


@dataclass
class Straightforward:
    """A training under way."""

    tuned: PreTrainedModel
    guide: PreTrainedModel
    head: nn.Module
    tokenizer: PreTrainedTokenizerBase
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    device: torch.device
    view_pooling: str = "max"
    frozen_too: bool = True
    """Whether the regulariser is computed over frozen parameters too, where it is zero; the script does."""
    sorted_dev: bool = True
    """Whether dev sentences are sorted by characters; sentence-transformers does."""

    def step(self, sentences: Sequence[str]) -> Tensor:
        """One batch, one update; returns the loss."""
        self.tuned.train()
        self.guide.train()  # the script's guide is a part of its loss, and train() reaches it
        loss = self.loss(sentences)
        loss.backward()
        nn.utils.clip_grad_norm_([*self.tuned.parameters(), *self.head.parameters()], 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        return loss.detach()

    def loss(self, sentences: Sequence[str]) -> Tensor:
        """SG-OPT and the regulariser, in whatever mode the models are."""
        features = self._features(sentences)
        anchors = self.tuned(**features).last_hidden_state[:, 0]  # (b, d)
        views = [self._pooled(layer, features["attention_mask"]) for layer in self.guide(**features).hidden_states]
        projected = self.head(torch.stack([anchors, *views]))  # (1 + n, b, w)
        loss = _contrast(projected[0], list(projected[1:]))
        fixed = dict(self.guide.named_parameters())
        for name, parameter in self.tuned.named_parameters():
            if not (parameter.requires_grad or self.frozen_too):
                continue
            loss = loss + _REGULARISER * (parameter - fixed[name]).square().sum()
        return loss

    @torch.no_grad()
    def evaluate(self, pairs: GradedPairs) -> float:
        """Spearman of cosine and score; every sentence of every pair is encoded."""
        cosines = F.cosine_similarity(self.encode(pairs.first), self.encode(pairs.second))
        return float(spearmanr(cosines.cpu().numpy(), pairs.scores).statistic)

    @torch.no_grad()
    def encode(self, sentences: Sequence[str]) -> Tensor:
        """[CLS] vectors (n, d), 16 sentences at a time."""
        self.tuned.eval()
        lengths = [-len(sentence) if self.sorted_dev else 0 for sentence in sentences]
        order = np.argsort(lengths, kind="stable")
        vectors = [
            self.tuned(**self._features([sentences[place] for place in order[first : first + _BATCH]]))
            .last_hidden_state[:, 0]
            .cpu()
            for first in range(0, len(order), _BATCH)
        ]
        return torch.cat(vectors)[np.argsort(order)]

    def save(self, folder: Path) -> None:
        """Write the tuned model, as the script does at every new best of dev."""
        self.tuned.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _features(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        found = self.tokenizer(
            list(sentences), padding=True, truncation=True, max_length=_MAX_LENGTH, return_tensors="pt"
        )
        return {name: tensor.to(self.device) for name, tensor in found.items()}

    def _pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(b, t, d), (b, t) -> (b, d)."""
        wide = mask[:, :, None].expand(tokens.shape)
        if self.view_pooling == "mean":
            return (tokens * wide).sum(1) / wide.sum(1)
        return tokens.masked_fill(wide == 0, -1e9).max(1).values


def start(
    folder: Path,
    steps: int,
    *,
    device: str = "cpu",
    seed: int = 1,
    view_pooling: str = "max",
    head: nn.Module | None = None,
    rate: float = _RATE,
) -> Straightforward:
    """Load the base in `folder` and set everything up for a training of `steps` steps."""
    torch.manual_seed(seed)
    with quiet_transformers():
        tuned = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="eager",
            output_hidden_states=True,
            output_attentions=True,
        ).to(device)
    guide = copy.deepcopy(tuned).requires_grad_(False)
    tuned.embeddings.requires_grad_(False)
    config = tuned.config
    head = head or _head(config.hidden_size, config.initializer_range)
    head.to(device)
    named = [*tuned.named_parameters(), *head.named_parameters()]
    spared = ("bias", "LayerNorm.weight")
    groups = [
        {"params": [p for name, p in named if not name.endswith(spared)], "weight_decay": 0.01},
        {"params": [p for name, p in named if name.endswith(spared)], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.9), eps=1e-6, foreach=False, fused=False)
    schedule = get_linear_schedule_with_warmup(optimiser, math.ceil(steps * 0.1), steps)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Straightforward(tuned, guide, head, tokenizer, optimiser, schedule, torch.device(device), view_pooling)


def train(
    folder: Path,
    sentences: Sequence[str],
    dev: GradedPairs,
    out: Path,
    *,
    device: str,
    seed: int,
    eval_steps: int = _DEV_EVERY,
) -> list[float]:
    """A whole training, one epoch; returns the dev scores, the first of them before training.

    Its early stopping is left out, as is ours.
    """
    steps = math.ceil(len(sentences) / _BATCH)
    training = start(folder, steps, device=device, seed=seed)
    scores = [training.evaluate(dev)]
    batches: DataLoader[str] = DataLoader(list(sentences), batch_size=_BATCH, shuffle=True, collate_fn=list)  # type: ignore[arg-type]
    for step, batch in enumerate(batches, start=1):
        training.step(batch)
        if step % eval_steps == 0 or step == steps:
            scores.append(training.evaluate(dev))
            if scores[-1] > max(scores[:-1]):
                training.save(out)
    return scores


def _contrast(anchors: Tensor, views: Sequence[Tensor]) -> Tensor:
    """SG-OPT over anchors (b, w) and n views (b, w): layer by layer one positive, all other sentences' views against.

    The denominator of layer k holds the view k of the sentence itself and all views of all other sentences.
    """
    anchors = F.normalize(anchors, dim=-1)
    scores = [anchors @ F.normalize(view, dim=-1).T / _TEMPERATURE for view in views]  # n times (b, b)
    own = torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
    others = torch.cat([score[~own].view(len(anchors), -1) for score in scores], dim=1)  # (b, n (b - 1))
    first = torch.zeros(len(anchors), dtype=torch.long, device=anchors.device)
    total = anchors.new_zeros(())
    for score in scores:
        logits = torch.cat([score.diagonal()[:, None], others], dim=1)
        total = total + F.cross_entropy(logits, first)
    return total / len(scores)


def _head(dimension: int, deviation: float, width: int = 4096) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(dimension, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
    for module in layers:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, deviation)
            nn.init.zeros_(module.bias)
    return layers
