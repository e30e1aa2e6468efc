"""mlsg's side of the training benchmarks: the code of `mlsg train`, stopped where the loop would begin.

Everything up to there is done by `mlsg.train.train` itself (views too, where a recipe stores them), and a step is the
loop's own step; this file only holds the two apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks import material
from mlsg.api import run_prepare
from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.workspace import Workspace
from mlsg.config.recipes import Recipe, load_recipe
from mlsg.context import Context, open_context
from mlsg.data.pairs import GradedPairs
from mlsg.model.encoder import Encoder
from mlsg.objectives.views import GuideViews
from mlsg.prepare import stream_sentences
from mlsg.train import loop as training_loop
from mlsg.train import train
from mlsg.train.checkpoints import save_best
from mlsg.train.loop import Run

_DEV = "bench.en"


@dataclass
class Ours:
    """A training under way."""

    loop: training_loop._Loop
    texts: Sequence[str]
    workspace: Workspace

    @property
    def guide_in_step(self) -> bool:
        """Whether the guide reads the batch at each step; False where its views are stored."""
        return isinstance(self.loop.r.objective.views, GuideViews)  # type: ignore[attr-defined]

    def rows_of(self, step: int) -> np.ndarray:
        """Which sentences a step is made of."""
        epoch, number = self.loop.plan.place(step)
        return self.loop.batches(epoch)[number]

    def texts_of(self, step: int) -> list[str]:
        """The sentences of a step."""
        return [self.texts[row] for row in self.rows_of(step)]

    def step(self) -> float:
        """One step, and the loss fetched."""
        self.loop._step()
        return float(self.loop.pending[-1])

    def measure(self) -> None:
        """One dev evaluation."""
        self.loop._note(self.loop._seen_by_probe())

    @property
    def checkpoint_size(self) -> int:
        """Bytes."""
        return sum(tensor.nbytes for tensor in self.loop._tensors().values())

    def save(self) -> None:
        """One checkpoint."""
        self.loop._save()

    def save_best(self) -> None:
        """The weights, as they are kept when dev has a new best."""
        save_best(self.loop.r.scratch, self.loop.state.step, self.loop._tuned_weights())

    def finish(self) -> None:
        """What follows the last step: an encoder, saved and hashed and published."""

        def make(folder: Path, scratch: Path) -> dict[str, object]:
            wanted = self.loop.r.encoder
            Encoder(self.loop.r.tuned, wanted.pooling, wanted.layer).save(folder, {})
            return {}

        self.workspace.build(Request("encoders", 1, "finished", {}, {}, {}), make)


@dataclass(frozen=True)
class Setting:
    """Where trainings of one text on one base are set up."""

    context: Context
    sentences: Artefact
    base: Path
    dev: str

    def recipe(self, **settings: object) -> Recipe:
        """`zero_shot` on the base; `settings` are those of [train], as `precision="bf16"`."""
        wanted = {"model": self.base, "dev": self.dev, "patience": 0, "collapse_above": 1, **settings}
        return load_recipe("zero_shot", [f"train.{name}={value}" for name, value in wanted.items()])

    def begin(self, *, objective: Sequence[str] = (), **settings: object) -> Ours:
        """Everything that `mlsg train` does before its loop; `objective` as in `["temperature=0.05"]`."""
        recipe = self.recipe(**settings)
        if objective:
            table = load_recipe("zero_shot", [f"objective.{each}" for each in objective]).objective
            recipe = replace(recipe, objective=table)
        with patch("mlsg.train.stage.fit", side_effect=_stop):
            try:
                self.train(recipe)
            except _Begun as begun:
                loop = training_loop._Loop(begun.run)
                loop.module.train()
                loop._rehearse()
                return Ours(loop, list(stream_sentences(self.sentences)), self.context.workspace)
        raise RuntimeError("the encoder was there already: take a fresh workspace")

    def train(self, recipe: Recipe) -> Artefact:
        """A whole training."""
        return train(recipe, self.context, self.sentences)


def setting(folder: Path, base: Path, texts: Sequence[str], dev: GradedPairs | None) -> Setting:
    """Prepare `texts` in a workspace under `folder`; `dev` becomes a set of its own."""
    langs, source = folder / "langs", folder / "sentences.txt"
    langs.mkdir(parents=True, exist_ok=True)
    if dev is not None:
        _declare(langs, dev)
    source.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    context = open_context(folder / "workspace", [langs], None)
    kept = ["min_chars=0", "max_chars=100000", "drop_evaluation=false"]
    recipe = load_recipe("zero_shot", [f"prepare.{each}" for each in kept])
    return Setting(context, run_prepare(recipe, context, [source]), base, _DEV if dev is not None else "none")


def corpus(folder: Path, base: Path) -> Setting:
    """The corpus and the dev set of the recipe as they are, for trainings that are really run."""
    context = open_context(folder / "workspace", [], material.data_root())
    recipe = load_recipe("zero_shot", [f"prepare.corpus={material.corpus_name()}"])
    return Setting(context, run_prepare(recipe, context), base, material.dev_name())


@contextmanager
def on(device: str) -> Iterator[None]:
    """Have `mlsg train` run on a device: it takes a GPU where it sees one."""
    before = os.environ.get("ACCELERATE_USE_CPU")
    os.environ["ACCELERATE_USE_CPU"] = str(device == "cpu").lower()
    try:
        yield
    finally:
        if before is None:
            del os.environ["ACCELERATE_USE_CPU"]
        else:
            os.environ["ACCELERATE_USE_CPU"] = before


def check_device(device: str) -> None:
    """End the benchmark where the device does not exist."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: run it with --device cpu")


def _declare(langs: Path, dev: GradedPairs) -> None:
    lines = ["first\tsecond\tscore"]
    rows = zip(dev.first, dev.second, dev.scores, strict=True)
    lines += [f"{' '.join(first.split())}\t{' '.join(second.split())}\t{score}" for first, second, score in rows]
    (langs / "dev.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (langs / "en.toml").write_text(
        f'code = "en"\nname = "English"\n\n[sets."{_DEV}"]\nfiles = "dev.tsv"\ncolumns = ["first", "second", "score"]\n'
        "quoted = false\ndefault = false\nprimary = false\n",
        encoding="utf-8",
    )


class _Begun(BaseException):
    """The loop would begin now. Not an Exception, so that nothing takes it for an error."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


def _stop(run: Run) -> None:
    raise _Begun(run)
