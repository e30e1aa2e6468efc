"""The pretraining loop, on Accelerate: from the last checkpoint to the last token.

A step is a function of the settings, the text and the step before it: every draw is keyed by (purpose, seed, place),
and the budget is counted in tokens, not in minutes. A killed training therefore ends with the same bits, on the same
machine with the same number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import BertForPreTraining

from mlsg import console
from mlsg.errors import DivergedError
from mlsg.model.precision import autocast
from mlsg.pretraining.checkpoints import latest_checkpoint, save_checkpoint
from mlsg.pretraining.inputs import Batch, Inputs
from mlsg.pretraining.network import Losses, losses
from mlsg.pretraining.optimiser import Optimiser
from mlsg.pretraining.settings import PretrainSettings

_LOOK_EVERY = 10
"""Steps between two looks at the losses: each look waits for the device."""
_RECORDS = 64
"""Records of the losses over the whole budget."""
SNAPSHOTS = (1, 2, 4, 8)
"""Eighths of the tokens after which the weights are kept."""


@dataclass
class State:
    """All that a checkpoint holds beside tensors."""

    step: int = 0
    tokens: int = 0
    places: int = 0
    """Places of rows that passed, padding counted."""
    masked: int = 0
    pool: int = 0
    """Number of the pool in hand."""
    done: int = 0
    """Passes of it that were made."""
    longest: int = 0
    """Longest input of it."""
    decks: dict[str, list[int]] = field(default_factory=dict)
    """Where the decks stood before it."""
    seconds: float = 0.0
    """Pauses counted."""
    processor: float = 0.0
    """Processor seconds of this process, without what it was paused."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """Losses since the record before: tokens, words of every group, next_sentence, bag."""


@dataclass(frozen=True)
class Run:
    """What the loop works on."""

    model: BertForPreTraining
    inputs: Inputs
    frequencies: np.ndarray
    settings: PretrainSettings
    folder: Path
    """Of checkpoints."""
    accelerator: Accelerator
    checkpoint_seconds: float
    snapshot: Callable[[int], None]
    """Keep the weights; called with how many eighths of the tokens are done."""


def fit(run: Run) -> State:
    """Train `run.model` in place. Raises DivergedError on a loss that is no number."""
    return _Loop(run).run()


class _Loop:
    def __init__(self, run: Run) -> None:
        self.r, self.s = run, run.settings
        self.device = run.accelerator.device
        self.model = run.model.to(self.device)
        self.optimiser = Optimiser(self.model, self.s)
        self.frequencies = torch.as_tensor(run.frequencies, dtype=torch.float32, device=self.device)
        groups = len(run.inputs.groups)
        self.sums = torch.zeros(2 * groups + 4, dtype=torch.float64, device=self.device)
        """Losses of words per group, how many; next sentence, how many; bag, how many."""
        self.state = State()
        self.passes: list[Batch] = []
        self.shown: dict[str, object] = {}
        self.saved = time.monotonic()

    def run(self) -> State:
        self._resume()
        with console.progress("pretraining", self.s.tokens, "tokens", done=self.state.tokens) as bar:
            began, spent = time.monotonic(), time.process_time()
            while self.state.tokens < self.s.tokens:
                before = self.state.tokens
                self._step()
                now = time.monotonic(), time.process_time()
                self.state.seconds += now[0] - began
                self.state.processor += now[1] - spent
                began, spent = now
                self._after(before)
                bar.advance(self.state.tokens - before, step=self.state.step, **self.shown)
        return self.state

    def _resume(self) -> None:
        found = latest_checkpoint(self.r.folder)
        if found is None:
            self._next_pool(first=True)
            return
        tensors, state = found
        self.state = State(**state)
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                value.copy_(tensors[f"model/{name}"])
        self.optimiser.restore(tensors)
        self.sums.copy_(tensors["sums"])
        self.r.inputs.stand(self.state.longest, self.state.decks)
        self.passes = self.r.inputs.pool(self.state.pool)

    def _next_pool(self, *, first: bool = False) -> None:
        state = self.state
        state.pool, state.done = (0 if first else state.pool + 1), 0
        state.longest = _longest(state.tokens / self.s.tokens, self.s)
        self.r.inputs.stand(state.longest)
        state.decks = self.r.inputs.decks_at()
        self.passes = self.r.inputs.pool(state.pool)

    def _step(self) -> None:
        state = self.state
        chosen: list[Batch] = []
        while not chosen or sum(batch.ids.size for batch in chosen) + self.s.pass_tokens // 2 < self.s.batch_tokens:
            if state.done == len(self.passes):
                if chosen:
                    break
                self._next_pool()
            chosen.append(self.passes[state.done])
            state.done += 1
        with autocast(self.device, self.s.precision):
            found = losses(self.model, chosen, self.frequencies, self.s)
        self.r.accelerator.backward(found.total)
        self._count(chosen, found)
        self.optimiser.step(state.tokens)
        state.step += 1
        state.tokens += sum(batch.tokens for batch in chosen)
        state.places += sum(batch.ids.size for batch in chosen)
        state.masked += len(found.words)

    def _count(self, batches: list[Batch], found: Losses) -> None:
        groups = torch.as_tensor(np.concatenate([batch.groups for batch in batches])).to(self.device)
        count, words = len(self.r.inputs.groups), found.words.double()
        self.sums.index_add_(0, groups, words)
        self.sums.index_add_(0, groups + count, torch.ones_like(words))
        self.sums[2 * count] += found.sentences
        self.sums[2 * count + 1] += sum(len(batch.labels) for batch in batches)
        self.sums[2 * count + 2] += found.bag
        self.sums[2 * count + 3] += found.vectors

    def _after(self, before: int) -> None:
        """Look, record, keep, save; whatever is due."""
        state, budget = self.state, self.s.tokens
        over = state.tokens >= budget
        if over or state.tokens * _RECORDS // budget > before * _RECORDS // budget:
            self._record()
        elif state.step % _LOOK_EVERY == 0:
            self._look()
        for eighths in SNAPSHOTS:
            if before * 8 < eighths * budget <= state.tokens * 8:
                self.r.snapshot(eighths)
        now = time.monotonic()
        if over or now - self.saved > self.r.checkpoint_seconds:
            self._save()
            self.saved = time.monotonic()

    def _look(self) -> dict[str, Any]:
        """Mean losses since the last record. Raises DivergedError."""
        count = len(self.r.inputs.groups)
        sums = self.sums.tolist()
        if not np.isfinite(sums).all():
            problem = f"the loss is no number at step {self.state.step}"
            raise DivergedError(problem, "lower pretrain.matrix_rate or pretrain.other_rate and start in a new folder")
        words, numbers, (ns, ns_count, bag, bag_count) = sums[:count], sums[count : 2 * count], sums[2 * count :]
        found = {
            "words": {
                group: round(total / number, 4)
                for group, total, number in zip(self.r.inputs.groups, words, numbers, strict=True)
                if number
            },
            "all": round(sum(words) / max(1.0, sum(numbers)), 4),
        }
        if ns_count:
            found["next_sentence"] = round(ns / ns_count, 4)
        if bag_count:
            found["bag"] = round(bag / bag_count, 4)
        self.shown = {"loss": found["all"], "next": found.get("next_sentence", "-"), "bag": found.get("bag", "-")}
        return found

    def _record(self) -> None:
        self.state.history.append({"tokens": self.state.tokens, **self._look()})
        self.sums.zero_()

    def _save(self) -> None:
        tensors = {f"model/{name}": value for name, value in self.model.named_parameters()}
        save_checkpoint(
            self.r.folder,
            self.state.step,
            {**tensors, **self.optimiser.state(), "sums": self.sums},
            asdict(self.state),
        )


def _longest(share: float, settings: PretrainSettings) -> int:
    """The longest input after this share of the tokens."""
    ends = np.cumsum(settings.length_shares) / sum(settings.length_shares)
    return settings.lengths[min(int(np.searchsorted(ends, share, side="right")), len(ends) - 1)]
