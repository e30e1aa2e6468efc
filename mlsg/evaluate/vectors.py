"""Vectors kept on disk by encoder, precision and text, shared by sets, runs and processes.

    store = VectorStore(workspace.root, encoder, "float32")
    rows = store.find(sentences)          # rows.known says which were found
    store.add(some, rows_of_some)

Layout: `vectors/<12 hex>/<32 hex>.npy`, each file a table of (digest of the text, counts, vector) that is written once
and named after the sha256 of its bytes. A file that does not have its name's bytes is damaged: it is reported, removed,
and its vectors are computed again. Any file may be deleted at any time: what is absent is computed. Past `LIMIT` the
files that have not been read for longest go first.

Whether a vector was found or computed cannot be seen in a result, because `mlsg.model.encoder.encode_tokens(settled)`
gives each text the same bits whatever it is computed with, on one machine and with the versions that are in the key.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from mlsg import console
from mlsg.cache.files import canonical_json, read_sealed, sealed_json, sha256_text, write_atomically
from mlsg.cache.versions import vector_versions
from mlsg.evaluate.encoder_ref import EncoderRef

FORMAT = 2
LIMIT = 8 * 2**30  # bytes that all encoders' vectors may take
_FACTS, _SPEED = "encoder.json", "speed.json"


@dataclass(frozen=True)
class Rows:
    """n texts under one encoder; where `known` is false the rest means nothing."""

    vectors: NDArray[np.float32]  # (n, d)
    truncated: NDArray[np.bool_]
    unknown: NDArray[np.int64]
    known: NDArray[np.bool_]

    @classmethod
    def empty(cls, count: int, dimension: int) -> Rows:
        """Rows of which none is known."""
        vectors = np.zeros((count, dimension), dtype=np.float32)
        flags = np.zeros(count, dtype=np.bool_)
        return cls(vectors, flags, np.zeros(count, dtype=np.int64), flags.copy())

    def of(self, rows: Sequence[int]) -> Rows:
        """Some of them."""
        return Rows(self.vectors[rows], self.truncated[rows], self.unknown[rows], self.known[rows])


@dataclass(frozen=True)
class VectorStore:
    """The vectors of one encoder in one precision."""

    root: Path  # the workspace's folder
    encoder: EncoderRef
    precision: str

    @cached_property
    def folder(self) -> Path:
        """Where they are. What can change a vector's bits decides its name."""
        identity = {
            "format": FORMAT,
            "encoder": self.encoder.key,
            "pooling": self.encoder.pooling,
            "layer": self.encoder.layer,
            "prompt": self.encoder.prompt,
            "prompt_name": self.encoder.prompt_name,
            "precision": self.precision,
            "versions": vector_versions(),
        }
        return self.root / "vectors" / sha256_text(canonical_json(identity))[:12]

    def facts(self) -> dict[str, Any] | None:
        """What is known of the encoder once it was loaded; None where it never was, or the file is damaged."""
        try:
            found = read_sealed(self.folder / _FACTS)
        except (OSError, ValueError):
            return None
        return found if isinstance(found.get("dimension"), int) else None

    def note_facts(self, facts: Mapping[str, Any]) -> None:
        """Keep what is known of the encoder."""
        with self._writing():
            write_atomically(self.folder / _FACTS, sealed_json(facts))

    def speed(self) -> float | None:
        """Sentences a second when vectors were last computed here; None where they never were. Damage is removed."""
        path = self.folder / _SPEED
        try:
            return 1 / float(read_sealed(path)["seconds"])
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            path.unlink(missing_ok=True)
        except OSError:
            pass
        return None

    def note_speed(self, sentences: float) -> None:
        """Keep how many sentences a second there were."""
        with self._writing():
            write_atomically(self.folder / _SPEED, sealed_json({"seconds": 1 / sentences}))

    def find(self, texts: Sequence[str], dimension: int) -> Rows:
        """What is kept of some texts. A damaged file is reported and removed."""
        self.speed()
        rows = Rows.empty(len(texts), dimension)
        place = {digest(text): number for number, text in enumerate(texts)}
        for path in sorted(self.folder.glob("*.npy")):
            table = _read(path, dimension)
            if table is None:
                continue
            here = [
                (number, row)
                for row, key in enumerate(table["text"].tolist())
                if (number := place.get(key)) is not None
            ]
            if not here:
                continue
            numbers, chosen = np.array(here).T
            rows.vectors[numbers] = table["vector"][chosen]
            rows.truncated[numbers], rows.unknown[numbers] = table["truncated"][chosen], table["unknown"][chosen]
            rows.known[numbers] = True
            with contextlib.suppress(OSError):  # gone since, or a workspace that is only read
                os.utime(path)
        return rows

    def add(self, texts: Sequence[str], rows: Rows) -> None:
        """Keep the vectors of some texts, then keep to the limit."""
        if not texts:
            return
        table = np.zeros(len(texts), dtype=_kind(rows.vectors.shape[1]))
        table["text"] = [digest(text) for text in texts]
        table["vector"], table["truncated"], table["unknown"] = rows.vectors, rows.truncated, rows.unknown
        buffer = io.BytesIO()
        np.save(buffer, table, allow_pickle=False)
        content = buffer.getvalue()
        path = self.folder / f"{_name(content)}.npy"
        temporary = path.with_name(f".{path.name}")
        with self._writing():
            try:
                temporary.write_bytes(content)
                with contextlib.suppress(FileNotFoundError):  # where locks do not hold: they are computed again
                    temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        keep_to_limit(self.root / "vectors")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Nobody else writes here meanwhile, and what killed writers have left is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.root / "locks").mkdir(exist_ok=True)
        with FileLock(self.root / "locks" / f"vectors-{self.folder.name}.lock"):
            for left in self.folder.glob(".*"):
                left.unlink(missing_ok=True)
            yield


def keep_to_limit(folder: Path, limit: int | None = None) -> None:
    """Delete the files under `folder` that have not been read for longest until the rest fits."""
    found = []
    for path in folder.glob("*/*.npy"):
        with contextlib.suppress(OSError):  # another process was faster
            state = path.stat()
            found.append((state.st_mtime_ns, path, state.st_size))
    total = sum(size for _, _, size in found)
    for _, path, size in sorted(found):
        if total <= (LIMIT if limit is None else limit):
            break
        path.unlink(missing_ok=True)
        total -= size


def digest(text: str) -> bytes:
    """What a text is found by; among a billion texts two of one digest are met with a chance of 10^-21."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest().encode()


def _kind(dimension: int) -> np.dtype:
    fields = [("text", "S32"), ("unknown", "<i4"), ("truncated", "?"), ("vector", "<f4", (dimension,))]
    return np.dtype(fields)


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _read(path: Path, dimension: int) -> NDArray[Any] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if _name(content) == path.stem:
        table: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
        if table.dtype == _kind(dimension):
            return table
    console.note(f"damaged vectors {path}: they are computed again")
    with contextlib.suppress(OSError):
        path.unlink()
    return None
