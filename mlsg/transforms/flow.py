"""BERT-flow: an invertible network that is trained until the text's vectors look as if drawn from a standard normal.

Source: B. Li, H. Zhou, J. He, M. Wang, Y. Yang, L. Li: On the Sentence Embeddings from Pre-trained Language Models,
EMNLP 2020, section 3 and appendix B; the network is Glow's (`mlsg.model.flow`). It is trained by maximum likelihood,
the encoder stays as it is.

When to use it: to compare with the paper; whitening does nearly the same in a fraction of the time.

Where this departs from the authors' code: vectors are computed once, without dropout; Adam decays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mlsg.config.settings import Between
from mlsg.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from mlsg.model.modules import AfterPooling


@dataclass(frozen=True)
class Settings:
    """Settings of the flow; the defaults are those of the authors' code."""

    draws: ClassVar[bool] = True

    levels: Annotated[int, "times half of the dimensions is set apart, and one", Between(1, 8)] = 3
    depth: Annotated[int, "steps a level", Between(1, 32)] = 3
    width: Annotated[int, "of the network inside a coupling", Between(1, 2**14)] = 32
    learning_rate: Annotated[float, "of Adam, constant", Between(0, 1)] = 1e-3
    batch_size: Annotated[int, "vectors a step", Between(2, 2**20)] = 32
    epochs: Annotated[int, "passes over the vectors", Between(1, 10_000)] = 1
    max_grad_norm: Annotated[float, "largest gradient norm", Between(1e-6, 1e12)] = 1.0

    @property
    def label(self) -> str:
        """A short name for folders and tables."""
        return "flow"

    def fit(self, vectors: Tensor, seed: int, languages: Mapping[str, int]) -> AfterPooling:
        """The network, trained on the vectors in an order drawn from `seed`. Raises as `TransformSettings.fit` does."""
        import numpy as np
        import torch

        from mlsg import console
        from mlsg.model.flow import Flow

        if len(vectors) < self.batch_size:
            raise DataError(
                f"a flow on {len(vectors)} sentences", f"prepare at least transform.batch_size = {self.batch_size}"
            )
        flow = Flow(vectors.shape[1], levels=self.levels, depth=self.depth, width=self.width, seed=seed)
        optimiser = torch.optim.Adam(flow.parameters(), lr=self.learning_rate)
        with console.progress("flow", self.epochs * len(vectors), "vectors") as bar:
            for epoch in range(self.epochs):
                turns = np.argsort(np.random.PCG64([seed, epoch]).random_raw(len(vectors)), kind="stable")
                for number, rows in enumerate(torch.from_numpy(turns).split(self.batch_size)):
                    batch = vectors[rows]
                    if epoch == number == 0:
                        flow.start_from(batch)
                    loss = flow.bits_per_dimension(batch)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(flow.parameters(), self.max_grad_norm)
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
                    bar.advance(len(batch))
        if not all(torch.isfinite(parameter).all() for parameter in flow.parameters()):
            raise DataError("the flow ran away: its weights are no numbers", "lower transform.learning_rate")
        return flow.eval().requires_grad_(False)
