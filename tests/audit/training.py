"""Thirty steps of `mlsg train` beside a plain loop on transformers: losses, and weights at the end."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import ours, straightforward
from tests.audit.finding import Finding
from tests.tiny_models import SENTENCES, tiny_bert

_STEPS, _BATCH, _RATE, _WIDTH = 30, 7, 2e-4, 48


def findings() -> Iterator[Finding]:
    """The largest relative difference of a loss, and the largest part of a weight's movement that differs."""
    texts = [f"{one} {other}" for one in SENTENCES for other in SENTENCES][: _STEPS * _BATCH]
    with TemporaryDirectory() as temporary, ours.on("cpu"):
        base = tiny_bert(Path(temporary) / "base", dropout=0.0, positions=256)
        place = ours.setting(Path(temporary) / "ours", base, texts, None)
        fast = place.begin(objective=[f"head_width={_WIDTH}"], learning_rate=_RATE, batch_size=_BATCH)
        head = copy.deepcopy(fast.loop.r.objective.parts["head"])
        plain = straightforward.start(base, fast.loop.plan.steps, head=head, rate=_RATE)
        before = copy.deepcopy(plain.tuned.state_dict())
        losses = [(float(plain.step(fast.texts_of(step))), fast.step()) for step in range(_STEPS)]
        yield Finding("loss of 30 steps", max(abs(a - b) / abs(a) for a, b in losses), 1e-4)
        theirs = plain.tuned.state_dict()
        tuned = fast.loop.r.tuned.model.state_dict()
        moved = max(float((theirs[name] - before[name]).abs().max()) for name in tuned)
        apart = max(float((theirs[name] - tuned[name]).abs().max()) for name in tuned)
        yield Finding(f"weights after 30 steps, of {moved:.1e} moved", apart / moved, 1e-3)
