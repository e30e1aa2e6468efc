"""The text of the family's table, out of ../shared: files, and language TOMLs that declare them as corpora.

    python -m benchmarks.family.text SHARED TARGET
    mlsg run ... --langs-dir TARGET

Corpora: `plain` of each language (its single sentences), `documents` of English, `parallel` (English and a translation,
as pairs; there is no machine translation here to make back-translations of English), `snli` (triplets); and English
sentences of one kind each: `nli` (those of the triplets), `mixed` (Wikipedia, news, novels), `fiction`, `reviews`.
"""

from __future__ import annotations

import argparse
import lzma
from hashlib import sha256
from pathlib import Path

LANGUAGES = ("en", "es", "ar", "tr", "de", "fr", "ru", "zh", "ja", "ko")


def write(shared: Path, target: Path) -> None:
    """Write all files; what is there already is replaced."""
    target.mkdir(parents=True, exist_ok=True)
    for code in LANGUAGES:
        documents, singles = _read(shared / "corpora" / f"{code}.txt.xz").split("\n\n\n")
        (target / f"{code}.txt").write_text(singles.strip() + "\n", encoding="utf-8")
        corpora = [("plain", f'files = "{code}.txt"')]
        if code == "en":
            lines = (" ".join(each.split("\n")) for each in documents.split("\n\n"))
            (target / "documents.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (target / "parallel.tsv").write_text(_pairs(shared / "corpora" / "parallel.tsv.xz"), encoding="utf-8")
            triplets = _read(shared / "data" / "nli" / "snli_triplets.tsv.xz")
            (target / "snli.tsv").write_text(triplets, encoding="utf-8")
            kinds = {"mixed": documents, "nli": _column_by_column(triplets)}
            kinds |= {kind: _read(shared / "corpora" / f"en_{kind}.txt.xz") for kind in ("fiction", "reviews")}
            for kind, lines in kinds.items():
                (target / f"{kind}.txt").write_text(_shuffled(lines), encoding="utf-8")
                corpora.append((kind, f'files = "{kind}.txt"'))
            corpora += [
                ("documents", 'files = "documents.txt"'),
                ("parallel", 'files = "parallel.tsv"\ncolumns = ["sentence1", "sentence2"]'),
                ("snli", 'files = "snli.tsv"\ncolumns = ["anchor", "positive", "negative"]'),
            ]
        tables = "\n".join(f"[corpora.{name}]\n{table}\n" for name, table in corpora)
        (target / f"{code}.toml").write_text(f'code = "{code}"\n\n{tables}', encoding="utf-8")


def _column_by_column(table: str) -> str:
    return "\n".join(text for line in table.splitlines()[1:] for text in line.split("\t")[:3])


def _shuffled(lines: str) -> str:
    """Distinct lines that are not empty, in an order that is the same each time."""
    distinct = dict.fromkeys(filter(None, (line.strip() for line in lines.splitlines())))
    return "".join(f"{line}\n" for line in sorted(distinct, key=lambda line: sha256(line.encode()).digest()))


def _read(path: Path) -> str:
    return lzma.decompress(path.read_bytes()).decode()


def _pairs(path: Path) -> str:
    rows = [line.split("\t") for line in _read(path).splitlines()]
    chosen = [f"{english}\t{other}\n" for _, code, english, other in rows if code in LANGUAGES]
    return "".join(["sentence1\tsentence2\n", *chosen])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    write(given.shared, given.target)
