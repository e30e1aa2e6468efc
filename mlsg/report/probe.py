"""What a probe found: a table of layers by poolings, one of languages, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlsg.errors import SettingError
from mlsg.report.drawing import Grid
from mlsg.report.tables import points

if TYPE_CHECKING:
    from mlsg.evaluate.probe import Place, Probe


def probe_grids(found: Probe) -> list[Grid]:
    """Means over languages by layer and pooling; then each language's best, and what the choices give it."""
    poolings = list(dict.fromkeys(pooling for _, pooling in found.agreements))
    layers = sorted({layer for layer, _ in found.agreements})
    means = [(str(layer), *(points(found.mean((layer, pooling))) for pooling in poolings)) for layer in layers]
    title = f"{found.name}: Spearman x 100 by layer and pooling, mean of {len(found.sets)} languages"
    numbers = ("best", "best in\nthe mean", "chosen\nunlabelled", "last\nCLS", "last\nmean")
    rows = [_language(code, found) for code in found.sets]
    columns = ("lang", "set", "best at", *numbers)
    return [
        Grid(title, ("layer", *poolings), tuple(means), ("layer", *poolings)),
        Grid("By language", columns, tuple(rows), numbers),
    ]


def probe_legend(found: Probe) -> list[str]:
    """The two choices, and how near they are."""
    best, chosen = found.mean(found.best), found.mean(found.chosen)
    lines = [f"Best in the mean over languages, by the scores: {_named(found.best)}, {points(best)}"]
    if best is not None and chosen is not None:
        lines.append(
            f"Chosen without scores, by agreement with all candidates: {_named(found.chosen)}, {points(chosen)}, "
            f"{points(best - chosen)} below the best"
        )
    return lines


def draw_probe(found: Probe, path: Path) -> None:
    """A picture: a curve a pooling over the layers, a panel a language. Raises SettingError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingError("a picture needs matplotlib, which is not installed", "pip install matplotlib") from None
    across = min(4, len(found.sets))
    down = -(-len(found.sets) // across)
    figure = Figure(figsize=(3.2 * across, 2.6 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharex=True).ravel()
    poolings = list(dict.fromkeys(pooling for _, pooling in found.agreements))
    layers = sorted({layer for layer, _ in found.agreements})
    for axis, code in zip(axes, found.sets, strict=False):
        for pooling in poolings:
            values = [found.scores[code][layer, pooling] for layer in layers]
            axis.plot(layers, [float("nan") if each is None else 100 * each for each in values], ".-", label=pooling)
        axis.set_title(f"{code}: {found.sets[code]}", fontsize=9)
        axis.tick_params(labelsize=8)
    for axis in axes[len(found.sets) :]:
        axis.set_visible(False)
    figure.supxlabel("layer (0: embeddings)", fontsize=9)
    figure.supylabel("Spearman x 100", fontsize=9)
    axes[0].legend(fontsize=8)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} cannot be written: {error}", "name a .png, .svg or .pdf") from None


def _language(code: str, found: Probe) -> tuple[str, ...]:
    own = found.scores[code]
    best = max(own, key=lambda place: -1.0 if own[place] is None else float(own[place] or 0.0))
    places = (best, found.best, found.chosen, (found.layers, "cls"), (found.layers, "mean"))
    return (code, found.sets[code], _named(best), *(points(own[place]) for place in places))


def _named(place: Place) -> str:
    layer, pooling = place
    return f"layer {layer} {pooling}"
