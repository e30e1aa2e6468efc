"""Which token sequences an objective has the tuned copy read of a row of the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

from mlsg.objectives.interface import Sequences, TrainingText


def first_text(text: TrainingText, rows: NDArray[np.int64]) -> Sequences:
    """The sentence itself; of pairs and triplets their first one."""
    return Sequences(text.tokens, np.asarray(rows) * text.columns)


def first_text_twice(text: TrainingText, rows: NDArray[np.int64]) -> Sequences:
    """The same sentence twice, which dropout makes different."""
    return Sequences(text.tokens, np.repeat(np.asarray(rows) * text.columns, 2), 2)


def all_texts(text: TrainingText, rows: NDArray[np.int64]) -> Sequences:
    """Every text of each row."""
    places = np.asarray(rows)[:, None] * text.columns + np.arange(text.columns)
    return Sequences(text.tokens, places.reshape(-1), text.columns)
