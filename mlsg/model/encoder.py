"""An encoder: a base with its pooling and what follows it; loaded, run on sentences, and saved.

    encoder = Encoder.from_pretrained("folder")            # an mlsg or sentence-transformers folder, or a hub id
    encoder = Encoder.from_pretrained("xlm-roberta-base", pooling="mean")
    vectors = encoder.encode(sentences)                    # float32 (n, d), in the order of `sentences`
    vector = encoder.encode("One sentence.")               # float32 (d,)
    cosines = encoder.similarity(vectors, vector)          # float32 (n, 1); what the folder declares, else cosines

Names are those of sentence-transformers. In float32 the vectors equal those of `SentenceTransformer(folder).encode` to
1e-5.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mlsg import console
from mlsg.errors import SettingError, nearest
from mlsg.model.backbone import Backbone, read_backbone
from mlsg.model.fast.packing import Packed, pack, pool_packed, pool_weighted
from mlsg.model.fast.threads import parallel_map, prefetch
from mlsg.model.folder import (
    EncoderModules,
    ModuleFolder,
    is_sentence_transformer,
    read_encoder_modules,
    read_provenance,
    write_layout,
    write_provenance,
)
from mlsg.model.folder_keys import LAYER_MEANS
from mlsg.model.modules import AfterPooling, Dense, read_module, write_layer_mean, write_module
from mlsg.model.pooling import POOLINGS, checked_layer, modes_of
from mlsg.model.precision import PRECISIONS, autocast
from mlsg.model.pretrained import write_model
from mlsg.model.source import find_model
from mlsg.model.tokenizer import write_tokenizer
from mlsg.model.tokens import Tokens, equal_batches, length_sorted, token_batches
from mlsg.model.word_weights import read_word_weights, write_word_weights

if TYPE_CHECKING:
    from mlsg.hub import Hub

_BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}  # enough for a device to be busy; on a CPU few enough for its caches
_LEAST_TOKENS = 256  # so small batches become where there are few texts, for every thread of a CPU to have its share
_SETTLED_TOKENS = {"cpu": 128, "cuda": 4096}
"""The same for batches of one length, of which the last one of each length is mostly filled up."""

_SLAB = 16384
"""Texts that are tokenised and sorted by length together; the next ones are tokenised while these are computed."""


@dataclass(frozen=True)
class Counts:
    """What of each of n texts the model did not see, or did not know."""

    truncated: NDArray[np.bool_]  # (n,): longer than the maximum, so that its end was cut off
    unknown: NDArray[np.int64]  # (n,): how many [UNK] tokens the model read in it


class Encoder:
    """A base, a pooling from one of its layers, and modules (Dense, Normalize) after it.

    `layer` is 0..L. `prompts` are texts by name, put before each sentence on demand, or always where
    `default_prompt_name` is one of them; without `include_prompt` their tokens are attended to and not pooled.
    `truncate_dim` keeps the first so many numbers of a vector; `word_weights` (vocabulary,) are those of pooling sif.
    `provenance` is what mlsg.json says of where the encoder comes from, `source` the folder or hub id that was loaded.
    """

    def __init__(
        self,
        backbone: Backbone,
        pooling: str,
        layer: int = -1,
        *,
        modules: Iterable[AfterPooling] = (),
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        include_prompt: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_name: str = "cosine",
        word_weights: Tensor | None = None,
        precision: str = "float32",
        provenance: Mapping[str, Any] | None = None,
        source: str | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise SettingError(f'unknown precision "{precision}"', nearest(precision, PRECISIONS))
        self.backbone = backbone
        self.pooling = pooling
        self.layer = checked_layer(layer, backbone.layers, pooling)
        self.modules = tuple(module.to(backbone.device).eval() for module in modules)
        self.prompts = dict(prompts or {})
        self.default_prompt_name = default_prompt_name
        self.include_prompt = include_prompt
        self.truncate_dim = truncate_dim
        self.similarity_fn_name = similarity_fn_name
        self.word_weights = word_weights
        self.precision = precision
        self.provenance = dict(provenance or {})
        self.source = source
        self._ready: tuple[tuple[object, ...], Backbone] | None = None

    @classmethod
    def from_pretrained(
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

        A sentence-transformers folder says how vectors are made; `pooling` or `layer` given here make a new
        encoder from its base alone. A plain transformers model needs `pooling`. `device` None is the accelerator, if
        there is one; `precision` is float32 or bf16; `hub` brings a workspace's record of revisions. Raises
        SettingError for a pooling that is missing or unknown, ModelError for what is not an encoder or has modules that
        mlsg does not have, HubUnreachableError.
        """
        if pooling is not None and pooling not in POOLINGS:
            raise SettingError(f'unknown pooling "{pooling}"', nearest(pooling, POOLINGS))
        located = find_model(str(source), revision, hub)
        found = _encoder_modules(located.folder, pooling, layer, str(source))
        backbone = read_backbone(located)
        modules: list[AfterPooling] = []
        weights = None
        if found.word_weights is not None:
            weights = read_word_weights(found.word_weights, backbone.model.config.vocab_size)
        dimension = backbone.dimension * len(modes_of(found.pooling))
        for each in found.modules:
            module = read_module(each, dimension)
            dimension = module.linear.out_features if isinstance(module, Dense) else dimension
            modules.append(module)
        backbone.to(default_device() if device is None else torch.device(device))
        return cls(
            backbone,
            found.pooling,
            -1 if layer is None else layer,
            modules=modules,
            prompts=found.prompts,
            default_prompt_name=found.default_prompt_name,
            include_prompt=found.include_prompt,
            truncate_dim=found.truncate_dim,
            similarity_fn_name=found.similarity_fn_name,
            word_weights=weights,
            precision=precision,
            provenance=read_provenance(located.folder),
            source=str(source),
        )

    load = from_pretrained  # the older name of `from_pretrained`

    def __repr__(self) -> str:
        return (
            f"Encoder({self.source or self.backbone.name!r}, pooling={self.pooling!r}, layer={self.layer}, "
            f"dimension={self.dimension}, max_length={self.max_length})"
        )

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        widths = [module.linear.out_features for module in self.modules if isinstance(module, Dense)]
        width = widths[-1] if widths else self.backbone.dimension * len(modes_of(self.pooling))
        return width if self.truncate_dim is None else min(width, self.truncate_dim)

    def get_sentence_embedding_dimension(self) -> int:
        """Length of a vector, under sentence-transformers' name."""
        return self.dimension

    @property
    def max_length(self) -> int:
        """Tokens that are read of a sentence, special tokens included."""
        return self.backbone.max_length

    def prompt_of(self, prompt: str | None = None, prompt_name: str | None = None) -> str:
        """What is put before each sentence: `prompt`, else the prompt of that name, else the default one, else nothing.

        Raises SettingError for an unknown name.
        """
        if prompt is not None:
            return prompt
        if prompt_name is not None and prompt_name not in self.prompts:
            what = f'unknown prompt "{prompt_name}"'
            raise SettingError(what, nearest(prompt_name, self.prompts) if self.prompts else "this encoder has none")
        name = self.default_prompt_name if prompt_name is None else prompt_name
        return "" if name is None else self.prompts.get(name, "")

    def tokenize(self, texts: Sequence[str], prompt: str | None = None) -> Tokens:
        """Tokens of each text after `prompt`, None being the default one. Raises DataError for broken Unicode."""
        before = self.prompt_of(prompt)
        if not before:
            return self.backbone.tokenize(texts)
        tokens = self.backbone.tokenize([before + text for text in texts])
        return tokens if self.include_prompt else replace(tokens, prompt=self._length_of(before))

    def _length_of(self, prompt: str) -> int:
        """Tokens of a prompt as sentence-transformers counts them: alone, without a special token at its end."""
        ids = self.backbone.tokenize([prompt]).ids(0)
        return len(ids) - int(len(ids) > 0 and int(ids[-1]) in self.backbone.tokenizer.all_special_ids)

    def encode(
        self,
        sentences: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
    ) -> NDArray[np.float32]:
        """Float32 (n, d), one row a sentence, in order; (d,) for one text that is not in a list.

        Each distinct text is computed once, in batches of `batch_size` sentences or of about `batch_tokens` tokens
        (None: what suits the device). `prompt`, or the prompt named `prompt_name`, is put before each sentence;
        `normalize_embeddings` makes vectors of length 1. Raises DataError for broken Unicode, SettingError for an
        unknown prompt or a batch size below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise SettingError(f"batch_size is {batch_size}", "give 1 or more, or None for batches by tokens")
        texts = [sentences] if isinstance(sentences, str) else sentences
        before = self.prompt_of(prompt, prompt_name)
        number: dict[str, int] = {}
        place = np.fromiter((number.setdefault(text, len(number)) for text in texts), dtype=np.int64, count=len(texts))
        distinct = list(number)
        repeats = np.bincount(place, minlength=len(distinct))
        vectors = np.empty((len(distinct), self.dimension), dtype=np.float32)
        slabs = [distinct[at : at + _SLAB] for at in range(0, len(distinct), _SLAB)]
        first = 0
        with console.progress("encoding", len(place), "sentences") if show_progress_bar else nullcontext() as bar:
            for tokens in prefetch(lambda slab: self.tokenize(slab, before), slabs):
                for rows, (found,) in encode_tokens([self], tokens, batch_tokens=batch_tokens, batch_size=batch_size):
                    vectors[first + rows] = found
                    if bar is not None:
                        bar.advance(int(repeats[first + rows].sum()))
                first += len(tokens)
        if normalize_embeddings:
            vectors = _normalized(vectors)
        if len(distinct) < len(place):
            vectors = vectors[place]
        return vectors.reshape(-1) if isinstance(sentences, str) else vectors

    def similarity(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> NDArray[np.float32]:
        """(n, d) and (m, d) -> (n, m) in float32 by `similarity_fn_name`; one vector (d,) counts as one row."""
        left, right = (np.atleast_2d(np.asarray(each, dtype=np.float32)) for each in (embeddings1, embeddings2))
        return _SIMILARITIES[self.similarity_fn_name](left, right)

    def after_pooling(self, pooled: Tensor) -> Tensor:
        """(b, e) from pooled vectors (b, d): the modules, in float32 (small, and a scaling would lose bits)."""
        for module in self.modules:
            pooled = module(pooled.float())
        return pooled[:, : self.dimension]

    def pooled(self, states: Sequence[Tensor], packed: Packed, prompt: int, layer: int) -> Tensor:
        """(b, d) from hidden states (r, t, d) of sentences of which the first `prompt` tokens are the prompt's."""
        own = packed if self.include_prompt or not prompt else packed.after(prompt)
        if self.word_weights is not None:
            return pool_weighted(states[layer], own, self.word_weights.to(states[layer].device))
        return pool_packed(states, own, self.pooling, layer)

    @property
    def reads_last_layer(self) -> bool:
        """Whether the last layer's output is all that the pooling needs."""
        return self.layer == self.backbone.layers and self.pooling not in (*LAYER_MEANS, "wk")

    def ready(self) -> Backbone:
        """The backbone without dropout, as fast as this machine can run it; made once for a device."""
        place = (self.backbone.device, id(self.backbone.model), self.precision)
        if self._ready is None or self._ready[0] != place:
            self._ready = (place, self.backbone.for_inference(self.precision))
        return self._ready[1]

    def counts_of(self, tokens: Tokens) -> Counts:
        """What of each tokenised text is cut off or unknown."""
        return Counts(tokens.truncated, tokens.occurrences(self.backbone.tokenizer.unk_token_id))

    def followed_by(self, module: AfterPooling) -> Encoder:
        """The same encoder with one more module after its last one."""
        other = copy.copy(self)
        other.backbone, other.modules = self.backbone, (*self.modules, module.to(self.backbone.device).eval())
        return other

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained`, SentenceTransformer and AutoModel load; see `save`."""
        self.save(Path(folder).expanduser())

    def save(self, folder: Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write a sentence-transformers folder with mlsg.json; the same encoder gives the same bytes.

        `provenance` None is that of this encoder. A pooling from layer k < L is written as a model of k layers. Raises
        ModelError where the base cannot be cut like this.
        """
        whole, averaged = self.backbone, self.pooling in LAYER_MEANS
        base = whole if self.layer == whole.layers else whole.truncated(self.layer)
        folder.mkdir(parents=True, exist_ok=True)
        kinds = tuple(ModuleFolder(type(module).__name__, folder) for module in self.modules)
        layout = EncoderModules(
            *(self.pooling, kinds, self.prompts, self.default_prompt_name),
            *(self.include_prompt, self.truncate_dim, self.similarity_fn_name),
        )
        places = write_layout(
            folder, layout, dimension=base.dimension, max_length=base.max_length, lower_case=base.lower_case
        )
        write_model(base.model, folder, all_layers=averaged)
        write_tokenizer(base.tokenizer, folder, base.max_length)
        for number, module in enumerate(self.modules):
            write_module(module, places[str(number)])
        if self.word_weights is not None:
            ids = list(range(len(self.word_weights)))
            names = [name or f"[{n}]" for n, name in zip(ids, base.tokenizer.convert_ids_to_tokens(ids), strict=True)]
            write_word_weights(names, self.word_weights.cpu(), places["WordWeights"])
        if averaged:
            chosen = LAYER_MEANS[self.pooling](base.layers)
            write_layer_mean(places["WeightedLayerPooling"], chosen, base.layers, base.dimension)
        facts = {"pooling": self.pooling, "layer": self.layer, "base_layers": whole.layers}
        facts |= {"dimension": self.dimension, "max_length": self.max_length}
        write_provenance(folder, facts, self.provenance if provenance is None else provenance)


def encode_tokens(
    encoders: Sequence[Encoder],
    tokens: Tokens,
    *,
    batch_tokens: int | None = None,
    batch_size: int | None = None,
    settled: bool = False,
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
    elif batch_size is not None:
        batches = length_sorted(tokens.lengths, batch_size)
    else:
        batches = token_batches(tokens.lengths, batch_tokens or _tokens_at_once(device, int(tokens.lengths.sum())))

    @torch.inference_mode()  # a thread's own, as autocast is
    def computed(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[NDArray[np.float32]]]:
        packed = pack(tokens, rows, together=together).to(device)
        with autocast(device, lead.precision):
            states = (backbone.last_state_of(packed),) if last else backbone.states_of(packed)
            pooled = [each.pooled(states, packed, tokens.prompt, -1 if last else each.layer) for each in encoders]
        return rows, [each.after_pooling(own).float().cpu().numpy() for each, own in zip(encoders, pooled, strict=True)]

    yield from parallel_map(computed, batches) if device.type == "cpu" else map(computed, batches)


def _tokens_at_once(device: torch.device, tokens: int) -> int:
    """Tokens of a batch out of that many; threads are not counted, so that a vector's bits depend on the text alone."""
    most = _BATCH_TOKENS.get(device.type, _BATCH_TOKENS["cuda"])
    return most if device.type != "cpu" else max(_LEAST_TOKENS, min(most, tokens // 8))


def default_device() -> torch.device:
    """The accelerator that torch sees, or the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found or torch.device("cpu")


def _normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, d) -> (n, d) of length 1; a zero vector stays zero."""
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return vectors / lengths


def _distances(left: NDArray[np.float32], right: NDArray[np.float32], order: float) -> NDArray[np.float32]:
    """(n, d) and (m, d) -> (n, m) by the norm of that order."""
    distances: NDArray[np.float32] = torch.cdist(torch.from_numpy(left), torch.from_numpy(right), p=order).numpy()
    return distances


_SIMILARITIES: Mapping[str, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    "cosine": lambda left, right: _normalized(left) @ _normalized(right).T,
    "dot": lambda left, right: left @ right.T,
    "euclidean": lambda left, right: -_distances(left, right, 2),
    "manhattan": lambda left, right: -_distances(left, right, 1),
}


def _encoder_modules(folder: Path, pooling: str | None, layer: int | None, source: str) -> EncoderModules:
    """What follows the base: as the folder says, or the pooling alone where the user gives pooling or layer."""
    if pooling is not None:
        return EncoderModules(pooling)
    if is_sentence_transformer(folder):
        found = read_encoder_modules(folder)
        return found if layer is None else EncoderModules(found.pooling)
    raise SettingError(f"{source} does not say how sentence vectors are pooled", f"give one: {', '.join(POOLINGS)}")
