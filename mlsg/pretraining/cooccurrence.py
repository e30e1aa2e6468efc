"""Vectors of the tokens of one language: tokens that occur in the same texts lie together.

A token x text matrix of positive pointwise mutual information, cut down to its largest singular vectors (latent
semantic analysis; Levy and Goldberg 2014 on the weighting). The singular values are left out: with them the first
directions would rule. The factors are found by random projection and power steps (Halko, Martinsson and Tropp 2011,
algorithm 4.4).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mlsg.pretraining.store import Store

_EXTRA = 32
_POWER_STEPS = 2


def occurrences(store: Store, lines: np.ndarray, vocabulary: int) -> sparse.csr_matrix:
    """(vocabulary, lines) float32: 1 where a line has a token."""
    lengths = store.lengths[lines]
    ids = np.concatenate([store.line(line) for line in lines.tolist()] or [store.ids[:0]]).astype(np.int32)
    texts = np.repeat(np.arange(len(lines), dtype=np.int32), lengths)
    counts = sparse.csr_matrix((np.ones(len(ids), np.float32), (ids, texts)), shape=(vocabulary, len(lines)))
    counts.data[:] = 1.0
    return counts


def token_vectors(counts: sparse.csr_matrix, width: int, generator: np.random.Generator) -> np.ndarray:
    """(vocabulary, width) float32, of length 1 and then centred; zeros for tokens that no text has."""
    seen = np.flatnonzero(np.diff(counts.indptr))
    found = _directions(_information(counts[seen]), width, generator)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.maximum(lengths, 1e-12)
    found -= found.mean(axis=0)
    result = np.zeros((counts.shape[0], width), np.float32)
    result[seen, : found.shape[1]] = found
    return result


def _information(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """ln(p(token, text) / p(token) p(text)), where it is positive."""
    tokens, texts = (np.asarray(counts.sum(axis=axis)).reshape(-1) for axis in (1, 0))
    found = counts.tocoo()
    ratio = found.data * (float(counts.sum()) / (tokens[found.row] * texts[found.col]))
    information = np.maximum(np.log(ratio), 0).astype(np.float32)
    return sparse.csr_matrix((information, (found.row, found.col)), shape=counts.shape)


def _directions(matrix: sparse.csr_matrix, width: int, generator: np.random.Generator) -> np.ndarray:
    """(rows, width or fewer): the left singular vectors of the largest singular values."""
    turned = matrix.T.tocsr()
    wanted = min(width + _EXTRA, *matrix.shape)
    basis = matrix @ generator.standard_normal((matrix.shape[1], wanted), dtype=np.float32)
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(basis)[0]
        basis = matrix @ (turned @ basis)
    basis = np.linalg.qr(basis)[0]
    left = np.linalg.svd((turned @ basis).T, full_matrices=False)[0]
    return (basis @ left[:, :width]).astype(np.float32)
