"""The commands of mlsg: each parses, calls one function of `mlsg.api` and prints."""

from __future__ import annotations

import os
from gc import set_threshold
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from mlsg.config.resources import DEFAULT_WORKSPACE
from mlsg.console import result, silence_all_but_first
from mlsg.exit_codes import end_with

if TYPE_CHECKING:
    from mlsg.config.recipes import Recipe
    from mlsg.context import Context

app = typer.Typer(
    name="mlsg",
    help="Sentence vectors for languages without labels: prepare text, train an encoder, evaluate it per language.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
starter = typer.Typer(help="The embedded base: how it is made.", no_args_is_help=True)
app.add_typer(starter, name="starter")

WorkspaceOption = Annotated[Path, Option(envvar="MLSG_WORKSPACE", help="Where artefacts live.")]
DataRootOption = Annotated[
    Path | None, Option(envvar="MLSG_DATA_ROOT", help="Folder with original files of evaluation sets.")
]
LangsDirOption = Annotated[list[Path] | None, Option(help="Folder with your own language TOMLs; may be repeated.")]
SetOption = Annotated[
    list[str] | None, Option("--set", help="Change a setting: --set train.batch_size=32; may be repeated.")
]
RecipeOption = Annotated[str, Option(help="Recipe whose settings are used (mlsg show lists them).")]
JsonOption = Annotated[str | None, Option(help="Write the scores as JSON to a file, or - for stdout.")]
MarkdownOption = Annotated[str | None, Option(help="Write the table as Markdown to a file, or -.")]
PromptOption = Annotated[str | None, Option(help='Put before each sentence, as "query: "; "": nothing.')]
PromptNameOption = Annotated[str | None, Option(help="A prompt that the model itself declares, by its name.")]
AgainstOption = Annotated[
    str | None, Option(help="The row that others are compared with; default: the first one.", show_default=False)
]
ProcessesOption = Annotated[int, Option(min=1, help="Train on this many processes of this host, on GPUs one each.")]


def _context(workspace: Path, langs_dir: list[Path] | None, data_root: Path | None) -> Context:
    from mlsg.context import open_context

    return open_context(workspace, langs_dir or (), data_root)


def _recipe(name: str, changed: list[str] | None, **options: object) -> Recipe:
    """The recipe with the options that stand for settings (`prepare__lang="tr"`), and after them those of --set."""
    from mlsg.api import load_recipe
    from mlsg.config.settings import parse_assignment

    settings: dict[str, Any] = {option: value for option, value in options.items() if value is not None}
    return load_recipe(name, **settings | dict(map(parse_assignment, changed or ())))


def _seeds(text: str | None, **excluded: object) -> tuple[int, ...]:
    """Those of --seeds, none without it. Raises SettingError where an option is given that it excludes."""
    from mlsg.config.settings import parse_seeds
    from mlsg.errors import SettingError

    for option, value in excluded.items():
        if text is not None and value not in (None, [], ()):
            raise SettingError(f"--seeds and --{option.replace('_', '-')}", "give one of them")
    return () if text is None else parse_seeds(text)


@app.command()
def prepare(
    lang: Annotated[str | None, Option(help="Language of the sentences; several: en:20000,es:5000.")] = None,
    corpus: Annotated[str | None, Option(help="A declared corpus (mlsg langs).")] = None,
    source: Annotated[
        list[Path] | None,
        Option(
            help="Your own file: txt, csv, tsv, json, jsonl, xml, parquet, arrow; also .gz .bz2 .xz .zst. "
            "May be repeated."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        Option(help="Column that holds the text (a.b: b in a), of all but txt; of pairs and triplets one for each."),
    ] = None,
    kind: Annotated[str | None, Option(help="What a row is: sentences, pairs, triplets, documents.")] = None,
    delimiter: Annotated[str, Option(help="What is between the columns of csv, tsv, txt.", show_default=False)] = "",
    quoted: Annotated[
        bool | None, Option(help="Whether cells may be in quotes; without it: of csv yes, of tsv no.")
    ] = None,
    encoding: Annotated[str, Option(help="Of text; without it: as a BOM says, else UTF-8.", show_default=False)] = "",
    limit: Annotated[int | None, Option(help="A seeded sample of at most this many sentences.")] = None,
    recipe: RecipeOption = "zero_shot",
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Sentences to train on: read, cleaned, free of evaluation sentences."""
    from mlsg.api import run_prepare
    from mlsg.data.sources import Reading
    from mlsg.report.output import print_sentences

    given = {"lang": lang, "corpus": corpus, "limit": limit, "kind": kind}
    settings = _recipe(recipe, set_, **{f"prepare__{name}": value for name, value in given.items()})
    context, reading = _context(workspace, langs_dir, data_root), Reading(delimiter, quoted, encoding)
    print_sentences(run_prepare(settings, context, source or (), column, reading))


@app.command()
def train(
    model: Annotated[str | None, Option(help="Base: hub id, folder (sentence-transformers' too), or starter.")] = None,
    lang: Annotated[str | None, Option(help="Train on the last sentences prepared of this language.")] = None,
    seed: Annotated[int | None, Option(help="Seed of every draw.")] = None,
    seeds: Annotated[str | None, Option(help="An encoder for each of several seeds: 1,2,5 or 1-8.")] = None,
    jobs: Annotated[int, Option(min=1, help="With --seeds: this many at a time, each on its part of the cores.")] = 1,
    processes: ProcessesOption = 1,
    prompt: PromptOption = None,
    prompt_name: PromptNameOption = None,
    recipe: RecipeOption = "zero_shot",
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """An encoder trained on the sentences prepared last."""
    from mlsg.api import run_train_last
    from mlsg.report.output import print_encoder

    several = _seeds(seeds, seed=seed)
    prompts = {"encoder__prompt": prompt, "encoder__prompt_name": prompt_name}
    settings = _recipe(recipe, set_, train__model=model, train__seed=seed, **prompts)
    context = _context(workspace, langs_dir, data_root)
    for encoder in run_train_last(settings, context, lang, several, jobs, processes):
        print_encoder(encoder)


@app.command("eval")
def evaluate(
    langs: Annotated[str | None, Option(help="Languages, as es,ar,tr.")] = None,
    encoder: Annotated[
        list[str] | None,
        Option(help="Folder or hub id; default: the one trained last. Given twice: their paired difference too."),
    ] = None,
    seeds: Annotated[str | None, Option(help="Means over encoders like the last one, seeds 1,2,5 or 1-8.")] = None,
    pooling: Annotated[
        str | None, Option(help="Of a plain transformers model: cls, mean, max, ... (mlsg show mean).")
    ] = None,
    prompt: PromptOption = None,
    prompt_name: PromptNameOption = None,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    recipe: RecipeOption = "zero_shot",
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Spearman per language, beside the standing baselines."""
    from mlsg.api import run_eval_named, run_eval_seeds
    from mlsg.report.output import print_scores, print_seeds

    reading = {"pooling": pooling, "prompt": prompt, "prompt_name": prompt_name}
    several = _seeds(seeds, encoder=encoder, **reading)
    settings = _recipe(recipe, set_, eval__langs=langs.split(",") if langs else None)
    context = _context(workspace, langs_dir, data_root)
    if several:
        print_seeds(run_eval_seeds(settings, context, several), json=json, markdown=markdown)
    else:
        print_scores(*run_eval_named(settings, context, encoder or (), **reading), json=json, markdown=markdown)


@app.command()
def probe(
    model: Annotated[str, Option(help="Model: hub id, folder or starter.")] = "starter",
    langs: Annotated[str | None, Option(help="Languages, as es,ar,tr.")] = None,
    plot: Annotated[
        Path | None, Option(help="Draw the curves into a file: .png, .svg, .pdf (needs matplotlib).")
    ] = None,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Every layer under every pooling, per language, and a choice among them without labels."""
    from mlsg.api import run_probe
    from mlsg.report.output import print_probe

    settings = _recipe("zero_shot", set_, eval__langs=langs.split(",") if langs else None)
    found = run_probe(settings, _context(workspace, langs_dir, data_root), model)
    print_probe(found, json=json, markdown=markdown, plot=plot)


@app.command()
def run(
    names: Annotated[list[str], Argument(help="Recipes, or paths of your own TOMLs; several are compared.")],
    seeds: Annotated[str | None, Option(help="An encoder for each of several seeds: 1,2,5 or 1-8.")] = None,
    jobs: Annotated[int, Option(min=1, help="With --seeds: this many trainings at a time.")] = 1,
    against: AgainstOption = None,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    processes: ProcessesOption = 1,
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """All stages of a recipe, or of several, which are then compared."""
    from mlsg.api import run_recipe
    from mlsg.compare import run_methods
    from mlsg.report.output import print_comparison, print_scores

    context, recipes = _context(workspace, langs_dir, data_root), [_recipe(name, set_) for name in names]
    if len(recipes) == 1 and seeds is None:
        print_scores([run_recipe(recipes[0], context, processes)], json=json, markdown=markdown)
        return
    found = run_methods(recipes, context, _seeds(seeds), jobs=jobs, processes=processes, against=against)
    print_comparison(found, json=json, markdown=markdown)


@app.command()
def compare(
    names: Annotated[list[str], Argument(help="Recipes, or paths of your own TOMLs, that were run before.")],
    seeds: Annotated[str | None, Option(help="The seeds that were run: 1,2,5 or 1-8.")] = None,
    against: AgainstOption = None,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Methods by languages: means over seeds, and paired differences from one of them."""
    from mlsg.compare import compare_made
    from mlsg.report.output import print_comparison

    context, recipes = _context(workspace, langs_dir, data_root), [_recipe(name, set_) for name in names]
    found = compare_made(recipes, context, _seeds(seeds), against=against)
    print_comparison(found, json=json, markdown=markdown)


@app.command()
def quickstart(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """The whole job on what travels inside mlsg; no network."""
    run(["quickstart"], workspace=workspace)


@app.command()
def show(
    name: Annotated[str | None, Argument(help="Recipe; without it, the list of recipes.")] = None,
    set_: SetOption = None,
) -> None:
    """The settings of a recipe, or all recipes."""
    from mlsg.report.listings import print_recipe, print_recipes

    if name is None:
        print_recipes()
        return
    recipe, pretrain = _recipe(name, set_), None
    if recipe.pretrain is not None:
        from mlsg.pretraining.settings import pretrain_settings

        pretrain = pretrain_settings(recipe)
    print_recipe(recipe, pretrain)


@app.command()
def explain(
    name: Annotated[str | None, Argument(help="Recipe; without it, the artefacts made last.")] = None,
    set_: SetOption = None,
    data_root: DataRootOption = None,
    langs_dir: LangsDirOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Why each stage was, or would be, built."""
    from mlsg.api import explain_last, explain_recipe

    context = _context(workspace, langs_dir, data_root)
    for line in explain_recipe(_recipe(name, set_), context) if name else explain_last(context):
        result(line)


@app.command()
def static(
    source: Annotated[str, Argument(help="Word vectors of GloVe or fastText as text (also packed), or a base.")],
    folder: Annotated[Path, Argument(help="A new folder.")],
) -> None:
    """A base of one vector a word: of a file, or of another base's input embeddings."""
    from mlsg.api import make_static

    make_static(source, folder)
    result(str(folder))


@app.command()
def check(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Verify the hash of every file of every artefact."""
    from mlsg.cache.gc import check_hashes

    for line in check_hashes(workspace):
        result(line)


@app.command()
def gc(
    unused: Annotated[bool, Option("--unused", help="Also artefacts that no last run needs; lists them.")] = False,
    yes: Annotated[bool, Option("--yes", help="With --unused: remove them.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Remove killed builds and damaged artefacts."""
    from mlsg.cache.gc import collect_garbage

    for line in collect_garbage(workspace, unused=unused, yes=yes):
        result(line)


@app.command()
def export(
    folder: Annotated[Path, Argument(help="A new folder.")],
    encoder: Annotated[str | None, Option(help="Default: the one trained last.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Copy an encoder, with a model card that holds its scores."""
    from mlsg.report.export import export_encoder

    result(export_encoder(folder, encoder, workspace))


@app.command()
def langs(
    code: Annotated[str | None, Argument(help="One language in full.")] = None,
    langs_dir: LangsDirOption = None,
) -> None:
    """Languages, their corpora and pair sets, how made, licences."""
    from mlsg.config.catalog import load_catalog
    from mlsg.report.listings import print_languages

    print_languages(load_catalog(langs_dir or ()), code)


@starter.command()
def build(
    text: Annotated[Path, Option(help="Folder with <lang>.txt[.xz] and parallel.tsv[.xz].")],
    out: Annotated[Path, Option(help="A new folder, or one that a build was begun in.")],
    recipe: Annotated[str, Option(help="Recipe with a [pretrain] section.")] = "starter",
    set_: SetOption = None,
    data_root: DataRootOption = None,
) -> None:
    """Pretrain a multilingual BERT from a folder of text; continues a build that was killed."""
    settings = _recipe(recipe, set_)  # first: importing the next one takes seconds
    from mlsg.pretraining.build import build as pretrain

    result(str(pretrain(settings, text=text, out=out, data_root=data_root)))


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    """Sentence vectors for languages without labels."""
    if version:
        from mlsg import __version__

        result(f"mlsg {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line and leave with its exit code (docs/design.md, part 3)."""
    # Waiting threads sleep instead of spinning: on a machine that others use too, spinning made training several times
    # slower. OpenMP reads this when torch is first imported, which is after this line.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Looking through all objects, most of which stay, less often saves a tenth of a short command's time.
    set_threshold(100_000, 20, 20)
    if "WORLD_SIZE" in os.environ:  # a launcher's doing
        silence_all_but_first()
    end_with(lambda: app(standalone_mode=False))
