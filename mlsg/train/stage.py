"""What happens when an encoder is really made: load the base, train it, save it with its provenance."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator

from mlsg import console
from mlsg.cache.files import canonical_json, readable_json, sha256_text, write_atomically
from mlsg.data.pairs import read_pairs
from mlsg.errors import DataError, SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.encoder import Encoder
from mlsg.model.provenance import provenance_in
from mlsg.objectives.interface import CacheKey, TrainingContext
from mlsg.objectives.views import sif_weights
from mlsg.prepare import stream_sentences, text_sha256
from mlsg.report.card import card
from mlsg.train.dev import before_training, dev_probe, sample_probe
from mlsg.train.distributed import SINGLE_PROCESS, ProcessGroup
from mlsg.train.host import limits_said
from mlsg.train.loop import Run, State, fit
from mlsg.train.schedule import seed_of
from mlsg.train.start import Start, start_of
from mlsg.train.text import TokenisedText, tokenised

if TYPE_CHECKING:
    from mlsg.train import TrainJob

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
_SENTENCE_FACTS = ("lang", "languages", "kind", "corpus", "kept", "licence", "transductive", "evaluation")


def make_encoder(job: TrainJob, folder: Path, scratch: Path, group: ProcessGroup | None) -> Mapping[str, Any]:
    """Write the encoder into `folder`; checkpoints go to `scratch`, which is sent to `group`. Returns the facts."""
    group = group or SINGLE_PROCESS
    facts: dict[str, Any] = {"steps": 0}
    if job.objective.trains:
        group.broadcast_object(scratch)
        base, run, state = train_base(job, scratch, group)
        base.model.load_state_dict(run.tuned.model.state_dict(), strict=run.tuned.layers == base.layers)
        best = {"best_step": state.best_step or None, "best_dev": state.best_dev}
        write_atomically(folder / "history.json", readable_json({**best, "measurements": state.history}))
        sentences, distinct = len(run.text), len(run.text.distinct)
        text = {"sentences": sentences, "duplicates": sentences - distinct}
        assert job.sentences is not None
        if short := job.sentences.facts.get("kept", sentences) - sentences:
            text["too_short"] = short
        facts = {"steps": state.step, **best, "dev_before": state.history[0]["dev"], **text}
    else:
        base = load_backbone(job.recipe.train.model, job.base_revision or "main", hub=job.hub)
    start = start_of(job)
    encoder = Encoder(
        base.cpu(),
        start.encoder.pooling,
        start.encoder.layer,
        prompts=start.prompts.by_name,
        default_prompt_name=start.prompts.default_name,
    )
    if start.encoder.pooling == "sif":
        encoder.word_weights = _word_weights(job, base, start, scratch)
    if job.transform:
        encoder = _transformed(encoder, job, start)
    encoder.save(folder, _provenance(job, start))
    facts |= {"prompt": start.prompts.text, "dropped": list(start.dropped)}
    made = provenance_in(folder)
    assert made is not None
    write_atomically(folder / "README.md", card(made, None))
    return facts


def _word_weights(job: TrainJob, base: Backbone, start: Start, scratch: Path) -> torch.Tensor:
    """(vocabulary,) the weight of every token by how often it is in the text."""
    assert job.sentences is not None
    kind = job.sentences.facts.get("kind", "sentences")
    longest = min(job.recipe.train.max_length, base.max_length)
    text = tokenised(base, stream_sentences(job.sentences), longest, scratch, kind, start.prompts.text)
    return sif_weights(text.token_counts(base.model.config.vocab_size))


def _transformed(encoder: Encoder, job: TrainJob, start: Start) -> Encoder:
    """The same encoder with the transform after its pooling, fitted on its vectors of the whole text."""
    assert job.transform is not None
    assert job.sentences is not None
    device = Accelerator(mixed_precision="no").device
    encoder.backbone.to(device)
    rows = [row.split("\t") for row in stream_sentences(job.sentences)]
    texts = [text for row in rows for text in row]
    languages = {code: count * len(rows[0]) for code, count in job.sentences.facts.get("languages", {}).items()}
    with limits_said("fitting the transform"):
        vectors = encoder.encode(texts, prompt=start.prompts.text, show_progress_bar=True)
        fitted = job.transform.fit(torch.from_numpy(vectors), seed_of(job.recipe.train.seed, "transform"), languages)
    return encoder.followed_by(fitted)


def train_base(job: TrainJob, scratch: Path, group: ProcessGroup) -> tuple[Backbone, Run, State]:
    """Load the base and train it, by all processes of a group; the main one writes checkpoints to `scratch`."""
    with group.shared_errors(), limits_said("training"):
        start = start_of(job)
        if start.encoder.pooling in ("sif", "wk"):
            problem = f"the pooling {start.encoder.pooling} is for bases as they are, it is not trained under"
            raise SettingError(problem, "set encoder.pooling=mean, or objective.name=untuned")
        base = load_backbone(job.recipe.train.model, job.base_revision or "main", hub=job.hub)
        run = _prepared(job, start, base, scratch, group)
    where = f"{run.device}" if group.size == 1 else f"{group.size} processes, {run.device.type}"
    console.note(f"training {job.base_name} ({job.objective.label}) on {len(run.text)} sentences, {where}")
    _keep_freed_memory()
    with limits_said("training"):
        return base, run, fit(run)


def _provenance(job: TrainJob, start: Start) -> dict[str, Any]:
    """What `mlsg.json` says of where an encoder comes from: nothing is a path or a time.

    All of it is in the key, but for the evaluation sets that the text had been compared with at the first training.
    """
    settings, sentences = job.request.settings, None
    if job.sentences is not None:
        facts = job.sentences.facts
        sentences = {
            "sha256": text_sha256(job.sentences),
            **{name: facts[name] for name in _SENTENCE_FACTS if name in facts},
        }
    return {
        "base": {"name": job.base_name, "revision": job.base_revision, "fingerprint": job.base_fingerprint},
        "objective": settings["objective"],
        **({"transform": settings["transform"]} if job.transform else {}),
        "train": settings["train"],
        "sentences": sentences,
        "prompt": start.prompts.text,
        "dropped": list(start.dropped),
    }


def _prepared(job: TrainJob, start: Start, base: Backbone, scratch: Path, group: ProcessGroup) -> Run:
    settings, encoder, prompt = job.recipe.train, start.encoder, start.prompts.text
    device = Accelerator(mixed_precision="no").device if group.size == 1 else group.device
    assert job.sentences is not None
    longest = min(settings.max_length, base.max_length)
    kind = job.sentences.facts.get("kind", "sentences")
    text = tokenised(base, stream_sentences(job.sentences), longest, scratch, kind, prompt)
    least = job.objective.least_tokens
    text, kept = text.at_least(least)
    if len(text) < 2:
        short = f", {len(kept) - len(text)} others have fewer than {least} tokens" if least else ""
        raise DataError(f"{len(text)} {kind} to train on{short}", "prepare at least two that are long enough")
    if job.dev is None:
        probe = sample_probe(TokenisedText(text.column(0).tokens.cut(longest)), settings.seed, group)
    else:
        pairs = read_pairs(job.dev, job.hub)
        if len(set(pairs.scores)) < 2:
            problem = f"every pair of dev set {pairs.name} has the same score"
            raise DataError(problem, "choose another train.dev, or none")
        both = [prompt + text for text in (*pairs.first, *pairs.second)]
        probe = dev_probe(TokenisedText(base.tokenize(both, longest)), pairs.scores, group)
    base.to(device)
    text_key = text_sha256(job.sentences)
    text_key = sha256_text(canonical_json([text_key, prompt])) if prompt else text_key
    origin = CacheKey(job.workspace, job.base_name, job.base_fingerprint, text_key, longest)
    seed = partial(seed_of, settings.seed)
    context = TrainingContext(base, encoder, text, device, seed, settings.precision, origin)
    objective = job.objective.build(context)  # copies the base before it is tuned, and before anything is frozen
    tuned = base if encoder.layer in {-1, base.layers} else base.truncated(encoder.layer)
    if not settings.train_embeddings:
        for parameter in tuned.embedding_parameters():
            parameter.requires_grad_(False)
    languages: Mapping[str, int] = job.sentences.facts.get("languages", {})
    first = partial(before_training, job, encoder, longest, group)
    blocks = [int(part.sum()) for part in np.split(kept, np.cumsum([*languages.values()][:-1]))] if languages else []
    return Run(tuned, objective, text, probe, settings, encoder, scratch, device, group, first, blocks)


def _keep_freed_memory() -> None:
    """Let memory that a step has freed stay with the process for the next one, where the C library can (glibc).

    By itself it returns large pieces to the system, which hands them out again page by page and zeroed: with gradients
    of hundreds of megabytes that was a tenth of a step of mBERT's shape.
    """
    if platform.libc_ver()[0] == "glibc":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, -1)
