"""Any damage to any file of a model folder: finite vectors of the right shape, or one line that names the cause."""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from mlsg.errors import MlsgError
from mlsg.model.encoder import Encoder
from tests.fuzzing import assert_short_line, tried
from tests.tiny_models import tiny_bert, tiny_xlmr

_ODD = st.one_of(
    st.sampled_from([None, True, False, [], {}, [[]], "", "mean", "../x", "\x1b[31m", -1, 0, 1, 2, 33, 10**9, 10**30]),
    st.floats(allow_nan=True),
    st.text(max_size=9),
    st.lists(st.integers(-2, 400), max_size=3),
    st.dictionaries(st.sampled_from(["type", "content", "a"]), st.none() | st.text(max_size=5), max_size=2),
)
_TEXTS = ["The cat sleeps on the warm roof.", "", "[PAD] <pad> 🙂 ท่า", "a " * 200]


@pytest.fixture(scope="module", params=[tiny_bert, tiny_xlmr], ids=["bert", "xlmr"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of file, as sentence-transformers saves them."""
    place = tmp_path_factory.mktemp("whole")
    modules = [Transformer(str(request.param(place / "base"))), Pooling(32, "mean"), Dense(32, 16), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu", truncate_dim=7, prompts={"query": "q: "})
    model.save(str(place / "model"))
    return place / "model"


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something stands in a JSON value; of long lists and tables only the first ones."""
    if path:
        yield path
    if isinstance(value, dict | list):
        entries = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, inner in entries[:40]:
            yield from _places(inner, (*path, key))


def _with_another_value(data: st.DataObject, content: bytes) -> bytes:
    table = json.loads(content)
    places = list(_places(table)) or [()]
    *way, last = data.draw(st.sampled_from(places))
    inner = table
    for key in way:
        inner = inner[key]
    match data.draw(st.sampled_from(["set", "set", "delete", "add"])):
        case "set":
            inner[last] = data.draw(_ODD)
        case "delete":
            del inner[last]
        case "add" if isinstance(inner, dict):
            inner[data.draw(st.text(min_size=1, max_size=9))] = data.draw(_ODD)
    return json.dumps(table).encode("utf-8", "replace")


def _with_another_header(data: st.DataObject, content: bytes) -> bytes:
    """Weights whose table of names, types, shapes and places says something else."""
    (size,) = struct.unpack("<Q", content[:8])
    header = _with_another_value(data, content[8 : 8 + size])
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def _with_other_bytes(data: st.DataObject, content: bytes) -> bytes:
    place = data.draw(st.integers(0, max(0, len(content) - 1)))
    match data.draw(st.sampled_from(["flip", "cut", "insert"])):
        case "flip" if content:
            return content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
        case "cut":
            return content[:place]
    return content[:place] + data.draw(st.binary(min_size=1, max_size=12)) + content[place:]


@tried(200)
@given(data=st.data())
def test_any_damage_gives_finite_vectors_or_one_line(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in (".json", ".safetensors"))
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=2, unique=True)):
        ways = [_with_another_value] * 3 if path.suffix == ".json" else [_with_another_header] * 2
        path.write_bytes(data.draw(st.sampled_from([*ways, _with_other_bytes]))(data, path.read_bytes()))
    pooling = data.draw(st.sampled_from([None, None, "cls", "mean"]))
    began = time.process_time()
    try:
        encoder = Encoder.from_pretrained(folder, pooling=pooling, device="cpu")
        vectors = encoder.encode(_TEXTS)
    except MlsgError as error:
        assert_short_line(error, 600 + 3 * len(str(folder)))
    else:
        assert vectors.shape == (len(_TEXTS), encoder.dimension)
        assert np.isfinite(vectors).all()
    assert time.process_time() - began < 20
