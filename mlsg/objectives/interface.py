"""The contract between the training loop and an objective.

An objective is built once on a `TrainingContext`, then asked for the sequences, the anchors and the loss of one `Batch`
after the other. It owns its modules (`parts`, trained beside the tuned copy and never saved) but not the tuned copy:
that is handed in at each step. Anchors and loss are two calls, so that a batch too big for the memory can be encoded
in several passes.
Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from mlsg.config.recipes import Kind

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mlsg.cache.workspace import Workspace
    from mlsg.config.recipes import EncoderSettings
    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed
    from mlsg.model.tokens import Tokens
    from mlsg.objectives.l2_sp import L2ToStart


Draw = Callable[[str, int], list[int]]
"""`draw("layer", 13)`: for each row a number below 13, a function of (seed, purpose, epoch, row)."""


class TrainingText(Protocol):
    """The tokenised rows of the training text: sentences or documents, or pairs or triplets of sentences.

    Two rows are the same when the tokens of their first texts are.
    """

    @property
    def kind(self) -> Kind:
        """What a row is."""

    @property
    def columns(self) -> int:
        """Texts of a row: 2 of pairs, 3 of triplets."""

    @property
    def tokens(self) -> Tokens:
        """The ids of all texts, those of one row after the other."""

    @property
    def scores(self) -> NDArray[np.float64] | None:
        """(n,) of scored pairs; None of other text."""

    def column(self, number: int) -> TrainingText:
        """One text of each row."""

    @property
    def distinct(self) -> NDArray[np.int64]:
        """The first occurrence of every distinct row, in the order of the text."""

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n,) a number for each row, equal where rows are the same."""

    def __len__(self) -> int: ...

    def token_counts(self, size: int) -> Tensor:
        """(size,) int64: how often each token id below `size` occurs in the text, special tokens included."""


class BatchShard:
    """What this process has of the whole batch of a step, B sentences over all processes; here: everything.

    The one for many processes is `mlsg.train.distributed.RankShard`. Summed over the processes, the losses and their
    gradients must be those of one process with the whole batch: a mean is over B, and what is not a sum over sentences
    is divided by `processes`.
    """

    start: int = 0
    """Where the sentences of this process begin in the whole batch."""
    processes: int = 1

    @property
    def places(self) -> slice:
        """Which sentences of the whole batch this process computes."""
        return slice(None)

    def own(self, rows: Tensor) -> Tensor:
        """(b, ...) without the filling that a process without any sentence computes to keep in step."""
        return rows

    def gather(self, rows: Tensor) -> Tensor:
        """What `own` leaves of (b, ...), of all processes: (B, ...) in the order of the whole batch, with gradient."""
        return rows


WHOLE_BATCH = BatchShard()


@dataclass(frozen=True)
class Sequences:
    """What the tuned copy reads of b rows of the text: `each` token sequences of a row, one after the other."""

    tokens: Tokens
    places: NDArray[np.int64]
    """(b * each,) which of the tokens' sequences these are."""
    each: int = 1


@dataclass(frozen=True)
class Batch:
    """The sentences of one step, of one process: b of them."""

    rows: Sequence[int]
    """Which sentences of the training text these are."""
    mini_batches: Sequence[Packed]
    """The sequences of these rows: all in one, or in several to be encoded one after the other."""
    duplicates: Tensor
    """(b, B), true where two different rows hold the same tokens; B is b, except with many processes."""
    draw: Draw
    shard: BatchShard = WHOLE_BATCH


@dataclass(frozen=True)
class CacheKey:
    """Names for base and text that hold beyond this process, so that what is computed of them can be kept."""

    workspace: Workspace
    base_name: str
    base: str
    """Fingerprint."""
    sentences: str
    """sha256 of their text."""
    max_length: int
    """Tokens a sentence."""


@dataclass(frozen=True)
class TrainingContext:
    """What an objective is built on."""

    base: Backbone
    """The base before training; the loop then tunes it, so what must stay fixed is to be copied."""
    encoder: EncoderSettings
    """How the anchor is pooled."""
    text: TrainingText
    device: torch.device
    seed_of: Callable[[str], int]
    """Seed of a purpose, such as "head"."""
    precision: str = "float32"
    """Of training."""
    cache_key: CacheKey | None = None
    """None: nothing is kept."""


class Objective(Protocol):
    """A training method at work."""

    parts: Mapping[str, nn.Module]
    """Modules trained beside the tuned copy and thrown away after."""
    regulariser: L2ToStart | None
    """A penalty on the weights themselves; the loop adds it to loss and gradients."""

    def sequences(self, rows: NDArray[np.int64], draw: Draw) -> Sequences:
        """What is to be read of some rows of the text. Called once a step."""

    def anchors(self, tuned: Backbone, packed: Packed) -> Tensor:
        """(s, ...) what the loss needs of the tuned copy, a row for each of the s sequences in `packed`."""

    def loss(self, anchors: Tensor, batch: Batch) -> Tensor:
        """The scalar to minimise, without `regulariser`; `anchors` (b * each, ...) are those of all sequences."""


class ObjectiveSettings(Protocol):
    """The settings dataclass of a method, which also knows how to build it."""

    trains: ClassVar[bool]
    """False: there is no training, the encoder is the base with its pooling."""
    kinds: ClassVar[tuple[Kind, ...]]
    """Of text that it can be trained on."""

    @property
    def least_tokens(self) -> int:
        """Tokens that a row of the text needs, special ones included; shorter rows are left out and counted."""

    @property
    def label(self) -> str:
        """A short name for folders and tables."""

    def build(self, context: TrainingContext) -> Objective:
        """The objective, with torch imported no earlier than here."""
