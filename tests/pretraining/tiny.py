"""A folder of generated text in four scripts, and settings with which a whole build takes seconds."""

from __future__ import annotations

import lzma
import random
from pathlib import Path

from mlsg.config.recipes import Recipe, load_recipe

_TEXTS = {
    "en": "the river was high after a week of rain and no one dared to cross it before the third day",
    "tr": "nehir bir haftalık yağmurdan sonra yükseldi ve üçüncü günden önce kimse karşıya geçmeye cesaret edemedi",
    "ru": "река поднялась после недели дождей и никто не решался перейти её до третьего дня весной",
}
WORDS = {lang: text.split() for lang, text in _TEXTS.items()}
WORDS["zh"] = list("河水在一周的雨后上涨没有人敢在第三天之前过河孩子们觉得这样更好玩")
HELD_OUT = "A sentence that only the evaluation data should hold."


def sentence(draws: random.Random, lang: str) -> str:
    """3 to 14 words of a language as they follow one another, a capital first and a stop last."""
    first, size = draws.randrange(len(WORDS[lang])), draws.randint(3, 14)
    chosen = (WORDS[lang] * 2)[first : first + size]
    return ("" if lang == "zh" else " ").join(chosen).capitalize() + ("。" if lang == "zh" else ".")


def write_text(folder: Path, lines: int = 240) -> Path:
    """Documents and single lines of four languages, one file packed, and translations of two."""
    folder.mkdir(parents=True)
    draws = random.Random(0)
    for lang in WORDS:
        documents = ["\n".join(sentence(draws, lang) for _ in range(6)) for _ in range(lines // 12)]
        singles = [sentence(draws, lang) for _ in range(lines // 2)]
        if lang == "en":
            singles.insert(5, HELD_OUT)
        text = "\n\n".join(documents) + "\n\n\n" + "\n".join(singles) + "\n"
        if lang == "ru":
            (folder / "ru.txt.xz").write_bytes(lzma.compress(text.encode()))
        else:
            (folder / f"{lang}.txt").write_text(text, encoding="utf-8")
    (folder / "en_more.txt").write_text("\n".join(sentence(draws, "en") for _ in range(30)) + "\n", encoding="utf-8")
    rows = [f"en\t{lang}\t{sentence(draws, 'en')}\t{sentence(draws, lang)}" for lang in ("tr", "zh") for _ in range(40)]
    (folder / "parallel.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def write_data(folder: Path) -> Path:
    """Evaluation data with one sentence of the text, in another case and spacing."""
    (folder / "set").mkdir(parents=True)
    row = f"5.0\t{HELD_OUT.upper().replace(' ', '  ')}\tAnother."
    (folder / "set" / "pairs.tsv").write_text(f"score\tfirst\tsecond\n{row}\n", encoding="utf-8")
    return folder


def small_recipe(**changes: object) -> Recipe:
    """Recipe `starter`, made small."""
    small = {
        "vocabulary": 300,
        "width": 32,
        "layers": 2,
        "heads": 2,
        "lengths": [16, 32],
        "length_shares": [0.6, 0.4],
        "tokens": 24_000,
        "batch_tokens": 1024,
        "pass_tokens": 512,
        "precision": "float32",
        **changes,
    }
    return load_recipe("starter", [f"pretrain.{key}={_toml(value)}" for key, value in small.items()])


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
