"""Embeddings to start from, of all languages in one space: those of each language turned onto those of a hub.

The hub is the language with the most translations. A language's token vectors are turned by the orthogonal map that
brings its side of the translations nearest to the hub's side (Procrustes; Schoenemann 1966); a token of the
translations is also drawn to where the hub's sides of its texts lie. A token that several languages use gets the mean,
weighted by use. A language without translations is turned by the tokens that it shares with the hub.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mlsg import console
from mlsg.pretraining.cooccurrence import occurrences, token_vectors
from mlsg.pretraining.store import Store
from mlsg.train.schedule import seed_of

_LINES = 60_000
"""Lines of a language at most, apart from translations: more change little and take long."""
_RARE = 1e-3
"""Tokens of this frequency count half as much as the rarest in the vector of a text (Arora et al. 2017)."""
_PULL, _FEW = 0.4, 5.0
"""How much a token is drawn to the hub's sides of its texts, if it has many, and how many texts give half of that."""


def start_vectors(store: Store, vocabulary: int, width: int, seed: int) -> np.ndarray:
    """(vocabulary, width) float32; zeros for tokens that no text has, all others of length 1."""
    frequencies = np.bincount(store.ids, minlength=vocabulary) / max(1, len(store.ids))
    weights = (_RARE / (_RARE + frequencies)).astype(np.float32)
    languages = _hub_first(store)
    total, uses = np.zeros((vocabulary, width), np.float32), np.zeros(vocabulary, np.float32)
    hub = total
    with console.progress("embeddings", len(languages), "languages") as bar:
        for lang in languages:
            number = store.languages.index(lang)
            generator = np.random.Generator(np.random.PCG64(seed_of(seed, "cooccurrence", number)))
            own, others = _sides(store, number, store.languages.index(languages[0]))
            counts = occurrences(store, _lines(store, lang, own, generator), vocabulary)
            vectors = token_vectors(counts, width, generator)
            if lang == languages[0]:
                hub = vectors
            elif len(own):
                vectors = _turned(store, vectors, own, _texts(store, hub, others, weights), weights)
            else:
                vectors = vectors @ _rotation(vectors, hub)
            used = np.asarray(counts.sum(axis=1)).reshape(-1)
            total += vectors * used[:, None]
            uses += used
            bar.advance()
    total[uses > 0] -= (total[uses > 0] / uses[uses > 0, None]).mean(axis=0) * uses[uses > 0, None]
    return _unit(total)


def _hub_first(store: Store) -> list[str]:
    rows = np.bincount(store.pair_langs.reshape(-1), minlength=len(store.languages))
    order = np.argsort(-rows, kind="stable")
    return [store.languages[number] for number in order if store.tokens_of(store.languages[number])]


def _sides(store: Store, number: int, hub: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines of a language in the translations, and the hub's lines that stand beside them."""
    langs = store.pair_langs
    rows = np.flatnonzero((langs == number).any(axis=1) & (langs == hub).any(axis=1))
    own = store.pairs + 2 * rows + (langs[rows, 0] != number)
    return own, store.pairs + 2 * rows + (langs[rows, 0] == number)


def _lines(store: Store, lang: str, own: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The language's lines, or a sample of them, and its sides of the translations."""
    bounds = store.documents[lang]
    chosen = int(bounds[0]) + np.sort(generator.permutation(int(bounds[-1] - bounds[0]))[:_LINES])
    return np.concatenate((chosen, own[:_LINES]))


def _texts(store: Store, vectors: np.ndarray, lines: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(lines, width): weighted means of the tokens of each line, centred, of length 1."""
    found = occurrences(store, lines, len(vectors)).T @ (vectors * weights[:, None])
    return _unit(_unit(found) - _unit(found).mean(axis=0))


def _turned(store: Store, vectors: np.ndarray, own: np.ndarray, beside: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Token vectors of a language in the hub's space; `beside` are the texts of the hub at its translations."""
    turned = vectors @ _rotation(_texts(store, vectors, own, weights), beside)
    counts = occurrences(store, own, len(vectors))
    lengths = np.maximum(np.asarray(counts.sum(axis=0)).reshape(-1), 1)
    drawn = _unit(counts @ (sparse.diags_array(1 / lengths).astype(np.float32) @ beside))  # long texts say less
    texts = np.asarray(counts.sum(axis=1)).reshape(-1)
    pull = (_PULL * texts / (texts + _FEW))[:, None]
    return ((1 - pull) * _unit(turned) + pull * drawn).astype(np.float32)


def _rotation(vectors: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """The orthogonal matrix that brings the rows of one nearest to the rows of the other."""
    left, _, right = np.linalg.svd(vectors.T @ onto)
    return left @ right


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)
