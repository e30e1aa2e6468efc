"""The training loop: any objective, on Accelerate, from the last checkpoint to the weights that are kept.

A step is a function of (seed, step): the order of sentences, the dropout masks and every draw of the objective are
keyed and not carried along. A killed training therefore goes on from its last checkpoint and ends with the same bits,
on the same machine with the same number of threads. The loop names no method. It runs in each of the processes of a
`ProcessGroup`: all of them take the same steps and the same decisions, and the first of them reads and writes.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlsg import console
from mlsg.config.recipes import EncoderSettings, TrainSettings
from mlsg.errors import SettingError
from mlsg.model.backbone import Backbone
from mlsg.objectives.interface import Batch, Objective
from mlsg.train.checkpoints import Checkpoint, latest_checkpoint, load_best, save_best, save_checkpoint
from mlsg.train.dev import Measure, Measurement, Probe
from mlsg.train.distributed import SINGLE_PROCESS, ProcessGroup
from mlsg.train.gradient_cache import GradientCache
from mlsg.train.job import CheckpointPolicy
from mlsg.train.optimiser import (
    adamw,
    learning_rate,
    make_moments,
    moments,
    restore_moments,
    set_learning_rate,
    update,
)
from mlsg.train.schedule import Plan, draw_below, order, seed_of
from mlsg.train.stopping import check_losses, check_measurement, collapse_bound, out_of_patience
from mlsg.train.text import TokenisedText

_LOOK_EVERY = 10
"""Steps between two looks at the losses: each look waits for the device."""


@dataclass
class State:
    """All that a checkpoint holds beside tensors."""

    step: int = 0
    """Steps done."""
    losses: float = 0.0
    """Sum of the losses since the last measurement, and over how many steps."""
    steps_of_losses: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry a measurement: step, mean loss since the one before, dev, random_cosine."""
    best_step: int = 0
    best_dev: float | None = None
    """Best of the measurements after step 0: what is saved has always been trained."""
    without_best: int = 0
    """Measurements since the best one."""


@dataclass(frozen=True)
class Run:
    """What the loop works on."""

    tuned: Backbone
    objective: Objective
    text: TokenisedText
    probe: Probe
    settings: TrainSettings
    encoder: EncoderSettings
    scratch: Path
    checkpoints: CheckpointPolicy
    device: torch.device
    group: ProcessGroup = SINGLE_PROCESS
    first: Callable[[Measure], Measurement] = lambda measure: measure()
    """Has the measurement at step 0, which another training may have made already."""


def fit(run: Run) -> State:
    """Train `run.tuned` in place and leave it with the weights that are kept.

    Raises DivergedError on a loss that is no number and on a collapse; the last good checkpoint stays in `run.scratch`.
    """
    with torch.random.fork_rng():
        state = _Loop(run).run()
    run.tuned.eval()
    return state


class _Loop:
    def __init__(self, run: Run) -> None:
        self.r, self.s = run, run.settings
        self.plan = Plan(len(run.text), self.s.batch_size, self.s.epochs, self.s.max_steps)
        self.device = run.device
        self.module = nn.ModuleList([run.tuned, *run.objective.parts.values()]).to(self.device)
        self.measured = run.tuned.for_measuring(self.s.precision)
        self.passes = GradientCache(run.tuned.for_training(), run.objective, self.device, self.s.precision)
        self.trained = _trained(run)
        self.regularised = {name: value for name, value in run.tuned.model.named_parameters() if value.requires_grad}
        self.optimiser = adamw(self.trained, self.s)
        make_moments(self.optimiser)
        self.state = State()
        self.pending: list[Tensor] = []
        size = sum(tensor.nbytes for tensor in self._tensors().values())
        self.next_save = time.monotonic() + run.checkpoints.seconds_before_first(size)
        self.shown: dict[str, object] = {}
        self.order = lru_cache(maxsize=1)(partial(order, self.s.seed, count=len(run.text)))

    def run(self) -> State:
        self._resume()
        self.module.train()
        if not self.state.step:
            self._rehearse()
        if not self.state.history:
            self._note(self.r.first(self._seen_by_probe))
        with console.progress(
            "training", self._seen(self.plan.steps), "sentences", done=self._seen(self.state.step)
        ) as bar:
            while self.state.step < self.plan.steps and not self._out_of_patience():
                rows = self._step()
                self._after_step()
                bar.advance(len(rows), step=f"{self.state.step}/{self.plan.steps}", **self.shown)
        self._keep()
        return self.state

    def _step(self) -> np.ndarray:
        step, settings = self.state.step, self.s
        epoch, _ = self.plan.place(step)
        rows = self.plan.rows(step, self.order(epoch))
        loss = self._gradients(self._batch(epoch, rows), epoch)
        set_learning_rate(self.optimiser, learning_rate(step, self.plan.steps, settings))
        update(self.optimiser, settings.max_grad_norm)
        self.optimiser.zero_grad(set_to_none=True)
        self.pending.append(loss)
        self.state.step += 1
        return rows

    def _gradients(self, batch: Batch, epoch: int) -> Tensor:
        """Gradients of the batch of all processes, in every `.grad`; returns this process's part of the loss."""
        group, regulariser = self.r.group, self.r.objective.regulariser
        # by sentence: masks depend neither on mini-batches nor on the number of processes
        seeds = [seed_of(self.s.seed, "dropout", epoch, int(row)) for row in batch.rows]
        loss = self.passes.gradients(batch, seeds)
        group.sum_gradients(self.trained.values())
        return loss if regulariser is None else loss + regulariser.add_gradient(self.regularised) / group.size

    def _rehearse(self) -> None:
        """Gradients of the longest sentences, thrown away: too little memory shows now and not in an hour."""
        longest = np.argsort(-self.r.text.tokens.lengths, kind="stable")[: self.s.batch_size]
        try:
            self._gradients(self._batch(0, longest), 0)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            tokens = int(self.r.text.tokens.lengths[longest].sum())
            raise SettingError(
                f"the memory of {self.device} does not hold the longest {len(longest)} sentences ({tokens} tokens)",
                "set train.mini_batch_size to fewer sentences (the batch stays whole), or lower train.max_length",
            ) from error
        self.optimiser.zero_grad(set_to_none=True)

    def _batch(self, epoch: int, whole: np.ndarray) -> Batch:
        """This process's part of the batch whose sentences are `whole`."""
        seed, text, shard = self.s.seed, self.r.text, self.r.group.shard(len(whole))
        rows = whole[shard.places]
        return Batch(
            rows,  # type: ignore[arg-type]
            text.mini_batches(rows, self.s.mini_batch_size, together=self.r.tuned.packs, device=self.device),
            text.duplicates(whole)[shard.places].to(self.device, non_blocking=True),
            lambda purpose, bound: [draw_below(bound, seed, purpose, epoch, int(row)) for row in rows],
            shard,
        )

    def _after_step(self) -> None:
        """Look at the losses, measure, save; whatever is due."""
        step = self.state.step
        last = step == self.plan.steps
        measuring = last or step % self.s.eval_steps == 0
        saving = step % self.r.checkpoints.save_steps == 0
        if measuring or saving or step % _LOOK_EVERY == 0:
            self.shown["loss"] = f"{self._look():.4f}"
        if measuring:
            seen = self._seen_by_probe()
            self._note(seen)
            if seen.dev is not None:
                self.shown["dev"] = f"{seen.dev:.4f}"
        if saving and self.r.group.is_main and time.monotonic() >= self.next_save:
            began = time.monotonic()
            self._save()
            ended = time.monotonic()
            self.next_save = ended + self.r.checkpoints.seconds_after(ended - began)

    def _look(self) -> float:
        """Fetch the losses of the last steps and add them up in the order of the steps. Returns the newest."""
        losses = torch.stack(self.pending)
        self.r.group.sum_([losses])
        values: list[float] = losses.tolist()
        self.pending.clear()
        check_losses(values, self.state.step, self.s, self.r.scratch)
        for value in values:
            self.state.losses += value
        self.state.steps_of_losses += len(values)
        return values[-1]

    def _seen_by_probe(self) -> Measurement:
        return self.r.probe.measure(self.measured, self.r.encoder, self.s.precision)

    def _note(self, seen: Measurement) -> None:
        """Write a measurement into the history, keep new best weights."""
        state = self.state
        bound = collapse_bound(self.s, state.history[0]["random_cosine"] if state.history else None)
        check_measurement(seen, bound, state.step, self.s, self.r.scratch)
        mean = state.losses / state.steps_of_losses if state.steps_of_losses else None
        entry = {"step": state.step, "loss": mean, "dev": seen.dev, "random_cosine": seen.random_cosine}
        state.history.append(entry)
        state.losses, state.steps_of_losses = 0.0, 0
        if seen.dev is not None and state.step:
            if state.best_dev is None or seen.dev > state.best_dev:
                state.best_step, state.best_dev, state.without_best = state.step, seen.dev, 0
                if self.s.keep == "best" and self.r.group.is_main:
                    save_best(self.r.scratch, state.step, self._tuned_weights())
            else:
                state.without_best += 1

    def _out_of_patience(self) -> bool:
        return out_of_patience(self.state.history, self.state.without_best, self.s)

    def _keep(self) -> None:
        """Put back the weights that were best, where they are asked for and known; they matter in the first process."""
        if self.r.group.is_main and self.s.keep == "best" and self.state.best_step not in {0, self.state.step}:
            _load(self._tuned_weights(), load_best(self.r.scratch, self.state.best_step))

    def _save(self) -> None:
        save_checkpoint(self.r.scratch, self.state.step, Checkpoint(self._tensors(), dataclasses.asdict(self.state)))

    def _tensors(self) -> dict[str, Tensor]:
        weights = {f"weights/{name}": value for name, value in self.trained.items()}
        return {**weights, **moments(self.optimiser, self.trained)}

    def _resume(self) -> None:
        found = latest_checkpoint(self.r.scratch) if self.r.group.is_main else None
        state = self.r.group.broadcast_object(found.state if found else None)
        if state is None:
            return
        tensors = self.r.group.broadcast_tensors(found.tensors if found else {})
        self.state = State(**state)
        weights = {name.removeprefix("weights/"): t for name, t in tensors.items() if name.startswith("weights/")}
        _load(self.trained, weights)
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("weights/")}
        restore_moments(self.optimiser, self.trained, kept)
        console.note(f"going on from the checkpoint of step {self.state.step}")

    def _tuned_weights(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.r.tuned.named_parameters() if value.requires_grad}

    def _seen(self, step: int) -> int:
        """Sentences seen after so many steps, the last batch of an epoch being short."""
        epochs, within = self.plan.place(step)
        return epochs * self.plan.sentences + min(within * self.plan.batch_size, self.plan.sentences)


def _trained(run: Run) -> dict[str, Tensor]:
    """Everything that the optimiser moves, by name: `tuned/...`, and the objective's own `head/...`."""
    found: dict[str, Tensor] = {
        f"tuned/{name}": value for name, value in run.tuned.named_parameters() if value.requires_grad
    }
    if not found:
        raise SettingError(
            f"encoder.layer = {run.encoder.layer} with train.train_embeddings = false leaves nothing to train",
            "choose a higher layer, or train the embeddings",
        )
    for part, module in run.objective.parts.items():
        found.update({f"{part}/{name}": value for name, value in module.named_parameters()})
    return found


@torch.no_grad()
def _load(into: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, parameter in into.items():
        parameter.copy_(values[name])
