"""An encoder: a base with its pooling and what follows it; loaded, run on sentences, and saved.

    encoder = Encoder.load("folder")                       # an mlsg or sentence-transformers folder, or a hub id
    encoder = Encoder.load("xlm-roberta-base", pooling="mean")
    vectors = encoder.encode(sentences)                    # float32 (n, d), in the order of `sentences`

In float32 the vectors equal those of `SentenceTransformer(folder).encode` to 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsg.errors import SettingError, nearest
from mlsg.model.backbone import Backbone, read_backbone
from mlsg.model.fast.packing import pack, pool_packed
from mlsg.model.fast.threads import one_ahead, parallel_map
from mlsg.model.folder import Head, is_sentence_transformer, read_head, read_provenance
from mlsg.model.modules import Dense, Normalize, read_step
from mlsg.model.pooling import POOLINGS, checked_layer, pool, pool_tokens
from mlsg.model.saving import save_encoder
from mlsg.model.source import find_model
from mlsg.model.tokens import Tokens, equal_batches, token_batches

if TYPE_CHECKING:
    from mlsg.hub import Hub

PRECISIONS = ("float32", "bf16")
_BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Enough for a device to be busy; on a CPU few enough for its caches."""
_LEAST_TOKENS = 256
"""So small batches become where there are few texts, for every thread of a CPU to have its share."""
_SETTLED_TOKENS = {"cpu": 128, "cuda": 4096}
"""The same for batches of one length, of which the last one of each length is mostly filled up."""

_SLAB = 16384
"""Texts that are tokenised and sorted by length together; the next ones are tokenised while these are computed."""


class Advances(Protocol):
    """Progress as `mlsg.console.progress` gives it."""

    def advance(self, units: int = 1, **fields: object) -> None:
        """Count `units` more texts as done."""


@dataclass(frozen=True)
class Counts:
    """What of each of n texts the model did not see, or did not know."""

    truncated: NDArray[np.bool_]
    """(n,): longer than the maximum, so that its end was cut off."""
    unknown: NDArray[np.int64]
    """(n,): how many [UNK] tokens the model read in it."""


class Encoder:
    """A base, a pooling from one of its layers, and steps (Dense, Normalize) after it.

    `layer` is 0..L. `provenance` is what mlsg.json says of where the encoder comes from.
    """

    def __init__(
        self,
        backbone: Backbone,
        pooling: str,
        layer: int = -1,
        *,
        steps: Iterable[Dense | Normalize] = (),
        prompt: str = "",
        precision: str = "float32",
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise SettingError(f'unknown precision "{precision}"', nearest(precision, PRECISIONS))
        self.backbone = backbone
        self.pooling = pooling
        self.layer = checked_layer(layer, backbone.layers, pooling)
        self.steps = tuple(step.to(backbone.device).eval() for step in steps)
        self.prompt = prompt
        self.precision = precision
        self.provenance = dict(provenance or {})
        self._ready: tuple[tuple[object, ...], Backbone] | None = None

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        pooling: str | None = None,
        layer: int | None = None,
        device: str | torch.device | None = None,
        precision: str = "float32",
        revision: str = "main",
        hub: Hub | None = None,
    ) -> Encoder:
        """The encoder in a folder or on the hub, in evaluation mode.

        A sentence-transformers folder says itself how vectors are made; `pooling` or `layer` given here make the
        encoder anew from its base alone. A plain transformers model needs `pooling`. `device` None is the accelerator,
        if there is one. Raises SettingError for a pooling that is missing or unknown, ModelError for what is no encoder
        or has modules that mlsg does not have, HubUnreachableError.
        """
        if pooling is not None and pooling not in POOLINGS:
            raise SettingError(f'unknown pooling "{pooling}"', nearest(pooling, POOLINGS))
        located = find_model(str(source), revision, hub)
        head = _head(located.folder, pooling, layer, str(source))
        backbone = read_backbone(located)
        modules: list[Dense | Normalize] = []
        dimension = backbone.dimension
        for step in head.steps:
            module = read_step(step, dimension)
            dimension = module.linear.out_features if isinstance(module, Dense) else dimension
            modules.append(module)
        backbone.to(default_device() if device is None else torch.device(device))
        return cls(
            backbone,
            head.pooling,
            -1 if layer is None else layer,
            steps=modules,
            prompt=head.prompt,
            precision=precision,
            provenance=read_provenance(located.folder),
        )

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        widths = [step.linear.out_features for step in self.steps if isinstance(step, Dense)]
        return widths[-1] if widths else self.backbone.dimension

    @property
    def max_length(self) -> int:
        """Tokens that are read of a sentence, special tokens included."""
        return self.backbone.max_length

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Tokens of each text, after the prompt if there is one. Raises DataError for broken Unicode."""
        return self.backbone.tokenize([self.prompt + text for text in texts] if self.prompt else texts)

    def encode(
        self, texts: Sequence[str], *, batch_tokens: int | None = None, progress: Advances | None = None
    ) -> NDArray[np.float32]:
        """Float32 (n, d), one row a text, in order.

        Each distinct text is computed once, in batches of about `batch_tokens` tokens (None: what suits the device).
        Raises DataError for broken Unicode.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a list of texts, not one text")
        number: dict[str, int] = {}
        place = np.fromiter((number.setdefault(text, len(number)) for text in texts), dtype=np.int64, count=len(texts))
        distinct = list(number)
        repeats = np.bincount(place, minlength=len(number))
        vectors = np.empty((len(number), self.dimension), dtype=np.float32)
        first = 0
        for tokens in one_ahead(self.tokenize, [distinct[at : at + _SLAB] for at in range(0, len(distinct), _SLAB)]):
            for rows, (found,) in encode_tokens([self], tokens, batch_tokens=batch_tokens):
                vectors[first + rows] = found
                if progress is not None:
                    progress.advance(int(repeats[first + rows].sum()))
            first += len(tokens)
        return vectors if len(number) == len(place) else vectors[place]

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(b, d) from ids and mask (b, t), with gradient where that is on."""
        with torch.autocast(self.backbone.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            if self.reads_last_layer:
                pooled = pool_tokens(self.backbone.last_state(input_ids, attention_mask), attention_mask, self.pooling)
            else:
                states = self.backbone.hidden_states(input_ids, attention_mask)
                pooled = pool(states, attention_mask, self.pooling, self.layer)
        return self.after_pooling(pooled)

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """(b, e) from pooled vectors (b, d): the steps, in float32 (they are small, and a scaling would lose bits)."""
        for step in self.steps:
            pooled = step(pooled.float())
        return pooled

    @property
    def reads_last_layer(self) -> bool:
        """Whether the last layer's output is all that the pooling needs."""
        return self.layer == self.backbone.layers and self.pooling != "first_last"

    def ready(self) -> Backbone:
        """The backbone without dropout, as fast as this machine can run it; made once for a device."""
        place = (self.backbone.device, id(self.backbone.model), self.precision)
        if self._ready is None or self._ready[0] != place:
            self._ready = (place, self.backbone.for_inference(self.precision))
        return self._ready[1]

    def counts(self, texts: Sequence[str]) -> Counts:
        """What of each text is cut off or unknown to the tokenizer; each distinct text is tokenised once."""
        number: dict[str, int] = {}
        place = np.fromiter((number.setdefault(text, len(number)) for text in texts), dtype=np.int64, count=len(texts))
        found = self.counts_of(self.tokenize(list(number)))
        return Counts(found.truncated[place], found.unknown[place])

    def counts_of(self, tokens: Tokens) -> Counts:
        """What of each tokenised text is cut off or unknown."""
        return Counts(tokens.truncated, tokens.occurrences(self.backbone.tokenizer.unk_token_id))

    def save(self, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write a sentence-transformers folder with mlsg.json; the same encoder gives the same bytes.

        A pooling from layer k < L is written as a model of k layers. Raises ModelError where the base cannot be cut so.
        """
        save_encoder(self, folder, provenance)


def encode_tokens(
    encoders: Sequence[Encoder], tokens: Tokens, *, batch_tokens: int | None = None, settled: bool = False
) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.float32]]]]:
    """Batch by batch its rows and their vectors (b, d) under each of some encoders of one base, precision and layer.

    The base is run once for all of them. `settled` gives each sentence the same bits whatever it is computed with:
    batches are of one length and of a size that this length decides, so that no product changes its shape. On a CPU a
    batch is one thread's, and several are computed at a time.
    """
    lead = encoders[0]
    backbone, device = lead.ready(), lead.backbone.device
    last = all(encoder.reads_last_layer for encoder in encoders)
    together = backbone.packs and not settled
    if settled:
        batches = equal_batches(tokens.lengths, _SETTLED_TOKENS.get(device.type, _SETTLED_TOKENS["cuda"]))
    else:
        batches = token_batches(tokens.lengths, batch_tokens or _tokens_at_once(device, int(tokens.lengths.sum())))

    @torch.inference_mode()  # a thread's own, as autocast is
    def computed(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[NDArray[np.float32]]]:
        packed = pack(tokens, rows, together=together).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=lead.precision == "bf16"):
            states = (backbone.last_state_of(packed),) if last else backbone.states_of(packed)
            pooled = [pool_packed(states, packed, each.pooling, -1 if last else each.layer) for each in encoders]
        return rows, [each.after_pooling(own).float().cpu().numpy() for each, own in zip(encoders, pooled, strict=True)]

    yield from parallel_map(computed, batches) if device.type == "cpu" else map(computed, batches)


def _tokens_at_once(device: torch.device, tokens: int) -> int:
    """Tokens of a batch out of so many; threads are not counted, so that a vector's bits depend on the text alone."""
    most = _BATCH_TOKENS.get(device.type, _BATCH_TOKENS["cuda"])
    return most if device.type != "cpu" else max(_LEAST_TOKENS, min(most, tokens // 8))


def default_device() -> torch.device:
    """The accelerator that torch sees, or the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found or torch.device("cpu")


def _head(folder: Path, pooling: str | None, layer: int | None, source: str) -> Head:
    """What follows the base: as the folder says, or the pooling alone where the user gives pooling or layer."""
    if pooling is not None:
        return Head(pooling)
    if is_sentence_transformer(folder):
        head = read_head(folder)
        return head if layer is None else Head(head.pooling)
    raise SettingError(f"{source} does not say how sentence vectors are pooled", f"give one: {', '.join(POOLINGS)}")
