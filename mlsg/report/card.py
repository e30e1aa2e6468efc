"""The model card (README.md) of an encoder folder: what it is, how to load it, how it was made, how well it does.

A function of what is known of the encoder and of its scores: no dates, no paths, the same bytes each time. A finished
encoder is never changed, so the card inside it has no scores yet; `mlsg eval` puts the card with its table beside the
scores, and `mlsg export` lays encoder and card together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg.evaluate.results import ScoreSheet
from mlsg.model.provenance import Provenance, provenance_in
from mlsg.report.tables import grids, legend, markdown

CARD = "README.md"

_POOLED = {
    "cls": "vectors = states[:, 0]",
    "mean": "vectors = (states * mask).sum(1) / mask.sum(1)",
    "max": 'vectors = states.masked_fill(mask == 0, float("-inf")).max(1).values',
}
_POOLED["first_last"] = _POOLED["mean"]
_STATES = {"first_last": "sum(model(**batch).hidden_states[n] for n in (1, -1)) / 2"}
_SHOWN_TRAINING = (
    "epochs",
    "max_steps",
    "batch_size",
    "learning_rate",
    "max_length",
    "dev",
    "keep",
    "precision",
    "seed",
)


def card(made: Provenance, scores: ScoreSheet | None) -> str:
    """The card as Markdown with a YAML head; the section on scores asks for `mlsg eval` where there are none yet."""
    lines = [*_head(made, scores), "", f"# {_title(made)}", "", _summary(made)]
    for title, section in (
        ("Use", _use(made)),
        ("How it was made", _making(made)),
        ("Scores", _scores(scores)),
        ("Limits", _limits(made, scores)),
    ):
        lines += ["", f"## {title}", "", *section]
    return "\n".join(lines).rstrip() + "\n"


def write_card(folder: Path) -> None:
    """Write the card of an encoder folder that was saved just now, from its mlsg.json; there are no scores yet."""
    made = provenance_in(folder)
    if made is not None:
        (folder / CARD).write_text(card(made, None), encoding="utf-8", newline="\n")


def _head(made: Provenance, scores: ScoreSheet | None) -> Iterator[str]:
    """YAML; JSON strings and lists are YAML too."""
    codes = dict.fromkeys([*([made.lang] if made.lang else []), *(scores.primaries if scores else ())])
    yield "---"
    if codes:
        yield f"language: {_yaml(list(codes))}"
    yield "library_name: sentence-transformers"
    yield "pipeline_tag: sentence-similarity"
    if made.base and not made.base_is_local:
        yield f"base_model: {_yaml(made.base)}"
    yield f"tags: {_yaml(['sentence-transformers', 'sentence-similarity', 'feature-extraction', 'mlsg'])}"
    yield "---"


def _title(made: Provenance) -> str:
    """`mini, self_guided`: a base and what was done to it."""
    return ", ".join(filter(None, (made.base, made.objective))) or "Sentence encoder"


def _summary(made: Provenance) -> str:
    dimension = f" of {made.dimension} dimensions" if made.dimension else ""
    how = (
        "is used as it was pretrained"
        if made.trained is False
        else f"was fine-tuned on unlabeled sentences by `{made.objective or 'a method not known'}`"
    )
    return (
        f"Maps a sentence to a vector{dimension}; the cosine of two vectors says how alike two sentences are in "
        f"meaning. Its base, `{made.base or 'not known'}`, {how} with mlsg."
    )


def _use(made: Provenance) -> Iterator[str]:
    yield "```python"
    yield "from sentence_transformers import SentenceTransformer"
    yield ""
    yield 'vectors = SentenceTransformer("FOLDER").encode(["One sentence.", "Bir cümle."])'
    yield "```"
    yield ""
    yield "The same vectors with mlsg:"
    yield ""
    yield "```python"
    yield "from mlsg import Encoder"
    yield ""
    yield 'vectors = Encoder.load("FOLDER").encode(["One sentence.", "Bir cümle."])'
    yield "```"
    if made.pooling in _POOLED:
        yield ""
        yield "And with transformers alone:"
        yield ""
        yield "```python"
        yield from _transformers_lines(made.pooling)
        yield "```"


def _transformers_lines(pooling: str) -> Iterator[str]:
    yield "from transformers import AutoModel, AutoTokenizer"
    yield ""
    yield 'tokenizer, model = AutoTokenizer.from_pretrained("FOLDER"), AutoModel.from_pretrained("FOLDER")'
    yield 'batch = tokenizer(["One sentence.", "Bir cümle."], padding=True, truncation=True, return_tensors="pt")'
    yield f"states = {_STATES.get(pooling, 'model(**batch).last_hidden_state')}"
    if pooling != "cls":
        yield 'mask = batch["attention_mask"].unsqueeze(-1)'
    yield _POOLED[pooling]


def _making(made: Provenance) -> Iterator[str]:
    text = f"{made.corpus or 'your own files'} ({made.lang or 'language not stated'})"
    if made.sentences is not None:
        text += f", {made.sentences:,} sentences"
    rows = {
        "base": f"`{made.base}`" + (f" at revision `{made.base_revision}`" if made.base_revision else ""),
        "objective": f"`{made.objective}`: {_settings(made.objective_settings)}" if made.objective else "not known",
        "training": _settings(
            {name: made.train_settings[name] for name in _SHOWN_TRAINING if name in made.train_settings}
        ),
        "pooling": _pooling(made),
        "text": text,
        "licence of the text": made.licence or "not stated",
    }
    yield "| | |"
    yield "| --- | --- |"
    yield from (f"| {name} | {_escaped(value or 'not stated')} |" for name, value in rows.items())
    yield ""
    dev = made.train_settings.get("dev", "none")
    if dev == "none" or made.trained is False:
        yield "No human score was used."
    else:
        yield f"The human scores of `{dev}` picked the weights that were kept; no other human score was used."


def _pooling(made: Provenance) -> str:
    if not made.pooling:
        return "not known"
    if made.layer is None or made.layer == made.base_layers:
        return f"`{made.pooling}`, last layer"
    return f"`{made.pooling}`, layer {made.layer} of {made.base_layers}; the layers above are left out"


def _scores(scores: ScoreSheet | None) -> Iterator[str]:
    if scores is None:
        yield "Not evaluated yet: `mlsg eval --encoder FOLDER --langs es,ar,tr`."
        return
    yield (
        "Spearman correlation (x 100) of cosines with human scores, with 95% bootstrap intervals over pairs. Beside "
        "it, on the same pairs: the untuned base by its [CLS] vector and by the mean of its tokens, and two ways of "
        "counting shared words."
    )
    yield ""
    yield markdown(grids(scores), [line for line in legend(scores) if not line.startswith("Skipped")]).rstrip()


def _limits(made: Provenance, scores: ScoreSheet | None) -> Iterator[str]:
    longest = made.train_settings.get("max_length")
    if longest:
        yield f"- Trained on texts of at most {longest} tokens; longer ones are cut."
    if made.transductive:
        families = ", ".join(sorted(made.transductive))
        yield (
            f"- The training text holds the sentences (not the scores) of: {families}. Scores on these, or on their "
            "translations, are transductive: they say little about text that was never seen."
        )
    if scores is not None:
        yield f"- Measured in {', '.join(scores.primaries)} only; other languages of the base may do better or worse."
    yield "- Where the overlap columns are higher, counting shared words is the better choice for that kind of text."
    yield "- The licence of the base holds for these weights too; look it up before you publish them."


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _yaml(value: str | Sequence[str]) -> str:
    return json.dumps(value, ensure_ascii=False)
