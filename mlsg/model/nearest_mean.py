"""Centring by language: from each vector the nearest one of several means is taken, one mean a language.

Source: J. Libovický, R. Rosa, A. Fraser: On the Language Neutrality of Pre-trained Multilingual Representations,
Findings of EMNLP 2020, section 3. There the language of a text is given; here it is the one whose mean is nearest, so
that an encoder needs nothing beside the text.
"""

from __future__ import annotations

from torch import Tensor, nn


class NearestMean(nn.Module):
    """x - m, m being the row of `means` (languages, d) that is nearest to x."""

    means: Tensor

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means.float())

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, d)."""
        # |x|^2 is the same for all means
        distances = self.means.square().sum(1) - 2 * vectors.float() @ self.means.T
        return vectors - self.means[distances.argmin(1)].to(vectors.dtype)
