"""mlsg.json of strangers: what it says is of the kind that mlsg writes, or it is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.errors import ModelError
from mlsg.model.provenance import Provenance, provenance_in
from tests.fuzzing import tried

_GOOD: dict[str, Any] = {
    "schema": "mlsg.encoder/1",
    "base": {"name": "mini", "revision": None, "fingerprint": "sha256:00"},
    "objective": {"name": "sg", "weight": 0.1},
    "train": {"dev": "none"},
    "encoder": {"pooling": "cls", "layer": 2, "base_layers": 3, "dimension": 32, "max_length": 64},
    "sentences": {
        **{"lang": "es", "corpus": "", "licence": "CC0", "kept": 12, "transductive": ["sts17"]},
        "evaluation": {"sts17.es-es": {"kept": 3, "dropped": 40}},
    },
}
_TYPED: dict[str, type] = {
    **dict.fromkeys(("base.name", "base.revision", "base.fingerprint", "objective.name", "encoder.pooling"), str),
    **dict.fromkeys(("encoder.layer", "encoder.base_layers", "encoder.dimension", "sentences.kept"), int),
    **dict.fromkeys(("sentences.lang", "sentences.corpus", "sentences.licence"), str),
    "sentences.transductive": list,
}
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def _read(folder: Path, table: object) -> Provenance | None:
    (folder / "mlsg.json").write_text(json.dumps(table), encoding="utf-8")
    return provenance_in(folder)


def test_what_mlsg_writes_is_read(tmp_path: Path) -> None:
    made = _read(tmp_path, _GOOD)
    assert made is not None
    assert (made.base, made.base_revision, made.objective_settings) == ("mini", "", {"weight": 0.1})
    assert (made.layer, made.sentences, made.transductive, made.found) == (2, 12, {"sts17"}, {"sts17.es-es": 3})


@pytest.mark.parametrize("place", _TYPED)
def test_a_value_of_another_kind_is_one_line_with_the_file_and_the_name(tmp_path: Path, place: str) -> None:
    kind = _TYPED[place]
    section, name = place.split(".")

    @tried(15)
    @given(_VALUES)
    def refused(value: object) -> None:
        table = {**_GOOD, section: {**_GOOD[section], name: value}}
        if value is None or (isinstance(value, kind) and not isinstance(value, bool | list)):
            assert _read(tmp_path, table) is not None
            return
        try:
            made = _read(tmp_path, table)
        except ModelError as error:
            assert error.exit_code == 3
            assert str(error).isprintable()
            assert name in str(error)
            assert str(tmp_path / "mlsg.json") in str(error)
        else:
            assert isinstance(value, list)
            assert made is not None
            assert made.transductive == set(value)

    refused()


@tried(60)
@given(table=st.dictionaries(st.sampled_from(list(_GOOD)), _VALUES))
def test_no_table_is_a_traceback(table: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        made = _read(folder, {**table, "schema": "mlsg.encoder/1"})
    except ModelError as error:
        assert str(error).isprintable()
    else:
        assert made is not None


@pytest.mark.parametrize("content", [b"[]", b"3", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"schema": 1}', b""])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlsg.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"mlsg\.json") as caught:
        provenance_in(tmp_path)
    assert "\n" not in str(caught.value)
