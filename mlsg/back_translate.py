"""Back-translation: each sentence of a prepared text with what two translation models make of it, there and back.

    sentences/<lang>-back_translated-<key>/sentences.txt     a sentence, TAB, its back-translation

The models are sequence-to-sequence models of transformers (MarianMT, say), as folders or on the hub, with weights in
safetensors. What is done is kept in parts, so that a killed run goes on.

Source of the use: Kim, Yoo, Lee, ACL 2021, section 4.1 (English to German and back, a beam of 100).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg import console
from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.files import read_sealed, sealed_json, write_atomically
from mlsg.config.recipes import PrepareSettings
from mlsg.errors import ModelError, SettingError
from mlsg.model.guard import one_line
from mlsg.model.source import find_model, fingerprint_model
from mlsg.prepare import FILE, STAGE, stream_sentences, text_sha256
from mlsg.text.normalise import normalise

if TYPE_CHECKING:
    from mlsg.context import Context

FORMAT = 1
_PART, _AT_ONCE = 512, 16  # sentences of a part, and of one call of a model
_INSTEAD = "name a MarianMT model, or another sequence-to-sequence model of transformers, with safetensors"

Translate = Callable[[Sequence[str]], list[str]]


def back_translated(sentences: Artefact, settings: PrepareSettings, context: Context) -> Artefact:
    """The sentences and their back-translations as pairs, by the two models of `prepare.back_translate`.

    Raises SettingError for another number of models, ModelError and HubUnreachableError for what is no such model.
    """
    if len(settings.back_translate) != 2:
        problem = f"prepare.back_translate names {len(settings.back_translate)} models"
        raise SettingError(problem, "name two: the one that translates, and the one that translates back")
    models = dict(zip(("forth", "back"), settings.back_translate, strict=True))
    request = Request(
        stage=STAGE,
        format=FORMAT,
        name=f"{sentences.facts['lang']}-back_translated",
        settings={"beams": settings.beams},
        inputs={"sentences": text_sha256(sentences)},
        fingerprints={way: fingerprint_model(model, "main", context.hub) for way, model in models.items()},
    )
    return context.workspace.build(request, partial(_build, sentences, settings, context))


def _build(
    sentences: Artefact, settings: PrepareSettings, context: Context, folder: Path, scratch: Path
) -> Mapping[str, Any]:
    translators: list[Translate] = []
    unchanged, total = 0, sentences.facts["kept"]
    with (
        console.progress("back-translate", total, "sentences") as bar,
        (folder / FILE).open("w", encoding="utf-8", newline="\n") as file,
    ):
        for number, part in enumerate(_parts(stream_sentences(sentences))):
            path = scratch / f"part-{number:05}.json"
            made = _known(path)
            if made is None:
                named = settings.back_translate
                translators = translators or [_translator(each, settings.beams, context) for each in named]
                made = part
                for translate in translators:
                    made = translate(made)
                write_atomically(path, sealed_json({"texts": made}))
            for sentence, text in zip(part, map(normalise, made), strict=True):
                unchanged += sentence == text
                file.write(f"{sentence}\t{text or sentence}\n")
            bar.advance(len(part))
    kept = {name: value for name, value in sentences.facts.items() if name != "kind"}
    return {**kept, "corpus": f"{kept['corpus']}, back-translated", "kind": "pairs", "unchanged": unchanged}


def _parts(sentences: Iterator[str]) -> Iterator[list[str]]:
    while part := list(islice(sentences, _PART)):
        yield part


def _known(path: Path) -> list[str] | None:
    """What a run before this one made of a part; None where there is nothing, or it is damaged."""
    try:
        found: list[str] = read_sealed(path)["texts"]
    except (FileNotFoundError, ValueError):
        return None
    return found


def _translator(model: str, beams: int, context: Context) -> Translate:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from mlsg.model.encoder import default_device
    from mlsg.model.pretrained import quiet_transformers

    folder = find_model(model, "main", context.hub).folder
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{model} has no weights in safetensors", _INSTEAD)
    with one_line(f"{model} cannot be loaded as a translation model", _INSTEAD), quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        network = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, **options).eval()
    network.to(default_device())
    longest = int(getattr(network.config, "max_position_embeddings", 512))

    @torch.inference_mode()
    def translate(texts: Sequence[str]) -> list[str]:
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        found = [""] * len(texts)
        for first in range(0, len(order), _AT_ONCE):
            rows = order[first : first + _AT_ONCE]
            batch = tokenizer([texts[row] for row in rows], return_tensors="pt", padding=True, truncation=True)
            batch = {name: tensor[:, :longest].to(network.device) for name, tensor in batch.items()}
            most = min(longest - 1, 2 * batch["input_ids"].shape[1] + 10)
            made = network.generate(**batch, num_beams=beams, do_sample=False, max_new_tokens=most)
            for row, text in zip(rows, tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
                found[row] = text
        return found

    return translate
