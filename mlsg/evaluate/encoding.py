"""Sentences to vectors for the evaluation: taken from the disk where they exist, else computed and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsg import console
from mlsg.cache.workspace import Workspace
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.vectors import Rows, VectorStore

if TYPE_CHECKING:
    from mlsg.hub import Hub
    from mlsg.model.encoder import Encoder

_KEPT_AT_ONCE = 8192  # A killed evaluation loses at most this many sentences


def encode_sentences(
    ref: EncoderRef,
    sentences: Sequence[str],
    precision: str,
    *,
    also: Sequence[EncoderRef] = (),
    workspace: Workspace,
    hub: Hub,
) -> tuple[Rows, dict[str, Any]]:
    """The vectors of distinct sentences under an encoder, and what is known of it (pooling, layer, dimension, prompt).

    `also` are other poolings of the same base: where the model has to be run, their vectors are made in the same pass
    and kept for whoever asks next. torch is imported only where something has to be computed. Raises ModelError.
    """
    store = VectorStore(workspace.root, ref, precision)
    facts = store.facts()
    rows = None if facts is None else store.find(sentences, facts["dimension"])
    if facts is None or rows is None or not rows.known.all():
        encoder = ref.load(precision, hub)
        facts = _note(store, encoder)
        rows = rows if rows is not None else store.find(sentences, encoder.dimension)
        _complete(rows, sentences, store, encoder, also)
    return rows, facts


def _complete(
    rows: Rows, sentences: Sequence[str], store: VectorStore, encoder: Encoder, also: Sequence[EncoderRef]
) -> None:
    """Compute and keep the rows that are not known yet."""
    from mlsg.model.encoder import Encoder, encode_tokens

    places = np.nonzero(~rows.known)[0].tolist()
    missing = [sentences[place] for place in places]
    stores, encoders, found = [store], [encoder], [Rows.empty(len(missing), encoder.dimension)]
    for other in also:
        beside = VectorStore(store.root, other, store.precision)
        if beside.folder != store.folder and not beside.find(missing, encoder.backbone.dimension).known.all():
            stores.append(beside)
            layer = -1 if other.layer is None else other.layer
            beside_it = Encoder(
                encoder.backbone,
                str(other.pooling),
                layer,
                prompts=encoder.prompts,
                default_prompt_name=encoder.default_prompt_name,
                precision=store.precision,
            )
            encoders.append(beside_it)
            found.append(Rows.empty(len(missing), encoder.backbone.dimension))
            _note(beside, encoders[-1])
    tokens = encoder.tokenize(missing)
    counts = encoder.counts_of(tokens)
    for each in found:
        each.truncated[:], each.unknown[:] = counts.truncated, counts.unknown
    waiting: list[int] = []
    began = time.monotonic()

    def keep() -> None:
        texts = [missing[row] for row in waiting]
        for each, own in zip(stores, found, strict=True):
            each.add(texts, own.of(waiting))
        waiting.clear()

    with console.progress(f"encode with {store.encoder.label}", total=len(missing), unit="sentences") as bar:
        for batch, vectors in encode_tokens(encoders, tokens, settled=True):
            done = np.unique(batch)
            for own, made in zip(found, vectors, strict=True):
                own.vectors[batch] = made
                own.known[done] = True
            waiting.extend(done.tolist())
            if len(waiting) >= _KEPT_AT_ONCE:
                keep()
            bar.advance(len(done))
    keep()
    for kept_in in stores if missing else ():
        kept_in.note_speed(len(missing) / max(time.monotonic() - began, 1e-9))
    rows.vectors[places], rows.known[places] = found[0].vectors, True
    rows.truncated[places], rows.unknown[places] = found[0].truncated, found[0].unknown


def _note(store: VectorStore, encoder: Encoder) -> dict[str, Any]:
    facts = {"pooling": encoder.pooling, "layer": encoder.layer, "dimension": encoder.dimension}
    facts["prompt"] = encoder.prompt_of()
    if store.facts() != facts:
        store.note_facts(facts)
    return facts
