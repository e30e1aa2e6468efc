"""The model card of a pretrained base, and `training.json` with the same facts for programs."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from mlsg import __version__
from mlsg.cache.files import readable_json
from mlsg.config.settings import meanings, table_of
from mlsg.pretraining.licences import NOT_STATED, licences
from mlsg.pretraining.loop import State
from mlsg.pretraining.settings import PretrainSettings
from mlsg.pretraining.store import Store


def facts_of(
    text: Path, store: Store, state: State, settings: PretrainSettings, parameters: int, device: str
) -> dict[str, Any]:
    """All that is known of a training, as JSON has it."""
    last = state.history[-8:]
    groups = sorted({group for record in last for group in record["words"]})
    losses = {group: _mean([record["words"][group] for record in last if group in record["words"]]) for group in groups}
    others = {name: _mean([record[name] for record in last if name in record]) for name in ("next_sentence", "bag")}
    return {
        "settings": table_of(settings),
        "parameters": parameters,
        "steps": state.step,
        "tokens": state.tokens,
        "padding": round(1 - state.tokens / max(1, state.places), 5),
        "masked": state.masked,
        "seconds": round(state.seconds, 1),
        "processor_seconds": round(state.processor, 1),
        "losses": {"words": losses, **{name: value for name, value in others.items() if value is not None}},
        "text": store.facts["text"],
        "translations": store.facts["translations"],
        "files": store.facts["files"],
        "licences": licences(text, list(store.facts["files"])),
        "evaluation_checked": store.facts["evaluation_checked"],
        "dropped": store.facts["dropped"],
        "history": state.history,
        "machine": f"{platform.machine()}, {device}, {torch.get_num_threads()} threads",
        "versions": {"mlsg": __version__, "torch": torch.__version__.partition("+")[0]},
    }


def write_card(folder: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write README.md and training.json into the model folder."""
    (folder / "training.json").write_text(readable_json(facts), encoding="utf-8")
    (folder / "README.md").write_text("\n".join(_lines(name, facts)) + "\n", encoding="utf-8")


def _lines(name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    settings = facts["settings"]
    languages = list(facts["text"])
    yield from (
        "---",
        "library_name: transformers",
        "license: other",
        "tags: [bert, multilingual, masked-language-model]",
    )
    yield "language:"
    yield from (f"- {lang}" for lang in languages)
    yield from ("---", "", f"# {name}", "")
    yield (
        f"A multilingual BERT (`BertForPreTraining`, {settings['layers']} layers, width {settings['width']}, "
        f"vocabulary {settings['vocabulary']:,}, {settings['lengths'][-1]} positions, {facts['parameters']:,} "
        f"parameters, float16), pretrained on {facts['tokens']:,} tokens of {len(languages)} languages by "
        "`mlsg starter build`. "
        "It is a base for training sentence encoders; nothing in it was fitted to graded pairs."
    )
    yield from ("", "## Training", "")
    yield (
        f"- {facts['steps']:,} steps, {facts['seconds']:,.0f} seconds with pauses, "
        f"{facts['processor_seconds']:,.0f} of a processor; {facts['machine']}"
    )
    yield f"- {facts['masked']:,} tokens were asked for; {100 * facts['padding']:.2f}% of all places were padding"
    for loss, title in (("next_sentence", "next sentence"), ("bag", "words asked of [CLS]")):
        if loss in facts["losses"]:
            yield f"- last loss, {title}: {facts['losses'][loss]:.3f}"
    yield from ("", "Losses are means over the last eighth of the tokens.", "")
    yield from ("| language | lines | tokens | [UNK] | last loss |", "| --- | --: | --: | --: | --: |")
    for lang, row in (*facts["text"].items(), ("translations", facts["translations"])):
        loss = facts["losses"]["words"].get(lang)
        rate = 100 * row["unknown"] / max(1, row["tokens"])
        shown = "-" if loss is None else f"{loss:.3f}"
        yield f"| {lang} | {row['lines']:,} | {row['tokens']:,} | {rate:.4f}% | {shown} |"
    yield from _sources(facts)
    yield from ("", "## Settings", "", "| setting | value | |", "| --- | --- | --- |")
    known = meanings(PretrainSettings)
    yield from (f"| {key} | {value} | {known[key]} |" for key, value in settings.items())


def _sources(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Text", "")
    if facts["evaluation_checked"]:
        dropped = {file: counts for file, counts in facts["dropped"].items() if counts}
        yield "Every line was compared with every text of the evaluation data. " + (
            "None was there." if not dropped else "Left out because it was there:"
        )
        yield ""
        for file, counts in dropped.items():
            yield f"- {file}: " + ", ".join(f"{count} ({part})" for part, count in counts.items())
    else:
        yield "Nothing was compared with evaluation data: no --data-root was given."
    yield from ("", "| file | sha256 |", "| --- | --- |")
    yield from (f"| {file} | `{digest}` |" for file, digest in facts["files"].items())
    yield from ("", "| file | source | licence as stated |", "| --- | --- | --- |")
    stated = [licence for rows in facts["licences"].values() for _, licence in rows or [("", NOT_STATED)]]
    for file, rows in facts["licences"].items():
        for source, licence in rows or [(NOT_STATED, NOT_STATED)]:
            yield f"| {file} | {source} | {licence} |"
    if NOT_STATED in stated:
        yield from (
            "",
            "Where no licence is stated nothing is known to be allowed: try these weights, ship no product on them.",
        )


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
