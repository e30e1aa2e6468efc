"""(g) What share of the machine's matrix-multiply rate a training step reaches, and where the rest of its time goes.

    python -m benchmarks.bench_roofline --shape mbert --precision bf16

The floor is the time that the matrix products of the step alone would take, each at the rate measured for its own shape
(forward, and both products of backward), on tokens without padding. The share reached is that floor over the time of a
step. The second table is torch.profiler's, by kind of operation; profiling itself slows small operations down.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import material, ours
from benchmarks.machine import describe
from benchmarks.ratio import timed

_BATCH = 16
_WARMUP = 2
_GROUPS = (
    ("optimiser", ("_fused_adamw", "_foreach_")),
    ("attention", ("attention", "softmax", "bmm", "baddbmm")),
    ("matrix products", ("addmm", "aten::mm", "linear", "matmul", "gemm", "cutlass", "sm90", "sm80")),
    ("gelu", ("gelu",)),
    ("layer norm", ("layer_norm", "LayerNorm")),
    ("dropout", ("dropout", "bernoulli", "random")),
    ("drift and clipping", ("Drift", "vecdot", "aten::dot", "norm")),
    ("casts and copies", ("copy", "aten::to", "cat", "Memcpy", "Memset", "fill", "zero")),
    ("embeddings and rows", ("embedding", "index", "gather", "scatter")),
)


@dataclass(frozen=True)
class Product:
    """`count` products (m, k) x (k, n) of a step."""

    part: str
    m: int
    k: int
    n: int
    count: int

    @property
    def flops(self) -> int:
        """Of all of them."""
        return 2 * self.m * self.k * self.n * self.count


@dataclass(frozen=True)
class Step:
    """Sizes of a training step."""

    tokens: int
    """Of all sentences, padding not counted."""
    batch: int
    layers: int
    width: int
    inner: int
    views: int
    head: int
    guide: bool
    """Whether the guide reads the batch in the step."""
    last: int
    """Tokens that go on after the last layer's attention: for [CLS] anchors one of each sentence."""


def products(step: Step) -> Iterator[Product]:
    """The matrix products of a step.

    A linear map forward is one product, backward two: for its weights and for its input. The input of the first layer
    is frozen, so its three projections pass nothing back; of the head's rows only the anchors' do. The products inside
    attention are a hundredth of the rest for sentences, and left out.
    """
    t, d, f, w, layers = step.tokens, step.width, step.inner, step.head, step.layers
    linears = [(t, d, d, 4 * layers - 1, 3), (t, d, f, layers - 1, 0), (t, f, d, layers - 1, 0)]
    linears += [(step.last, d, d, 1, 0), (step.last, d, f, 1, 0), (step.last, f, d, 1, 0)]
    for m, k, n, count, frozen in linears:
        yield Product("encoder", m, k, n, count)
        yield Product("encoder", m, n, k, count - frozen)
        yield Product("encoder", k, m, n, count)
    for k, n, count in ((d, d, 4), (d, f, 1), (f, d, 1)):
        yield Product("guide", t, k, n, count * layers * step.guide)
    rows = step.batch * (1 + step.views)
    for k, back in ((d, step.batch), (w, rows)):
        yield Product("head", rows, k, w, 1)
        yield Product("head", back, w, k, 1)
        yield Product("head", k, rows, w, 1)
    yield Product("head", step.batch, w, step.batch * step.views, 3)


def rate(product: Product, dtype: torch.dtype, device: str, *, budget: float = 2e10) -> float:
    """Measured operations a second of one product; the weights lie as they do in a linear map."""
    left = torch.randn(product.m, product.k, device=device).to(dtype)
    right = torch.randn(product.n, product.k, device=device).to(dtype).T
    repeats = max(1, min(200, int(budget * (50 if device == "cuda" else 1) / (product.flops / product.count))))

    def work() -> None:
        for _ in range(repeats):
            torch.mm(left, right)

    work()
    seconds = median(timed(work) for _ in range(3))
    return repeats * product.flops / product.count / seconds


def table(found: profile, head: int, device: str) -> list[tuple[str, float]]:
    """Microseconds by kind of operation, the longest first; the head's products are recognised by its width, `head`."""
    spent: dict[str, float] = {}
    others: dict[str, float] = {}
    for event in found.key_averages(group_by_input_shape=True):
        own = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        if device == "cuda" and event.device_type.name == "CPU":
            continue  # the kernels that it starts are events of their own
        group = next((name for name, keys in _GROUPS if any(key in event.key for key in keys)), "other")
        if group == "matrix products" and str(head) in str(event.input_shapes):
            group = "matrix products of the head"
        spent[group] = spent.get(group, 0.0) + own
        if group == "other":
            others[event.key] = others.get(event.key, 0.0) + own
    if others:
        most = sorted(others, key=lambda key: -others[key])[:4]
        spent[f"other ({', '.join(most)}, ...)"] = spent.pop("other")
    return sorted(spent.items(), key=lambda entry: -entry[1])


def measure(shape: str, precision: str, steps: int, device: str, folder: Path) -> list[str]:
    """The lines of the report."""
    base = material.base_folder(shape, folder)
    with ours.on(device):
        texts = material.sentences(_BATCH * (2 * steps + _WARMUP))
        training = ours.setting(folder / "ours", base, texts, None).begin(precision=precision)
    seconds = [timed(training.step) for _ in range(_WARMUP + steps)][_WARMUP:]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=activities, record_shapes=True) as found:
        for _ in range(steps):
            training.step()

    step = _sizes(training, range(_WARMUP, _WARMUP + steps))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rates = {product: rate(product, dtype, device) for product in products(step) if product.count}
    floor = sum(product.flops / each for product, each in rates.items())
    flops = sum(product.flops for product in rates)
    spent = median(seconds)
    lines = [
        f"step of {shape}, {precision}, {device}: {spent:.3f} s, {step.tokens} tokens, guide in it: {step.guide}",
        f"its matrix products: {flops / 1e9:.0f} GFLOP; {floor:.3f} s at the measured rates "
        f"({flops / floor / 1e9:.0f} GFLOP/s); share reached {floor / spent:.0%} ({flops / spent / 1e9:.0f} GFLOP/s)",
    ]
    for part in ("encoder", "guide", "head"):
        here = [product for product in rates if product.part == part]
        if not here:
            continue
        lines.append(
            f"  {part}: {sum(product.flops for product in here) / 1e9:.0f} GFLOP, "
            f"{sum(product.flops / rates[product] for product in here):.3f} s"
        )
    entries = table(found, step.head, device)
    total = sum(each for _, each in entries)
    lines += [f"  {each / total:6.1%}  {name}" for name, each in entries]
    return lines


def _sizes(training: ours.Ours, steps: range) -> Step:
    run = training.loop.r
    config = run.tuned.model.config
    counts = [int(run.text.tokens.lengths[training.rows_of(step)].sum()) for step in steps]
    return Step(
        tokens=int(median(counts)),
        batch=_BATCH,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        inner=config.intermediate_size,
        views=config.num_hidden_layers + 1,
        head=run.objective.settings.head_width,  # type: ignore[attr-defined]
        guide=training.guide_in_step,
        last=_BATCH,
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the machine, the share and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = parser.parse_args(arguments)
    ours.check_device(given.device)
    print(describe())
    with TemporaryDirectory() as folder:
        print("\n".join(measure(given.shape, given.precision, given.steps, given.device, Path(folder))))


if __name__ == "__main__":
    main()
