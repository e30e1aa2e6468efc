"""Several sentences in one row: a batch of random sentences without the third of it that padding would be.

    packed = pack(tokens, rows, together=backbone.packs).to(backbone.device)
    vectors = pool_packed(backbone.states_of(packed), packed, "mean")      # (b, d), sentences in the order of `rows`

Each token attends to the tokens of its own sentence and counts its position from that sentence's start, so results are
those of padded sentences to rounding. A base that cannot do this (`can_pack`) has each sentence in a row of its own;
nothing else changes for the caller.
Shapes: b sentences of n tokens in all, r rows of t tokens, d dimensions, L layers.
"""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from mlsg.errors import SettingError, nearest
from mlsg.model.folder_keys import LAYER_MEANS, MODES
from mlsg.model.pooling import checked_layer, modes_of, wide
from mlsg.model.tokens import Tokens

ROW = 64  # tokens of a row, if no sentence is longer: enough to waste little, few enough that attention stays cheap
WASTE = 0.05  # share of a batch that may be padding
_PACKED = (
    *("albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "gte"),
    *("nomic_bert", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
)
"""Bases whose attention knows nothing but the mask it is given, and whose positions come only from `position_ids`."""


@dataclass(frozen=True)
class Packed:
    """b sentences laid out in r rows."""

    ids: Tensor  # (r, t) int64
    positions: Tensor  # (r, t) int64, from 0 at each sentence's start
    owners: Tensor  # (r, t) int64: the sentence that a token belongs to, 0..b-1; -1 for padding
    places: Tensor  # (n,) int64: where each token is in a flattened (r * t), sentence after sentence
    lengths: Tensor  # (b,) int64: tokens of each sentence
    firsts: Tensor  # (b,) int64: where each sentence's [CLS] is in a flattened (r * t)
    together: bool  # whether sentences share rows
    unpadded: Tensor | None = None  # (r, t) positions that leave out padding ids inside sentences, where there are any
    targets: Tensor | None = None  # (r, t) int64: the id to be predicted, -1: none

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def mask(self) -> Tensor:
        """(r, 1, t, t) bool, true within a sentence; (r, t) int64, 1 for a token, where no sentences share a row."""
        if self.together:
            return self.owners[:, None, :, None] == self.owners[:, None, None, :]
        return (self.owners >= 0).long()

    @property
    def lasts(self) -> Tensor:
        """(b,) int64: where each sentence's last token is in a flattened (r * t)."""
        return self.firsts + self.lengths - 1

    def after(self, prompt: int) -> Packed:
        """The same for poolings that leave out the first `prompt` tokens of each sentence; attention sees them.

        As sentence-transformers does it: of a sentence without other tokens [CLS] stays the first.
        """
        kept = self.positions.flatten()[self.places] >= prompt
        lengths = (self.lengths - prompt).clamp(min=0)
        firsts = torch.where(lengths > 0, self.firsts + prompt, self.firsts)
        return replace(self, places=self.places[kept], lengths=lengths, firsts=firsts)

    def to(self, device: torch.device) -> Packed:
        """The same on a device."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {name: part for name, part in parts.items() if isinstance(part, Tensor)}
        moved: dict[str, Any] = {name: part.to(device, non_blocking=True) for name, part in tensors.items()}
        return replace(self, **moved)


def pack(
    tokens: Tokens, rows: Sequence[int] | NDArray[np.int64], *, together: bool = True, budget: int = ROW
) -> Packed:
    """Lay out some sentences in rows of about `budget` tokens and equal length; each in its own if not `together`."""
    rows = np.asarray(rows, dtype=np.int64)
    lengths = tokens.lengths[rows]  # (b,)
    line, offset = _shared_rows(lengths, budget) if together else (np.arange(len(rows)), np.zeros_like(lengths))
    width = int((offset + lengths).max(initial=0))
    shape = (int(line.max(initial=-1)) + 1, width)
    firsts = line * width + offset  # (b,)
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # (n,)
    places = np.repeat(firsts, lengths) + within

    def laid(values: NDArray[np.int64], empty: int) -> Tensor:
        flat = np.full(shape[0] * shape[1], empty, dtype=np.int64)
        flat[places] = values
        return torch.from_numpy(flat.reshape(shape))

    at = np.repeat(tokens.starts[rows], lengths) + within  # (n,)
    ids = tokens.flat[at].astype(np.int64)
    is_padding, unpadded = ids == tokens.padding, None
    if together and is_padding.any():
        before = np.cumsum(is_padding)  # (n,): how many up to here, then without those of earlier sentences
        before -= np.repeat((before - is_padding)[np.cumsum(lengths) - lengths], lengths)
        unpadded = laid(np.where(is_padding, -1, within - before), 0)
    return Packed(
        ids=laid(ids, tokens.padding),
        positions=laid(within, 0),
        owners=laid(np.repeat(np.arange(len(rows)), lengths), -1),
        places=torch.from_numpy(places),
        lengths=torch.from_numpy(lengths),
        firsts=torch.from_numpy(firsts),
        together=together,
        unpadded=unpadded,
        targets=None if tokens.targets is None else laid(tokens.targets[at].astype(np.int64), -1),
    )


def pool_packed(states: Sequence[Tensor], packed: Packed, pooling: str, layer: int = -1) -> Tensor:
    """(b, d) from the L + 1 hidden states (r, t, d) of packed rows: what `pooling.pool` gives for padded sentences.

    Raises SettingError for an unknown pooling or a layer that does not exist.
    """
    chosen = checked_layer(layer, len(states) - 1, pooling)
    if pooling in LAYER_MEANS:
        means = [pool_rows(states[each], packed, "mean") for each in LAYER_MEANS[pooling](chosen)]
        return sum(means[1:], means[0]) / len(means)
    if pooling == "wk":
        from mlsg.model.wk import pool_wk

        return pool_wk(states, packed, chosen)
    if pooling == "sif":
        raise SettingError("sif has no weights of tokens", "fit them on a text: mlsg run sif")
    pooled = [pool_rows(states[chosen], packed, how) for how in modes_of(pooling)]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1)


def pool_weighted(states: Tensor, packed: Packed, token_weights: Tensor) -> Tensor:
    """(b, d) from packed rows (r, t, d): a mean in which each token has the weight (vocabulary,) of its id."""
    weights = token_weights[packed.ids][..., None]  # (r, t, 1)
    return pool_rows(states * weights, packed, "mean") / pool_rows(weights, packed, "mean").clamp(min=1e-9)


def pool_layers(states: Sequence[Tensor], packed: Packed, how: str) -> Tensor:
    """(b, len(states), d): each of some hidden states (r, t, d) pooled, without gradient; how: cls, mean, max."""
    if states[0].device.type == "cpu" and how != "cls":  # a sixth of the time that segments take
        lengths = packed.lengths.tolist()
        return torch.stack([_pooled_one_by_one(state, packed.places, lengths, how) for state in states], dim=1)
    dimension = states[0].shape[-1]
    return pool_rows(torch.cat(tuple(states), dim=-1), packed, how).view(len(packed), len(states), dimension)


def pool_rows(states: Tensor, packed: Packed, how: str) -> Tensor:
    """(b, d) from packed rows (r, t, d); how: one of `MODES`. Sums of half precision are taken in float32.

    The sums are by segments and not by scattered additions, whose order changes from run to run on a GPU.
    """
    flat = states.flatten(0, 1)  # (r * t, d)
    if how == "cls":
        return flat[packed.firsts]
    if how == "lasttoken":
        return flat[packed.lasts].masked_fill((packed.lengths == 0)[:, None], 0)
    if how not in MODES:
        raise SettingError(f'unknown pooling "{how}"', nearest(how, MODES))
    tokens = wide(flat[packed.places])  # (n, d)
    if how == "max":
        return _by_sentence(tokens, packed, "max").to(states.dtype)
    if how == "mean":
        return _by_sentence(tokens, packed, "mean", 0)
    if how == "mean_sqrt_len_tokens":
        lengths = packed.lengths.clamp(min=1).to(tokens.dtype)[:, None]  # (b, 1)
        return _by_sentence(tokens, packed, "sum") / lengths.sqrt()
    weights = (packed.positions.flatten()[packed.places] + 1).to(tokens.dtype)[:, None]  # (n, 1)
    return _by_sentence(tokens * weights, packed, "sum") / _by_sentence(weights, packed, "sum").clamp(min=1)


def _by_sentence(tokens: Tensor, packed: Packed, how: str, empty: int | None = None) -> Tensor:
    """(b, d) from the tokens (n, d) that are pooled; `empty` is the mean of none."""
    return torch.segment_reduce(tokens, how, lengths=packed.lengths, axis=0, unsafe=True, initial=empty)


def _pooled_one_by_one(states: Tensor, places: Tensor, lengths: list[int], how: str) -> Tensor:
    tokens = states.flatten(0, 1)[places].split(lengths)
    if how == "max":
        return torch.stack([own.amax(0) for own in tokens])
    return torch.stack([wide(own).mean(0) for own in tokens])


def can_pack(model: PreTrainedModel) -> bool:
    """Whether a model can be trusted to take packed rows: its kind is known, and it takes what they need.

    Attention that looks at distances or windows of its own (DeBERTa, ModernBERT), or that is written in Python for each
    model with masks that are added, is not tried.
    """
    known = model.config.model_type in _PACKED and model.config._attn_implementation == "sdpa"
    absolute = getattr(model.config, "position_embedding_type", "absolute") in ("absolute", None)
    return known and absolute and "position_ids" in inspect.signature(model.forward).parameters


def _shared_rows(lengths: NDArray[np.int64], budget: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each sentence its row and where it starts there. The fewest rows that waste little, else the least waste."""
    total, longest = int(lengths.sum()), int(lengths.max(initial=0))
    fewest = max(1, -(-total // max(budget, longest, 1)))
    best: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    least = np.inf
    for count in (*range(fewest, min(len(lengths), 2 * fewest) + 1), *range(fewest - 1, 0, -1)):
        line, offset = _balanced(lengths, count)
        size = count * int((offset + lengths).max(initial=0))
        if size < least:
            best, least = (line, offset), size
        if total >= (1 - WASTE) * size:
            break
    return best if best is not None else (np.zeros_like(lengths), np.zeros_like(lengths))


def _balanced(lengths: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The longest sentence first, each into the row that has least (Graham 1969)."""
    line, offset = np.zeros_like(lengths), np.zeros_like(lengths)
    filled = [(0, row) for row in range(count)]
    for sentence in np.argsort(-lengths, kind="stable"):
        used, row = filled[0]
        line[sentence], offset[sentence] = row, used
        heapq.heapreplace(filled, (used + int(lengths[sentence]), row))
    return line, offset
