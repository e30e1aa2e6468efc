"""The encoder under evaluation: what it is and what identifies it, without loading it.

An encoder is an `encoders` artefact, an mlsg folder, a sentence-transformers folder, a hub id, or a plain transformers
model with a pooling. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mlsg.cache.artefact import Artefact
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import PairSet
from mlsg.config.recipes import Pooling
from mlsg.errors import HubUnreachableError, MlsgError, ModelError, SettingError, nearest
from mlsg.model.folder import read_encoder_modules
from mlsg.model.prompts import Prompts
from mlsg.model.provenance import Provenance, name_of, provenance_in
from mlsg.model.source import fingerprint_model

if TYPE_CHECKING:
    from mlsg.hub import Hub
    from mlsg.model.encoder import Encoder


@dataclass(frozen=True)
class EncoderRef:
    """An encoder that can be loaded and is known by key or fingerprint.

    `sources` are the places where it may be; where `fingerprints` names the encoder, only a place that still has that
    fingerprint will do. `pooling` and `layer` are None where the encoder's own modules decide, `prompt` and
    `prompt_name` where its own default prompt does.
    """

    name: str
    sources: tuple[str, ...]
    key: str
    revision: str = "main"
    pooling: str | None = None
    layer: int | None = None
    prompt: str | None = None
    prompt_name: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    base_sources: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name in folder names and progress: the pooling is part of it where it was asked for."""
        return f"{self.name}-{self.pooling}" if self.pooling else self.name

    @property
    def base(self) -> str | None:
        """The base it was trained from; a plain model with a pooling is its own base; None where it is not known."""
        if self.provenance is not None:
            return self.provenance.base or None
        return self.name if self.pooling else None

    @property
    def objective(self) -> str | None:
        """The training method; None for a plain model, and where it is not known."""
        return self.provenance.objective or None if self.provenance is not None else None

    @property
    def prompt_text(self) -> str:
        """What is put before each sentence by an encoder that mlsg trained. Raises SettingError for an unknown name."""
        known = Prompts()
        if self.pooling is None:  # else it is made of the transformer alone
            found = read_encoder_modules(Path(self.sources[0]).expanduser())
            known = Prompts(found.prompts, found.default_prompt_name)
        return known.chosen(self.prompt, self.prompt_name).text

    def transductive(self, pair_set: PairSet) -> bool | None:
        """Whether sentences of the set were in the training text; None where no one looked.

        `mlsg prepare` compares its text with the sets of the text's language; a set that was not available then, or
        that was declared later, is one where no one looked. Sets of other languages are taken to share no sentence.
        """
        made = self.provenance
        if made is None or made.trained is None:
            return None
        if made.transductive.intersection(pair_set.texts) or made.found.get(pair_set.name, 0):
            return True
        compared = not made.trained or pair_set.name in made.found or made.lang not in pair_set.languages
        return False if compared else None

    def load(self, precision: str, hub: Hub) -> Encoder:
        """The encoder itself; imports torch. Raises ModelError or HubUnreachableError where it cannot be read."""
        source = self._present(hub)
        from mlsg.model.encoder import Encoder

        encoder = Encoder.load(
            source, revision=self.revision, pooling=self.pooling, layer=self.layer, precision=precision, hub=hub
        )
        chosen = Prompts(encoder.prompts, encoder.default_prompt_name).chosen(self.prompt, self.prompt_name)
        encoder.prompts, encoder.default_prompt_name = dict(chosen.by_name), chosen.default_name
        return encoder

    def _present(self, hub: Hub) -> str:
        """The first source that exists and has not changed."""
        wanted = self.fingerprints.get("encoder")
        if wanted is None:
            return self.sources[0]
        last: MlsgError = ModelError(f"{self.name} has changed since it was trained from", "restore the folder")
        for source in self.sources:
            try:
                if fingerprint_model(source, self.revision, hub) == wanted:
                    return source
            except (ModelError, HubUnreachableError) as error:
                last = error
        raise last


def resolve_encoder(
    encoder: str | Artefact,
    pooling: str | None,
    workspace: Workspace,
    hub: Hub,
    prompt: str | None = None,
    prompt_name: str | None = None,
) -> EncoderRef:
    """The encoder that a user named: an artefact, a folder or a hub id.

    Raises SettingError for an unknown pooling, ModelError and HubUnreachableError for what is not available.
    """
    if pooling is not None and pooling not in get_args(Pooling):
        raise SettingError(f'unknown pooling "{pooling}"', nearest(pooling, get_args(Pooling)))
    layer = None if pooling is None else -1
    if isinstance(encoder, str):  # a path to an artefact and the artefact have the same key
        folder = Path(encoder).absolute()
        encoder = next((each for each in workspace.artefacts("encoders") if each.folder.absolute() == folder), encoder)
    if isinstance(encoder, Artefact):
        # the base as the training named it: the manifest's recipe has the path, which is not part of the key
        model = encoder.manifest.get("recipe", {}).get("train", {}).get("model")
        return EncoderRef(
            encoder.name,
            (str(encoder.folder),),
            encoder.key,
            pooling=pooling,
            layer=layer,
            prompt=prompt,
            prompt_name=prompt_name,
            inputs={"encoder": encoder.key},
            provenance=provenance_in(encoder.folder),
            base_sources=(model,) if model else (),
        )
    found = fingerprint_model(encoder, "main", hub)
    folder = Path(encoder).expanduser()
    provenance = provenance_in(folder) if folder.is_dir() else None
    return EncoderRef(
        name_of(encoder, found),
        (encoder,),
        found,
        revision=found.partition("@")[2] or "main",  # what was asked for and what is loaded are one commit
        pooling=pooling,
        layer=layer,
        prompt=prompt,
        prompt_name=prompt_name,
        fingerprints={"encoder": found},
        provenance=provenance,
    )


def base_of(encoder: EncoderRef, pooling: str) -> EncoderRef:
    """The untuned base of an encoder, last layer, pooled as asked; whether it still exists is seen when it is loaded.

    It reads the same texts: the encoder's prompt is put before them too. Raises ModelError where the base is not known.
    """
    made = encoder.provenance
    if made is None and encoder.pooling:
        return replace(encoder, pooling=pooling, layer=-1)
    if made is None or not made.base_fingerprint:
        raise ModelError(f"the base of {encoder.name} is not known", "evaluate an encoder that mlsg trained")
    return EncoderRef(
        made.base,
        tuple(dict.fromkeys([*encoder.base_sources, made.base])),
        made.base_fingerprint,
        revision=made.base_revision or "main",
        pooling=pooling,
        layer=-1,
        prompt=encoder.prompt_text or None,
        fingerprints={"encoder": made.base_fingerprint},
    )
