"""Views kept as an artefact: each distinct sentence is read by the guide once, for all trainings that ask for the same.

    views/<key>/views-00000.safetensors     "views" (2048, L + 1, d), sentences from the longest to the shortest

All layers are kept, so that trainings on some of them share the artefact. The tokens of the sentences in this order are
part of the key: a tokenizer that reads one of them in another way has views of its own. Files are mapped into memory
and not read: a training on a million sentences touches the rows of its batch. A killed computation continues from its
last whole file, and processes that wait for the artefact (other seeds, other ranks) compute files of it meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from mlsg import console
from mlsg.cache.artefact import Request
from mlsg.cache.files import sync
from mlsg.cache.shared_work import build_parts, help_build_parts
from mlsg.cache.tensors import is_whole, save_file
from mlsg.cache.versions import vector_versions
from mlsg.errors import SettingError
from mlsg.objectives.interface import Batch, CacheKey, TrainingContext, TrainingText
from mlsg.objectives.views import (
    GuideViews,
    TransformedViews,
    ViewSource,
    WholeViews,
    fit_moments,
    longest_first,
    sif_weights,
    whitening,
)

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone
    from mlsg.objectives.self_guided import Settings

FORMAT = 4
_ROWS = 2048  # sentences a file


@dataclass(frozen=True)
class StoredViews:
    """Views looked up by the rows of a batch."""

    files: Sequence[Tensor]  # mapped tensors (2048, L + 1, d), the last one shorter
    places: NDArray[np.int64]  # (n,) for each row of the text, where its sentence is in the files
    layers: Sequence[int]
    device: torch.device

    def __call__(self, batch: Batch, drawn: Sequence[int] | None = None) -> Tensor:
        """(b, n, d), or (b, d) where a layer is drawn for each sentence: then only that one is read."""
        found = [self.files[place // _ROWS][place % _ROWS] for place in self.places[batch.rows].tolist()]
        if drawn is not None:
            chosen = torch.stack([rows[self.layers[k]] for rows, k in zip(found, drawn, strict=True)])
        else:
            chosen = torch.stack(found)
            if list(self.layers) != list(range(chosen.shape[1])):
                chosen = chosen[:, list(self.layers)]
        return chosen.to(self.device, non_blocking=True)

    def everything(self) -> Iterator[Tensor]:
        """Views (m, n, d) of every distinct sentence, some at a time."""
        for file in self.files:
            for part in file.split(256):
                yield part[:, list(self.layers)]


def stored_views(
    guide: GuideViews, cache_key: CacheKey, settings: Mapping[str, Any], layers: Sequence[int]
) -> StoredViews:
    """The views that `guide` (of all layers) gives for its whole text; computed unless they are in the workspace.

    `settings` are those that change a view.
    """
    order = longest_first(guide.text)
    request = Request(
        stage="views",
        format=FORMAT,
        name=f"{cache_key.base_name.rpartition('/')[2]}-{guide.pooling}",
        settings={**settings, "max_length": cache_key.max_length},
        inputs={"sentences": cache_key.sentences},
        fingerprints={"base": cache_key.base, "tokens": _tokens_hash(guide.text, order), **vector_versions()},
    )
    parts = [order[first : first + _ROWS] for first in range(0, len(order), _ROWS)]
    names = [f"views-{number:05d}.safetensors" for number in range(len(parts))]

    def make(folder: Path, scratch: Path) -> Mapping[str, Any]:
        for name in names:
            if (scratch / name).exists() and not is_whole(scratch / name):
                (scratch / name).unlink()
        with console.progress("views", len(order), "sentences") as bar:
            for number in build_parts(scratch, names, lambda number: compute(scratch, number)):
                bar.advance(len(parts[number]))
        for name in names:
            (scratch / name).rename(folder / name)
        return {"sentences": len(order), "layers": guide.guide.layers + 1, "dimension": guide.guide.dimension}

    def compute(scratch: Path, number: int) -> None:
        views = torch.cat([part.cpu() for part in guide.of_rows(parts[number])])
        partial = scratch / f".{names[number]}"
        save_file({"views": views}, partial)
        partial.rename(scratch / names[number])
        sync(scratch)

    def help_make(scratch: Path) -> bool:
        return help_build_parts(scratch, names, lambda number: compute(scratch, number))

    folder = cache_key.workspace.build(request, make, help_make=help_make).folder
    files = [load_file(folder / name)["views"] for name in names]
    places = np.empty(len(order), dtype=np.int64)
    places[guide.text.groups[order]] = np.arange(len(order))
    return StoredViews(files, places[guide.text.groups], layers, guide.guide.device)


def view_source(settings: Settings, context: TrainingContext, guide: Backbone) -> ViewSource:
    """The views of `context.text` that `settings` ask for. Raises SettingError for a layer that the base does not have.

    Whether they are stored depends on the settings and the size of the text alone, so that a training is the same
    whatever ran before it.
    """
    last = context.base.layers
    if any(layer > last for layer in settings.layers):
        raise SettingError(f"objective.layers is {list(settings.layers)}", f"the base has layers 0 to {last}")
    layers = list(settings.layers) or list(range(last + 1))
    weights = None
    if settings.view_weighting == "sif":
        weights = sif_weights(context.text.token_counts(context.base.model.config.vocab_size)).to(context.device)
    precision = context.precision if settings.view_precision == "train" else settings.view_precision
    ready = guide.for_training() if settings.guide_dropout else guide.for_measuring(precision)
    whole = GuideViews(ready, context.text, list(range(last + 1)), settings.view_pooling, precision, weights)
    views: WholeViews = replace(whole, layers=layers)
    numbers = len(context.text.distinct) * (last + 1) * guide.dimension
    fits = numbers * (2 if precision == "bf16" else 4) <= settings.view_cache_gb * 1e9
    if context.cache_key is not None and fits and not settings.guide_dropout:
        changes = {"pooling": settings.view_pooling, "weighting": settings.view_weighting, "precision": precision}
        views = stored_views(whole, context.cache_key, changes, layers)
    if settings.view_transform == "none":
        return views
    means, covariances = fit_moments(views.everything())
    whitens = settings.view_transform == "whiten"
    maps = whitening(covariances, settings.view_shrinkage).float().to(context.device) if whitens else None
    return TransformedViews(views, means.float().to(context.device), maps)


def _tokens_hash(text: TrainingText, rows: NDArray[np.int64]) -> str:
    """A hash of the token ids of some sentences, in their order."""
    found = hashlib.sha256(text.tokens.lengths[rows].tobytes())
    for row in rows:
        found.update(text.tokens.ids(row).tobytes())
    return found.hexdigest()
