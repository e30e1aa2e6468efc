"""What happens when an encoder is really made: load the base, train it, save it with its provenance."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

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

import mlsg.evaluate  # isort: skip  # noqa: F401 - TEMP
from mlsg.report.card import card
from mlsg.train.dev import Probe, before_training, dev_probe, sample_probe
from mlsg.train.distributed import SINGLE_PROCESS, ProcessGroup
from mlsg.train.job import CheckpointPolicy, TrainJob
from mlsg.train.loop import Run, State, fit
from mlsg.train.schedule import seed_of
from mlsg.train.text import TokenisedText, tokenised

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
_SENTENCE_FACTS = ("lang", "corpus", "kept", "licence", "transductive", "evaluation")


def make_encoder(
    job: TrainJob, folder: Path, scratch: Path, checkpoints: CheckpointPolicy, group: ProcessGroup = SINGLE_PROCESS
) -> Mapping[str, Any]:
    """Write the encoder into `folder`; checkpoints go to `scratch`. Returns the facts. The others of `group` help."""
    wanted = job.recipe.encoder
    facts: dict[str, Any] = {"steps": 0}
    if job.objective.trains:
        base, run, state = _trained(job, scratch, checkpoints, group)
        base.model.load_state_dict(run.tuned.model.state_dict(), strict=run.tuned.layers == base.layers)
        write_atomically(folder / "history.json", readable_json(_history(state)))
        facts = _facts(state, run.text)
    else:
        base = _base(job)
    Encoder(base.cpu(), wanted.pooling, wanted.layer).save(folder, provenance(job))
    made = provenance_in(folder)
    assert made is not None
    write_atomically(folder / "README.md", card(made, None))
    return facts


def help_to_train(job: TrainJob, scratch: Path, checkpoints: CheckpointPolicy, group: ProcessGroup) -> None:
    """What the others of a group do while the first one is in `make_encoder`; nothing is written."""
    _trained(job, scratch, checkpoints, group)


def provenance(job: TrainJob) -> dict[str, Any]:
    """What `mlsg.json` says of where an encoder comes from: all of it is in the key, nothing is a path or a time."""
    settings = job.request.settings
    told: dict[str, Any] = {
        "base": {"name": job.base_name, "revision": job.base_revision, "fingerprint": job.base_fingerprint},
        "objective": settings["objective"],
        "train": settings["train"],
        "sentences": None,
    }
    if job.sentences is not None:
        facts = job.sentences.facts
        told["sentences"] = {"key": job.sentences.key, **{n: facts[n] for n in _SENTENCE_FACTS if n in facts}}
    return told


def _base(job: TrainJob) -> Backbone:
    return load_backbone(job.recipe.train.model, job.base_revision or "main", hub=job.hub)


def _trained(
    job: TrainJob, scratch: Path, checkpoints: CheckpointPolicy, group: ProcessGroup
) -> tuple[Backbone, Run, State]:
    with group.shared_errors():
        base = _base(job)
        run = _prepared(job, base, scratch, checkpoints, group)
    where = f"{run.device}" if group.size == 1 else f"{group.size} processes, {run.device.type}"
    console.note(f"training {job.base_name} ({job.objective.label}) on {len(run.text)} sentences, {where}")
    _keep_freed_memory()
    return base, run, fit(run)


def _prepared(job: TrainJob, base: Backbone, scratch: Path, checkpoints: CheckpointPolicy, group: ProcessGroup) -> Run:
    settings, encoder = job.recipe.train, job.recipe.encoder
    device = Accelerator(mixed_precision="no").device if group.size == 1 else group.device
    assert job.sentences is not None
    longest = min(settings.max_length, base.max_length)
    text = tokenised(base, stream_sentences(job.sentences), longest, scratch)
    if len(text) < 2:
        raise DataError(f"{len(text)} sentences to train on", "prepare at least two")
    probe = _probe(job, base, text, longest, group)
    base.to(device)
    origin = CacheKey(job.workspace, job.base_name, job.base_fingerprint, job.sentences.key, longest)
    seed = partial(seed_of, settings.seed)
    context = TrainingContext(base, encoder, text, device, seed, settings.precision, origin)
    objective = job.objective.build(context)  # copies the base before it is tuned, and before anything is frozen
    tuned = base if encoder.layer in {-1, base.layers} else base.truncated(encoder.layer)
    if not settings.train_embeddings:
        for parameter in tuned.embedding_parameters():
            parameter.requires_grad_(False)
    first = partial(before_training, job, longest, group)
    return Run(tuned, objective, text, probe, settings, encoder, scratch, checkpoints, device, group, first)


def _probe(job: TrainJob, base: Backbone, text: TokenisedText, longest: int, group: ProcessGroup) -> Probe:
    settings = job.recipe.train
    if job.dev is None:
        return sample_probe(text, settings.seed, group)
    pairs = read_pairs(job.dev, job.hub)
    if len(set(pairs.scores)) < 2:
        raise DataError(f"every pair of dev set {pairs.name} has the same score", "choose another train.dev, or none")
    tokens = base.tokenize([*pairs.first, *pairs.second], longest)
    return dev_probe(TokenisedText(tokens), pairs.scores, group)


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


def _keep_freed_memory() -> bool:
    """Let memory that a step has freed stay with the process for the next one; whether the C library can (glibc).

    By itself it returns large pieces to the system, which hands them out again page by page and zeroed: with gradients
    of hundreds of megabytes that was a tenth of a step of mBERT's shape.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))
    return False
