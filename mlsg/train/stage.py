"""What happens when an encoder is really made: load the base, train it, save it with its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator

from mlsg import console
from mlsg.cache.files import readable_json, write_atomically
from mlsg.data.pairs import read_pairs
from mlsg.errors import DataError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.encoder import Encoder
from mlsg.model.provenance import provenance_in
from mlsg.objectives.interface import CacheKey, TrainingContext
from mlsg.prepare import stream_sentences
from mlsg.report.card import card
from mlsg.train.before import before_training
from mlsg.train.dev import Probe, dev_probe, sample_probe
from mlsg.train.distributed import ALONE, Team
from mlsg.train.draws import seed_of
from mlsg.train.loop import Run, State, fit
from mlsg.train.memory import keep_freed_memory
from mlsg.train.pace import Pace
from mlsg.train.text import TokenisedText, tokenised

if TYPE_CHECKING:
    from mlsg.train import TrainJob

_SENTENCE_FACTS = ("lang", "corpus", "kept", "licence", "transductive", "evaluation")


@dataclass(frozen=True)
class Trained:
    """What is left of a training."""

    tuned: Backbone
    state: State
    text: TokenisedText


def make_encoder(order: TrainJob, folder: Path, scratch: Path, pace: Pace, team: Team = ALONE) -> Mapping[str, Any]:
    """Write the encoder into `folder`; checkpoints go to `scratch`. Returns the facts. The others of `team` help."""
    wanted = order.recipe.encoder
    base = _base(order)
    facts: dict[str, Any] = {"steps": 0}
    if order.objective.trains:
        trained = _trained(order, base, scratch, pace, team)
        base.model.load_state_dict(trained.tuned.model.state_dict(), strict=trained.tuned.layers == base.layers)
        write_atomically(folder / "history.json", readable_json(_history(trained.state)))
        facts = _facts(trained.state, trained.text)
    Encoder(base.cpu(), wanted.pooling, wanted.layer).save(folder, provenance(order))
    made = provenance_in(folder)
    assert made is not None
    write_atomically(folder / "README.md", card(made, None))
    return facts


def help_to_train(order: TrainJob, scratch: Path, pace: Pace, team: Team) -> None:
    """What the others of a team do while the first one is in `make_encoder`; nothing is written."""
    _trained(order, _base(order), scratch, pace, team)


def provenance(order: TrainJob) -> dict[str, Any]:
    """What `mlsg.json` says of where an encoder comes from: all of it is in the key, nothing is a path or a time."""
    settings = order.request.settings
    told: dict[str, Any] = {
        "base": {"name": order.base_name, "revision": order.base_revision, "fingerprint": order.base_fingerprint},
        "objective": settings["objective"],
        "train": settings["train"],
        "sentences": None,
    }
    if order.sentences is not None:
        facts = order.sentences.facts
        told["sentences"] = {"key": order.sentences.key, **{n: facts[n] for n in _SENTENCE_FACTS if n in facts}}
    return told


def _base(order: TrainJob) -> Backbone:
    return load_backbone(order.recipe.train.model, order.base_revision or "main", hub=order.hub)


def _trained(order: TrainJob, base: Backbone, scratch: Path, pace: Pace, team: Team) -> Trained:
    settings, encoder = order.recipe.train, order.recipe.encoder
    accelerator = Accelerator(mixed_precision="no")  # precision is a setting of ours, not of the launcher
    assert order.sentences is not None
    longest = min(settings.max_length, base.max_length)
    text = tokenised(base, stream_sentences(order.sentences), longest, scratch)
    if len(text) < 2:
        raise DataError(f"{len(text)} sentences to train on", "prepare at least two")
    probe = _probe(order, base, text, longest, team)
    base.to(accelerator.device)
    origin = CacheKey(
        order.workspace,
        order.base_name,
        order.base_fingerprint,
        order.sentences.key,
        longest,
    )
    ground = TrainingContext(
        base, encoder, text, accelerator.device, partial(seed_of, settings.seed), settings.precision, origin
    )
    objective = order.objective.build(ground)  # copies the base before it is tuned, and before anything is frozen
    tuned = base if encoder.layer in {-1, base.layers} else base.truncated(encoder.layer)
    if not settings.train_embeddings:
        for parameter in tuned.embedding_parameters():
            parameter.requires_grad_(False)
    where = f"{accelerator.device}" if team.size == 1 else f"{team.size} processes, {accelerator.device.type}"
    console.note(f"training {order.base_name} ({order.objective.label}) on {len(text)} sentences, {where}")
    first = partial(before_training, order, longest, team)
    run = Run(tuned, objective, text, probe, settings, encoder, scratch, pace, accelerator, team, first)
    keep_freed_memory()
    return Trained(tuned, fit(run), text)


def _probe(order: TrainJob, base: Backbone, text: TokenisedText, longest: int, team: Team) -> Probe:
    settings = order.recipe.train
    if order.dev is None:
        return sample_probe(text, settings.seed, team)
    pairs = read_pairs(order.dev, order.hub)
    if len(set(pairs.scores)) < 2:
        raise DataError(f"every pair of dev set {pairs.name} has the same score", "choose another train.dev, or none")
    tokens = base.tokenize([*pairs.first, *pairs.second], longest)
    return dev_probe(TokenisedText(tokens), pairs.scores, team)


def _history(state: State) -> dict[str, Any]:
    return {"best_step": state.best_step or None, "best_dev": state.best_dev, "measurements": state.history}


def _facts(state: State, text: TokenisedText) -> dict[str, Any]:
    return {
        "steps": state.step,
        "best_step": state.best_step or None,
        "best_dev": state.best_dev,
        "dev_before": state.history[0]["dev"],
        "sentences": len(text),
        "duplicates": len(text) - len(text.distinct),
    }
