"""The training loop: any objective, on Accelerate, from the last checkpoint to the weights that are kept.

A step is a function of (seed, step): the order of sentences, the dropout masks and every draw of the objective are
keyed and not carried along. A killed training therefore goes on from its last checkpoint and ends with the same bits,
on the same machine with the same number of threads. All processes of a `ProcessGroup` take the same steps and the same
decisions, and the first of them reads and writes. No method is named here.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlsg import console
from mlsg.config.recipes import EncoderSettings, TrainSettings
from mlsg.errors import DivergedError, SettingError
from mlsg.model.backbone import Backbone
from mlsg.objectives.interface import Batch, Objective
from mlsg.train.checkpoints import Checkpoint, latest_checkpoint, load_best, newest_step, save_best, save_checkpoint
from mlsg.train.dev import Measure, Measurement, Probe
from mlsg.train.distributed import SINGLE_PROCESS, ProcessGroup
from mlsg.train.optimiser import GradientCache, adamw, learning_rate, make_moments, moments, restore_moments, update
from mlsg.train.schedule import Plan, batches, draw_below, seed_of
from mlsg.train.text import TokenisedText, mini_batches

_LOOK_EVERY = 10  # steps between two looks at the losses: each look waits for the device
_DISK_SPEED = 1e9  # bytes a second, assumed before one checkpoint has shown it


@dataclass
class State:
    """All that a checkpoint holds beside tensors."""

    step: int = 0  # steps done
    losses: float = 0.0  # sum of the losses since the last measurement, and over how many steps
    steps_of_losses: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry a measurement: step, mean loss since the one before, dev, random_cosine."""
    best_step: int = 0
    best_dev: float | None = None  # best of the measurements after step 0: what is saved has always been trained
    without_best: int = 0  # measurements since the best one


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
    device: torch.device
    group: ProcessGroup = SINGLE_PROCESS
    first: Callable[[Measure], Measurement] = lambda measure: measure()
    """Has the measurement at step 0, which another training may have made already."""
    blocks: Sequence[int] = ()
    """Rows of each language, in the order of the text; none: of one language."""
    save_steps: int = 100
    """A checkpoint every `save_steps` steps, unless they would take more than a share of the time of the training."""
    max_save_share: float = 0.02


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
        blocks = run.blocks if self.s.batches == "one_language" and run.blocks else [len(run.text)]
        self.plan = Plan(blocks, self.s.batch_size, self.s.epochs, self.s.max_steps)
        modules = {"tuned": run.tuned, **run.objective.parts}
        self.module = nn.ModuleList(modules.values()).to(run.device)
        self.measured = run.tuned.for_measuring(self.s.precision)
        self.passes = GradientCache(run.tuned.for_training(), run.objective, run.device, self.s.precision)
        if not self._tuned_weights():
            raise SettingError(
                f"encoder.layer = {run.encoder.layer} with train.train_embeddings = false leaves nothing to train",
                "choose a higher layer, or train the embeddings",
            )
        named = [(f"{part}/{name}", p) for part, module in modules.items() for name, p in module.named_parameters()]
        self.trained: dict[str, Tensor] = {name: parameter for name, parameter in named if parameter.requires_grad}
        self.regularised = {name: value for name, value in run.tuned.model.named_parameters() if value.requires_grad}
        self.optimiser = adamw(self.trained, self.s)
        make_moments(self.optimiser)
        self.state = State()
        self.pending: list[Tensor] = []
        size = sum(tensor.nbytes for tensor in self._tensors().values())
        self.next_save = time.monotonic() + size / _DISK_SPEED / run.max_save_share
        self.shown: dict[str, object] = {}
        self.batches = lru_cache(maxsize=1)(partial(batches, self.s.seed, blocks=blocks, size=self.s.batch_size))

    def run(self) -> State:
        self._resume()
        state, steps = self.state, self.plan.steps
        self.module.train()
        if not state.step:
            self._rehearse()
        if not state.history:
            self._note(self.r.first(self._seen_by_probe))
        with console.progress("training", self.plan.seen(steps), "sentences", done=self.plan.seen(state.step)) as bar:
            while state.step < steps and not self._out_of_patience():
                rows = self._step()
                self._after_step()
                bar.advance(len(rows), step=f"{state.step}/{steps}", **self.shown)
        if self.r.group.is_main and self.s.keep == "best" and state.best_step not in {0, state.step}:
            _load(self._tuned_weights(), load_best(self.r.scratch, state.best_step))
        return state

    def _step(self) -> np.ndarray:
        step = self.state.step
        epoch, number = self.plan.place(step)
        rows = self.batches(epoch)[number]
        self.pending.append(self._gradients(self._batch(epoch, rows), epoch))
        update(self.optimiser, learning_rate(step, self.plan.steps, self.s), self.s.max_grad_norm)
        self.optimiser.zero_grad(set_to_none=True)
        self.state.step += 1
        return rows

    def _gradients(self, batch: Batch, epoch: int) -> Tensor:
        """Gradients of the batch of all processes, in every `.grad`; returns this process's part of the loss."""
        group, regulariser = self.r.group, self.r.objective.regulariser
        # by sentence: masks depend neither on mini-batches nor on the number of processes
        sequences = sum(map(len, batch.mini_batches)) // len(batch.rows)
        which = [(int(row), *([copy] if copy else [])) for row in batch.rows for copy in range(sequences)]
        seeds = [seed_of(self.s.seed, "dropout", epoch, *each) for each in which]
        loss = self.passes.gradients(batch, seeds)
        group.sum_([value.grad for value in self.trained.values() if value.grad is not None])
        return loss if regulariser is None else loss + regulariser.add_gradient(self.regularised) / group.size

    def _rehearse(self) -> None:
        """Gradients of the longest sentences, thrown away: too little memory shows now and not in an hour."""
        longest = np.argsort(-self.r.text.lengths, kind="stable")[: self.s.batch_size]
        try:
            self._gradients(self._batch(0, longest), 0)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            tokens = int(self.r.text.lengths[longest].sum())
            raise SettingError(
                f"the memory of {self.r.device} does not hold the longest {len(longest)} sentences ({tokens} tokens)",
                "set train.mini_batch_size to fewer sentences (the batch stays whole), or lower train.max_length",
            ) from error
        self.optimiser.zero_grad(set_to_none=True)

    def _batch(self, epoch: int, whole: np.ndarray) -> Batch:
        """This process's part of the batch whose sentences are `whole`."""
        seed, text, shard = self.s.seed, self.r.text, self.r.group.shard(len(whole))
        rows = whole[shard.places]

        def draw(purpose: str, bound: int) -> list[int]:
            return [draw_below(bound, seed, purpose, epoch, int(row)) for row in rows]

        sequences = self.r.objective.sequences(rows, draw)
        return Batch(
            rows,  # type: ignore[arg-type]
            mini_batches(sequences, self.s.mini_batch_size, together=self.r.tuned.packs, device=self.r.device),
            text.duplicates(whole)[shard.places].to(self.r.device, non_blocking=True),
            draw,
            shard,
        )

    def _after_step(self) -> None:
        """Look at the losses, measure, save; whatever is due."""
        step = self.state.step
        measuring = step == self.plan.steps or step % self.s.eval_steps == 0
        saving = step % self.r.save_steps == 0
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
            self.next_save = ended + (ended - began) / self.r.max_save_share

    def _look(self) -> float:
        """Fetch the losses of the last steps and add them up in the order of the steps. Returns the newest."""
        losses = torch.stack(self.pending)
        self.r.group.sum_([losses])
        self.pending.clear()
        values: list[float] = losses.tolist()
        for step, value in enumerate(values, start=self.state.step - len(values) + 1):
            if not math.isfinite(value):
                raise self._diverged(f"the loss of step {step} is {value}")
            self.state.losses += value
        self.state.steps_of_losses += len(values)
        return values[-1]

    def _seen_by_probe(self) -> Measurement:
        return self.r.probe.measure(self.measured, self.r.encoder, self.s.precision)

    def _note(self, seen: Measurement) -> None:
        """Write a measurement into the history, keep new best weights; raise for a collapse."""
        state = self.state
        self._check(seen)
        mean = state.losses / state.steps_of_losses if state.steps_of_losses else None
        state.history.append({"step": state.step, "loss": mean, **vars(seen)})
        state.losses, state.steps_of_losses = 0.0, 0
        if seen.dev is not None and state.step:
            if state.best_dev is None or seen.dev > state.best_dev:
                state.best_step, state.best_dev, state.without_best = state.step, seen.dev, 0
                if self.s.keep == "best" and self.r.group.is_main:
                    save_best(self.r.scratch, state.step, self._tuned_weights())
            else:
                state.without_best += 1

    def _check(self, seen: Measurement) -> None:
        """Raise DivergedError for vectors that are no numbers and, once training has begun, for a collapse.

        Some bases (XLM-R's [CLS]) start above any sensible bound without being useless, so it lies at least half way
        from where training began to 1: `collapse_above = 0.995` and a base at 0.999 give 0.9995.
        """
        step, cosine = self.state.step, seen.random_cosine
        if not math.isfinite(cosine):
            raise self._diverged(f"vectors at step {step} are not finite")
        if step:
            bound = max([self.s.collapse_above, *((1 + e["random_cosine"]) / 2 for e in self.state.history[:1])])
            if cosine > bound:
                raise self._diverged(f"at step {step} random pairs have a mean cosine of {cosine:.5f}, above {bound:g}")

    def _diverged(self, problem: str) -> DivergedError:
        kept = newest_step(self.r.scratch)
        where = f"; the checkpoint of step {kept} is kept in {self.r.scratch}" if kept is not None else ""
        rate = f"lower train.learning_rate (it is {self.s.learning_rate:g}) or raise train.warmup_ratio"
        return DivergedError(f"training diverged: {problem}", rate + where)

    def _out_of_patience(self) -> bool:
        """Whether dev has not improved for long enough.

        "drops" is what the authors' code does: every score below the one before counts, the first one if it is below
        0 (the score before training is not looked at), and nothing resets the count, so that a curve that rises in
        zigzags is stopped too.
        """
        if not self.s.patience:
            return False
        if self.s.stopping == "best":
            return self.state.without_best >= self.s.patience
        trained: list[float] = [each["dev"] for each in self.state.history if each["step"] and each["dev"] is not None]
        return sum(later < before for before, later in pairwise([0.0, *trained])) >= self.s.patience

    def _save(self) -> None:
        save_checkpoint(self.r.scratch, self.state.step, Checkpoint(self._tensors(), dataclasses.asdict(self.state)))

    def _tensors(self) -> dict[str, Tensor]:
        weights = {f"weights/{name}": value for name, value in self.trained.items()}
        return {**weights, **moments(self.optimiser, self.trained)}

    def _resume(self) -> None:
        sent = self.r.group.broadcast_object
        found = latest_checkpoint(self.r.scratch) if self.r.group.is_main else None
        mine, state = dict(found.tensors) if found else {}, sent(found and found.state)
        if state is None:
            return
        tensors = {name: sent(mine.get(name)) for name in sent(list(mine))}  # one by one, for the memory
        self.state = State(**state)
        _load(self.trained, {name: tensors.pop(f"weights/{name}") for name in self.trained})
        restore_moments(self.optimiser, self.trained, tensors)
        console.note(f"going on from the checkpoint of step {self.state.step}")

    def _tuned_weights(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.r.tuned.named_parameters() if value.requires_grad}


@torch.no_grad()
def _load(into: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, parameter in into.items():
        parameter.copy_(values[name])
