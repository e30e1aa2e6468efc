"""The stages from Python, and the same for the command line.

    import mlsg

    sentences = mlsg.prepare("en", limit=10_000)
    encoder = mlsg.train("bert-base-multilingual-cased", sentences, seed=1, learning_rate=3e-5)
    scores = mlsg.evaluate(encoder, ["es", "ar", "tr"])

A stage that was run before with the same settings is found in the workspace and not run again. Settings are given by
their own names, or as `section__name`; `mlsg show zero_shot` lists them. `workspace`, `data_root` and `langs_dir` are
the options of the command line, with the same defaults. Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg import objectives, transforms
from mlsg.back_translate import back_translated
from mlsg.cache.artefact import Artefact
from mlsg.cache.explain import DryRunWorkspace, NotBuiltError, explain_built, explain_missing
from mlsg.cache.verify import verified, verified_in
from mlsg.config.recipes import DEFAULT_RECIPE, SECTIONS, Recipe, changed_recipe
from mlsg.config.settings import full_name, setting_names
from mlsg.context import Context, Paths, open_context, paths_of
from mlsg.data.readers.text import text_lines
from mlsg.data.sources import AS_NAMED, Columns, Reading, pipes_kept
from mlsg.errors import SettingError
from mlsg.evaluate import evaluate as evaluate_stage
from mlsg.evaluate.suites import suite
from mlsg.join import joined, languages_of
from mlsg.prepare import STAGE, stream_sentences
from mlsg.prepare import prepare as prepare_stage
from mlsg.train import train as train_stage
from mlsg.train import train_seeds

if TYPE_CHECKING:
    from mlsg.evaluate.probe import Probe
    from mlsg.evaluate.results import Differences, Scores, SeedScores
    from mlsg.model.encoder import Encoder


@dataclass(frozen=True, repr=False)
class Sentences:
    """Prepared sentences, in the order of their source; they stay on disk."""

    artefact: Artefact

    @property
    def folder(self) -> Path:
        """Where they are: `sentences.txt`, one a line."""
        return self.artefact.folder

    @property
    def facts(self) -> Mapping[str, Any]:
        """How many lines were read, kept and dropped for which reason, and what of evaluation sets was found."""
        return self.artefact.facts

    def __len__(self) -> int:
        return int(self.facts["kept"])

    def __iter__(self) -> Iterator[str]:
        return stream_sentences(self.artefact)

    def __repr__(self) -> str:
        return f"Sentences({self.artefact.name}, {len(self):,} sentences, {self.folder})"


def load_recipe(name: str = DEFAULT_RECIPE, /, **settings: Any) -> Recipe:
    """The recipe `name` (a name or the path of a .toml file) with other values for some settings.

    Raises SettingError for an unknown recipe or setting, a wrong type, and settings that contradict one another.
    """
    return _recipe(name, settings)


def prepare(
    lang: str | None = None,
    *,
    corpus: str | None = None,
    source: Paths = (),
    column: str | Sequence[str] | None = None,
    delimiter: str = "",
    quoted: bool | None = None,
    encoding: str = "",
    limit: int | None = None,
    recipe: str = DEFAULT_RECIPE,
    workspace: str | Path | None = None,
    data_root: str | Path | None = None,
    langs_dir: Paths = (),
    **settings: Any,
) -> Sentences:
    """Sentences to train on, of a language (None: the recipe's, English): cleaned, without evaluation sentences.

    `lang` may name several: "en:20000,es". They come from a declared `corpus`, or from your own files: `source`, in
    `column` where a file has columns (of pairs and triplets several), read as `delimiter`, `quoted` and `encoding` say
    (else as their names and first bytes do).
    Raises SettingError, DataError for text that cannot be read, HubUnreachableError.
    """
    given = {"prepare__lang": lang, "prepare__corpus": corpus, "prepare__limit": limit}
    chosen = _recipe(recipe, settings, ("prepare",), **given)
    context = open_context(workspace, langs_dir, data_root)
    return Sentences(run_prepare(chosen, context, paths_of(source), column, Reading(delimiter, quoted, encoding)))


def train(
    model: str | Path | None = None,
    sentences: Sentences | str | Path | None = None,
    *,
    seed: int | None = None,
    processes: int = 1,
    recipe: str = DEFAULT_RECIPE,
    workspace: str | Path | None = None,
    data_root: str | Path | None = None,
    langs_dir: Paths = (),
    **settings: Any,
) -> Encoder:
    """An encoder trained from the base `model` on `sentences` (or their folder; None: those prepared last).

    A script that asks for several `processes` guards its own start with `if __name__ == "__main__"`.
    Raises SettingError, ModelError or HubUnreachableError for the base, DataError or HubUnreachableError for the dev
    set, DivergedError.
    """
    from mlsg.model.encoder import Encoder

    base, sections = None if model is None else str(model), ("train", "objective", "encoder", "transform")
    chosen = _recipe(recipe, settings, sections, train__model=base, train__seed=seed)
    context = open_context(workspace, langs_dir, data_root)
    text = _artefact(sentences)
    if text is None and needs_text(chosen):
        text = last_sentences(context)
    return Encoder.from_pretrained(run_train(chosen, context, text, processes).folder)


def evaluate(
    encoder: Encoder | str | Path,
    langs: str | Sequence[str] | None = None,
    *,
    pooling: str | None = None,
    prompt: str | None = None,
    prompt_name: str | None = None,
    recipe: str = DEFAULT_RECIPE,
    workspace: str | Path | None = None,
    data_root: str | Path | None = None,
    langs_dir: Paths = (),
    **settings: Any,
) -> Scores:
    """Scores of an encoder (or its folder or hub id) on the pair sets of `langs`, None: the recipe's languages.

    An `Encoder` is evaluated as it was saved. `pooling` is for a plain transformers model. `prompt`, or the encoder's
    own prompt called `prompt_name`, is put before each sentence; without them its default one, if it has one.
    Raises SettingError, ModelError and DataError for what cannot be read, HubUnreachableError.
    """
    chosen = _recipe(recipe, settings, ("eval",), eval__langs=langs.split(",") if isinstance(langs, str) else langs)
    context = open_context(workspace, langs_dir, data_root)
    return run_eval(chosen, context, _source(encoder), pooling=pooling, prompt=prompt, prompt_name=prompt_name)


def run_prepare(
    recipe: Recipe,
    context: Context,
    sources: Sequence[Path] = (),
    column: Columns | None = None,
    reading: Reading = AS_NAMED,
) -> Artefact:
    """Sentences of the recipe's language or languages; remembered as the last of these."""
    wanted = recipe.prepare
    if wanted.back_translate:
        wanted = replace(wanted, kind="sentences")
    parts = [replace(recipe, prepare=each) for each in languages_of(wanted)]
    if len(parts) > 1 and sources:
        raise SettingError(f"--source with the languages {recipe.prepare.lang}", "name the one language of the files")
    with pipes_kept(sources) as files:
        found = [prepare_stage(each, context, sources=files, column=column, reading=reading) for each in parts]
    artefact = found[0] if len(found) == 1 else joined(found, context)
    if wanted.back_translate:
        artefact = back_translated(artefact, wanted, context)
    context.workspace.remember("prepare", artefact)
    context.workspace.remember(f"prepare:{artefact.facts['lang']}", artefact)
    return artefact


def run_train(recipe: Recipe, context: Context, sentences: Artefact | None, processes: int = 1) -> Artefact:
    """An encoder made of `sentences` (None where nothing is fitted on them); remembered as the last one."""
    artefact = train_stage(recipe, context, sentences, processes=processes)
    context.workspace.remember("train", artefact)
    return artefact


def run_train_last(
    recipe: Recipe, context: Context, lang: str | None, seeds: Sequence[int] = (), jobs: int = 1, processes: int = 1
) -> list[Artefact]:
    """As `run_train`, on the sentences prepared last (of a language); an encoder for each of `seeds`, if any."""
    if jobs > 1 and not seeds:
        raise SettingError("--jobs without --seeds", "name the seeds, as 1,2,5 or 1-8")
    sentences = last_sentences(context, lang) if needs_text(recipe) else None
    if not seeds:
        return [run_train(recipe, context, sentences, processes)]
    artefacts = train_seeds(recipe, context, sentences, seeds, processes=processes, jobs=jobs)
    for seed, artefact in zip(seeds, artefacts, strict=True):
        context.workspace.remember(f"train:{seed}", artefact)
    context.workspace.remember("train", artefacts[-1])
    return artefacts


def run_recipe(recipe: Recipe, context: Context, processes: int = 1) -> Scores:
    """All stages of a recipe; text is prepared only where something is fitted on it. Raises SettingError."""
    if recipe.pretrain is not None:
        raise SettingError(f"recipe {recipe.name} is for mlsg starter build", "name another recipe (mlsg show)")
    sentences = run_prepare(recipe, context) if needs_text(recipe) else None
    return run_eval(recipe, context, run_train(recipe, context, sentences, processes))


def run_probe(recipe: Recipe, context: Context, model: str) -> Probe:
    """Every layer and pooling of a model on the recipe's languages."""
    from mlsg.evaluate.probe import probe

    _check_languages(recipe, context)
    return probe(model, recipe.eval, context)


def run_eval(recipe: Recipe, context: Context, encoder: str | Artefact, **reading: str | None) -> Scores:
    """Scores of one encoder, remembered as the last ones; `reading` are its pooling, prompt and prompt_name."""
    scores = evaluate_stage(encoder, recipe.eval, context, **reading)
    context.workspace.remember("eval", scores.artefact)
    return scores


def run_eval_named(
    recipe: Recipe, context: Context, encoders: Sequence[str], **reading: str | None
) -> tuple[list[Scores], list[Differences]]:
    """Scores of each named encoder, or of the one trained last, and the first one's differences from each other one.

    An unknown language is an error before all else. `reading` as in `run_eval`.
    """
    from mlsg.evaluate.means import compare

    _check_languages(recipe, context)
    named: Sequence[str | Artefact] = encoders or [last_encoder(context)]
    scores = [run_eval(recipe, context, each, **reading) for each in named]
    return scores, [compare(scores[0], other) for other in scores[1:]]


def run_eval_seeds(recipe: Recipe, context: Context, seeds: Sequence[int]) -> SeedScores:
    """Scores of the encoders that differ from the last one in the seed alone, and their means."""
    from mlsg.evaluate.over_seeds import encoders_of_seeds, over_seeds

    _check_languages(recipe, context)
    encoders = encoders_of_seeds(last_encoder(context), seeds, context.workspace)
    scores = [run_eval(recipe, context, encoder) for encoder in encoders]
    return over_seeds(seeds, scores)


def make_static(source: str, folder: Path) -> None:
    """Write a static base into a new folder: of the word vectors in a file, or of a base's input embeddings.

    Raises SettingError, DataError for a file that is no word vectors, ModelError and HubUnreachableError for a base.
    """
    from mlsg.model.backbone import load_backbone
    from mlsg.model.static import embeddings_of, read_vectors, write_static

    path = Path(source)
    if path.is_file():
        write_static(read_vectors(text_lines(path), source), folder)
    else:
        write_static(embeddings_of(load_backbone(source)), folder)


def explain_recipe(recipe: Recipe, context: Context) -> Iterator[str]:
    """Why each stage of a recipe was built, in turn, up to the first that is not built yet."""
    dry = replace(context, workspace=DryRunWorkspace(context.workspace.root))
    try:
        sentences = None
        if needs_text(recipe):
            sentences = run_prepare(recipe, dry)
            yield from explain_built(sentences, context.workspace)
        encoder = run_train(recipe, dry, sentences)
        yield from explain_built(encoder, context.workspace)
        yield from explain_built(run_eval(recipe, dry, encoder).artefact, context.workspace)
    except NotBuiltError as missing:
        yield from explain_missing(missing.request, context.workspace)
        yield "the stages after it would be built too"


def explain_last(context: Context) -> Iterator[str]:
    """Why the last artefact of each command was built. Raises SettingError when there is none."""
    workspace = context.workspace
    found = [artefact for role in ("prepare", "train", "eval") if (artefact := workspace.last(role))]
    if not found:
        raise SettingError(f"no artefacts in {workspace.root}", "run mlsg prepare, or mlsg explain zero_shot")
    for artefact in found:
        yield from explain_built(artefact, workspace)


def needs_text(recipe: Recipe) -> bool:
    """Whether the recipe trains, or fits a transform, at all."""
    fits = transforms.read(recipe.transform) is not None or recipe.encoder.pooling == "sif"
    return fits or objectives.read(recipe.objective).trains


def draws(recipe: Recipe) -> bool:
    """Whether the seed changes the encoder."""
    transform = transforms.read(recipe.transform)
    return objectives.read(recipe.objective).trains or (transform is not None and transform.draws)


def last_sentences(context: Context, lang: str | None = None) -> Artefact:
    """The last prepared sentences (of a language). Raises SettingError when there are none."""
    artefact = context.workspace.last(f"prepare:{lang}" if lang else "prepare")
    if artefact is None:
        problem = f"no prepared sentences{f' of {lang}' if lang else ''} in {context.workspace.root}"
        raise SettingError(problem, f"run: mlsg prepare --lang {lang or 'en'}")
    return artefact


def last_encoder(context: Context) -> Artefact:
    """The last trained encoder. Raises SettingError when there is none."""
    artefact = context.workspace.last("train")
    if artefact is None:
        raise SettingError(f"no trained encoder in {context.workspace.root}", "run mlsg train, or pass --encoder")
    return artefact


def _recipe(name: str, settings: Mapping[str, Any], sections: Collection[str] = (), **options: Any) -> Recipe:
    """The recipe with settings of these `sections` (none: of all), and the `options` that are not None.

    What `mlsg.config` cannot check, because it is below the methods, is checked here.
    """
    settings = {key: value for key, value in options.items() if value is not None} | dict(settings)
    wanted = settings.get("objective.name", settings.get("objective__name"))
    chosen = changed_recipe(name, {} if wanted is None else {"objective.name": wanted}).objective["name"]
    names = {section: setting_names(cls) for section, cls in SECTIONS.items()}
    names["objective"] = ["name", *setting_names(objectives.settings_class(chosen))]
    fitted = settings.get("transform.name", settings.get("transform__name"))
    fitted = changed_recipe(name, {} if fitted is None else {"transform.name": fitted}).transform.get("name", "none")
    names["transform"] = ["name", *(setting_names(transforms.settings_class(fitted)) if fitted != "none" else [])]
    asked = {section: found for section, found in names.items() if not sections or section in sections}
    changes = {
        given if given.startswith("pretrain.") and not sections else full_name(given, asked): value
        for given, value in settings.items()
    }
    recipe = changed_recipe(name, changes)
    objectives.read(recipe.objective)
    transforms.read(recipe.transform)
    suite(recipe.eval.suite)
    return recipe


def _artefact(sentences: Sentences | str | Path | None) -> Artefact | None:
    if sentences is None or isinstance(sentences, Sentences):
        return None if sentences is None else verified(sentences.artefact)
    artefact = verified_in(Path(sentences).absolute())
    if artefact is None or artefact.stage != STAGE:
        raise SettingError(f"{sentences} does not hold prepared sentences", "name a folder that mlsg.prepare made")
    return artefact


def _source(encoder: Encoder | str | Path) -> str:
    if isinstance(encoder, str | Path):
        return str(encoder)
    source: str | None = getattr(encoder, "source", None)
    if source is None:
        raise SettingError("this encoder was never saved", "call encoder.save_pretrained(folder), evaluate the folder")
    return source


def _check_languages(recipe: Recipe, context: Context) -> None:
    for code in recipe.eval.langs:
        context.catalog.language(code)
