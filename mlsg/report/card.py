"""The model card (README.md) of an encoder folder: what it is, how to load it, how it was made, how well it does.

A function of what is known of the encoder and of its scores: no dates, no paths, the same bytes each time. A finished
encoder is never changed, so the card inside it has no scores yet; `mlsg eval` puts the card with its table beside the
scores, and `mlsg export` lays encoder and card together. The text is in `card_template.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg.model.provenance import Provenance
from mlsg.report.tables import grids, legend, markdown

if TYPE_CHECKING:
    from mlsg.evaluate.results import Scores

CARD = "README.md"

_TEMPLATE = Path(__file__).with_name("card_template.md")
_SHOWN_TRAINING = (
    "epochs", "max_steps", "batch_size", "learning_rate", "max_length", "dev", "keep", "precision", "seed",
)  # fmt: skip


def card(made: Provenance, scores: Scores | None) -> str:
    """The card as Markdown with a YAML head; the section on scores asks for `mlsg eval` where there are none yet."""
    from huggingface_hub import ModelCard, ModelCardData

    languages = list(scores.primaries) if scores else []
    data = ModelCardData(
        language=list(dict.fromkeys([*([made.lang] if made.lang else []), *languages])) or None,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        base_model=None if made.base_is_local else made.base or None,
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction", "mlsg"],
    )
    shown = [line for line in legend(scores) if not line.startswith("Skipped")] if scores else []
    found = ModelCard.from_template(
        data,
        template_path=str(_TEMPLATE),
        title=", ".join(filter(None, (made.base, made.objective))) or "Sentence encoder",
        made=made,
        only_here=_only_here(made),
        making={name: _escaped(value or "not stated") for name, value in _making(made).items()},
        dev=made.train_settings.get("dev", "none"),
        table=markdown(grids(scores), shown).rstrip() if scores else "",
        languages=languages,
    )
    return f"{found.content.rstrip()}\n"


def _making(made: Provenance) -> dict[str, str]:
    text = f"{made.corpus or 'your own files'} ({made.lang or 'language not stated'})"
    if made.sentences is not None:
        text += f", {made.sentences:,} sentences"
    training = {name: made.train_settings[name] for name in _SHOWN_TRAINING if name in made.train_settings}
    return {
        "base": f"`{made.base}`" + (f" at revision `{made.base_revision}`" if made.base_revision else ""),
        "objective": f"`{made.objective}`: {_settings(made.objective_settings)}" if made.objective else "not known",
        **_transform(made),
        "training": _settings(training),
        "pooling": _pooling(made),
        **({"prompt before each sentence": _value(made.prompt)} if made.prompt else {}),
        **({"left out of the base": ", ".join(made.dropped)} if made.dropped else {}),
        "text": text,
        "licence of the text": made.licence,
    }


def _transform(made: Provenance) -> dict[str, str]:
    settings = {name: value for name, value in made.transform.items() if name != "name"}
    name = made.transform.get("name")
    return {"transform": f"`{name}`, fitted on the text{': ' if settings else ''}{_settings(settings)}"} if name else {}


def _only_here(made: Provenance) -> str:
    """What of the encoder sentence-transformers does not have; empty where it has all."""
    if made.pooling == "wk":
        return "SBERT-WK"
    if made.transform.get("name") == "flow":
        return "flow"
    return "centring by language" if made.transform.get("by") == "language" else ""


def _pooling(made: Provenance) -> str:
    if not made.pooling:
        return "not known"
    if made.layer is None or made.layer == made.base_layers:
        return f"`{made.pooling}`, last layer"
    return f"`{made.pooling}`, layer {made.layer} of {made.base_layers}; the layers above are left out"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
