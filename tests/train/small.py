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
from mlsg.config.recipes import EncoderSettings, TrainSettings
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives.interface import Batch, Objective, TrainingContext
from mlsg.train.dev import Probe, dev_probe, sample_probe
from mlsg.train.loop import Run, State, fit
from mlsg.train.schedule import draw_below, seed_of
from mlsg.train.text import TokenisedText
from tests.tiny_models import SENTENCES

TEXT = [*SENTENCES, *(f"{left} {right}" for left, right in zip(SENTENCES, SENTENCES[3:], strict=False)), SENTENCES[0]]
PAIRS = [(SENTENCES[i], SENTENCES[j], float((3 * i + j) % 6)) for i in range(6) for j in range(i + 1, 12)]
HEAD = {"head_width": 48}


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
        text = tokenised(base)
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


def tokenised(base: Backbone, sentences: list[str] | None = None) -> TokenisedText:
    return TokenisedText(base.tokenize(sentences or TEXT))


def build(base: Backbone, text: TokenisedText, encoder: EncoderSettings, seed: int = 1, **settings: Any) -> Objective:
    context = TrainingContext(base, encoder, text, torch.device("cpu"), partial(seed_of, seed))
    return objectives.read({"name": "self_guided", **HEAD, **settings}).build(context)


def batch(text: TokenisedText, rows: list[int], epoch: int = 0, chunk: int = 0) -> Batch:
    def draw(purpose: str, bound: int) -> list[int]:
        return [draw_below(bound, 1, purpose, epoch, row) for row in rows]

    chunks = text.mini_batches(np.asarray(rows), chunk, together=True, device=torch.device("cpu"))
    return Batch(rows, chunks, text.duplicates(rows), draw)


def loss_of(objective: Objective, tuned: Backbone, of: Batch) -> Tensor:
    """The loss of a batch without the penalty on weights."""
    return objective.loss(torch.cat([objective.anchors(tuned, packed) for packed in of.mini_batches]), of)
