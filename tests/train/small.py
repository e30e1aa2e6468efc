"""A small training for tests: a tiny base, sentences written for this project, few steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlsg import objectives
from mlsg.config.recipes import EncoderSettings, Kind, TrainSettings
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives.interface import Batch, Objective, TrainingContext
from mlsg.objectives.sequences import first_text
from mlsg.train.dev import Probe, dev_probe, sample_probe
from mlsg.train.loop import Run, State, fit
from mlsg.train.schedule import draw_below, seed_of
from mlsg.train.text import TokenisedText, mini_batches
from tests.tiny_models import SENTENCES

TEXT = [*SENTENCES, *(f"{left} {right}" for left, right in zip(SENTENCES, SENTENCES[3:], strict=False)), SENTENCES[0]]
PAIRS = [(SENTENCES[i], SENTENCES[j], float((3 * i + j) % 6)) for i in range(6) for j in range(i + 1, 12)]
HEAD = {"head_width": 48}
WITH_HEAD = ("self_guided", "back_translation", "sg_bt")
COUNTS = {"sentences": 1, "pairs": 2, "triplets": 3, "documents": 1, "scored_pairs": 2}


def rows_of(kind: Kind) -> list[str]:
    """As many rows of a kind as `TEXT` has sentences, those of a row one after the other."""
    if kind == "documents":
        return [" ".join([*TEXT[number:], *TEXT[:number]]) for number in range(len(TEXT))]
    return [TEXT[(number + 7 * column) % len(TEXT)] for number in range(len(TEXT)) for column in range(COUNTS[kind])]


@dataclass
class Small:
    """Everything of one small training, with the settings that a test changes."""

    folder: Path
    scratch: Path
    train: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    encoder: EncoderSettings = field(default_factory=lambda: EncoderSettings(pooling="cls"))
    dev: bool = True
    checkpoint_every: int = 100
    kind: torch.dtype = torch.float32
    text: Kind = "sentences"
    dropout: float | None = None
    """None: as the base has it."""

    def run(self) -> tuple[State, Run]:
        run = self.prepared()
        return fit(run), run

    def prepared(self) -> Run:
        self.scratch.mkdir(parents=True, exist_ok=True)
        settings = TrainSettings(**{"batch_size": 4, "learning_rate": 1e-3, "eval_steps": 5, **self.train})
        base = load_backbone(str(self.folder)).to(self.kind)
        if self.dropout is not None:
            set_dropout(base, self.dropout)
        text = tokenised(base, rows_of(self.text), self.text)
        objective = build(base, text, self.encoder, settings.seed, **self.objective)
        for part in objective.parts.values():
            part.to(self.kind)
        if not settings.train_embeddings:
            for parameter in base.embedding_parameters():
                parameter.requires_grad_(False)
        probe = self.probe(base, text, settings)
        run = Run(base, objective, text, probe, settings, self.encoder, self.scratch, torch.device("cpu"))
        return replace(run, save_steps=self.checkpoint_every, max_save_share=math.inf)

    def probe(self, base: Backbone, text: TokenisedText, settings: TrainSettings) -> Probe:
        if not self.dev:
            return sample_probe(text, settings.seed)
        firsts, seconds, scores = zip(*PAIRS, strict=True)
        return dev_probe(TokenisedText(base.tokenize([*firsts, *seconds])), scores)


def set_dropout(base: Backbone, p: float) -> None:
    for module in base.modules():
        if isinstance(module, nn.Dropout):
            module.p = p


def tokenised(base: Backbone, sentences: list[str] | None = None, kind: Kind = "sentences") -> TokenisedText:
    longest = 10_000 if kind == "documents" else None
    tokens = base.tokenize(sentences or rows_of(kind), longest)
    scores = np.arange(len(tokens) // 2) % 6.0 if kind == "scored_pairs" else None
    return TokenisedText(tokens, kind, scores)


def build(base: Backbone, text: TokenisedText, encoder: EncoderSettings, seed: int = 1, **settings: Any) -> Objective:
    context = TrainingContext(base, encoder, text, torch.device("cpu"), partial(seed_of, seed))
    named = {"name": "self_guided", **settings}
    return objectives.read({**(HEAD if named["name"] in WITH_HEAD else {}), **named}).build(context)


def batch(
    text: TokenisedText, rows: list[int], epoch: int = 0, chunk: int = 0, objective: Objective | None = None
) -> Batch:
    def draw(purpose: str, bound: int) -> list[int]:
        return [draw_below(bound, 1, purpose, epoch, row) for row in rows]

    places = np.asarray(rows)
    sequences = objective.sequences(places, draw) if objective else first_text(text, places)
    chunks = mini_batches(sequences, chunk, together=True, device=torch.device("cpu"))
    return Batch(rows, chunks, text.duplicates(rows), draw)


def loss_of(objective: Objective, tuned: Backbone, of: Batch) -> Tensor:
    """The loss of a batch without the penalty on weights."""
    return objective.loss(torch.cat([objective.anchors(tuned, packed) for packed in of.mini_batches]), of)
