"""Scores written by hand, for tests of what people and programs are shown."""

from __future__ import annotations

from pathlib import Path

from mlsg.cache.artefact import Artefact
from mlsg.evaluate.results import EncoderEntry, Gain, MeanScore, Scores, SetScore, Skipped

ENCODER = EncoderEntry("mini-sg", "mini", "self_guided", "cls", 256, "ab" * 32)


def set_score(name: str, languages: tuple[str, str], rho: float | None = 0.71, **changes: object) -> SetScore:
    same = languages[0] == languages[1]
    values = {
        "set": name,
        "languages": languages,
        "split": "test",
        "pairs": 250,
        "spearman": rho,
        "pearson": None if rho is None else rho - 0.01,
        "interval": None if rho is None else (rho - 0.08, rho + 0.07),
        "truncated": 0,
        "unknown": 0,
        "made": "human",
        "kind": "similarity",
        "transductive": False,
        "baselines": {
            "base_cls": 0.301,
            "base_mean": 0.456,
            "overlap": 0.7239 if same else None,
            "idf_overlap": 0.7809 if same else None,
        },
    }
    return SetScore(**{**values, **changes})


def written_scores() -> Scores:
    return Scores(
        artefact=Artefact(
            Path("scores"), dict.fromkeys(("key", "stage", "name", "facts", "settings", "inputs", "seconds"))
        ),
        encoder=ENCODER,
        suite="sts",
        primaries={"es": "sts17.es-es", "ar": "sts17.ar-ar", "tr": "stsb_google.tr", "de": "gone.de", "xx": None},
        sets=[
            set_score("sts17.es-es", ("es", "es"), 0.7123456789),
            set_score("sts17.ar-ar", ("ar", "ar"), 0.5),
            set_score("stsb_google.tr", ("tr", "tr"), 0.4, pairs=1379, made="machine_translation", transductive=True),
            set_score("sts17.en-tr", ("en", "tr"), -0.02, truncated=3, unknown=7),
            set_score("tiny.es", ("es", "es"), None, pairs=40, kind="relatedness", transductive=None),
        ],
        skipped=[Skipped("gone.de", "the hub is out of reach")],
        settings={"langs": ["es", "ar", "tr", "de", "xx"], "seed": 0},
        versions={"python": "3.11"},
        seconds=1.5,
        mean=MeanScore(
            3, 0.5374, (0.48, 0.59), {"base_cls": Gain(0.2364, (0.17, 0.3)), "base_mean": Gain(0.0814, (-0.01, 0.15))}
        ),
    )
