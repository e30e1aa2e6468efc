"""What each process of `test_distributed.py` does: the same small trainings in a group as the test does alone.

Stages, each a group of its own: three processes; two, who also stop half way; three who go on there.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mlsg.train import dev
from mlsg.train.distributed import ProcessGroup
from mlsg.train.loop import Run, State, _Loop, fit
from tests.train.small import COUNTS, Small

CASES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "base": ({"loss": "base"}, {}),
    "opt1": ({"loss": "opt1"}, {}),
    "opt2": ({"loss": "opt2"}, {}),
    "opt3": ({"loss": "opt3"}, {}),
    "opt3-chunks": ({"loss": "opt3"}, {"mini_batch_size": 2}),
    "base-chunks": ({"loss": "base"}, {"mini_batch_size": 1}),
    "opt1-masked": ({"loss": "opt1", "mask_duplicates": True}, {}),
    "opt3-masked": ({"loss": "opt3", "mask_duplicates": True}, {"train_embeddings": True}),
    "opt3-dropout": ({"loss": "opt3", "guide_dropout": True}, {"mini_batch_size": 2}),
    "base-dropout": ({"loss": "base"}, {}),
    "shared": ({"guide": "shared"}, {}),
    "simcse-dropout": ({"name": "simcse"}, {}),
    "simcse-chunks-dropout": ({"name": "simcse"}, {"mini_batch_size": 2}),
    "simcse-triplets": ({"name": "simcse", "hard_negative_weight": 0.3, "mask_duplicates": True}, {}),
    "bt-pairs": ({"name": "back_translation", "reg_weight": 0.1}, {"mini_batch_size": 3}),
    "sg_bt-pairs": ({"name": "sg_bt", "reg_weight": 0.1}, {}),
    "regression-scored_pairs": ({"name": "regression"}, {"mini_batch_size": 3}),
    "declutr-documents": ({"name": "declutr", "min_span": 5, "max_span": 24}, {}),
    "declutr-chunks-documents": ({"name": "declutr", "min_span": 5, "max_span": 24}, {"mini_batch_size": 2}),
}
TRAINED = (
    *("base", "opt1", "opt2", "opt3", "opt3-chunks", "opt3-dropout", "base-dropout"),
    *("simcse-dropout", "declutr-chunks-documents"),
)
STEPS = 20
BATCH = 9
"""38 sentences: the fifth batch of an epoch has two, and one of three processes none."""
STOP = 11
DEV_TOKENS = {"cpu": 60, "cuda": 60}
"""Few enough that all processes have something to encode."""


def prepared(
    base: Path, scratch: Path, case: str, kind: torch.dtype, group: ProcessGroup, *, temperature: float = 0.01
) -> Run:
    """A small training of a case, in float32 or float64."""
    objective, changes = CASES[case]
    settings = {"batch_size": BATCH, "epochs": 9, "max_steps": STEPS, "keep": "last", **changes}
    warm = {} if objective.get("name") == "regression" else {"temperature": temperature}
    wanted = {**warm, **({} if "name" in objective else {"reg_weight": 0.1}), **objective}
    small = Small(base, scratch, settings, wanted, checkpoint_every=4, kind=kind)
    text = case.rpartition("-")[2]
    small.text = text if text in COUNTS else "sentences"  # type: ignore[assignment]
    small.dropout = 0.1 if case.endswith("-dropout") else 0.0
    run = small.prepared()
    return dataclasses.replace(run, group=group, probe=dataclasses.replace(run.probe, group=group))


def losses_and_gradients(base: Path, scratch: Path, case: str, group: ProcessGroup) -> Iterator[tuple[str, Tensor]]:
    """Of a full batch and of short ones, in float32, away from the guide so that the regulariser has a gradient.

    Not at tau = 0.01: that makes a rounding error a hundred times as large before anything is exchanged.
    """
    run = prepared(base, scratch, case, torch.float32, group, temperature=0.05)
    loop = _Loop(run)
    for number, parameter in enumerate(run.tuned.parameters()):
        if parameter.requires_grad:
            noise = torch.Generator().manual_seed(number)
            parameter.data.add_(torch.randn(parameter.shape, generator=noise), alpha=0.01)
    for rows in (np.arange(3, 19), np.array([2, 30]), np.array([5, 0, 37, 8])):
        loss = loop._gradients(loop._batch(0, rows), 0)
        group.sum_([loss := loss.reshape(1)])
        yield f"loss/{len(rows)}", loss
        for name, trained in loop.trained.items():
            if trained.grad is not None:
                yield f"gradient/{len(rows)}/{name}", trained.grad
        loop.optimiser.zero_grad(set_to_none=True)


def trained(base: Path, scratch: Path, case: str, group: ProcessGroup) -> dict[str, Tensor]:
    """Weights after some steps in float64, and what was measured on the way."""
    run = prepared(base, scratch, case, torch.float64, group)
    return result(run, fit(run))


def result(run: Run, state: State) -> dict[str, Tensor]:
    """Weights, head included, and history."""
    heads = {f"head/{n}": p for part in run.objective.parts.values() for n, p in part.named_parameters()}
    history = [[e["step"], e["loss"] or 0.0, e["dev"], e["random_cosine"]] for e in state.history]
    measured = {"history": torch.tensor(history, dtype=torch.float64)}
    return {name: value.detach().clone() for name, value in {**run.tuned.state_dict(), **heads, **measured}.items()}


def everything(base: Path, scratch: Path, group: ProcessGroup) -> dict[str, Tensor]:
    """All cases."""
    found: dict[str, Tensor] = {}
    for case in CASES:
        found |= {f"{case}/once/{n}": t.clone() for n, t in losses_and_gradients(base, scratch / "0", case, group)}
        if case in TRAINED:
            found |= {f"{case}/trained/{n}": t for n, t in trained(base, scratch / case, case, group).items()}
    return found


def stopped(base: Path, scratch: Path, group: ProcessGroup) -> None:
    """Stop after some steps, as by a kill: nothing is tidied up."""
    loop = _Loop(prepared(base, scratch, "opt1", torch.float64, group))
    loop._after_step = _after(STOP, loop._after_step)  # type: ignore[method-assign]
    try:
        loop.run()
    except _StoppedError:
        return
    raise AssertionError("the training was not stopped")


class _StoppedError(Exception):
    pass


def _after(steps: int, plain: Any) -> Any:
    counted = itertools.count(1)

    def after_step() -> None:
        plain()
        if next(counted) == steps:
            raise _StoppedError

    return after_step


def stage(group: ProcessGroup, number: int, base: Path, out: Path) -> None:
    """One process of a stage."""
    dev._BATCH_TOKENS = DEV_TOKENS
    scratch = out / f"scratch-{number}-{group.rank}"
    if number < 2:
        found = everything(base, scratch, group)
    else:
        if group.is_main:
            shutil.copytree(out / "scratch-1-0" / "stopped", scratch / "opt1")
        found = trained(base, scratch / "opt1", "opt1", group)
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, out / f"{number}-{group.rank}")
    if number == 1:
        stopped(base, scratch / "stopped", group)
