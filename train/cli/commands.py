"""The command line: ``python -m train --features STORE --labels labels.csv --run runs/x``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from extract.errors import UsageError, command, count
from extract.terminal import command_line, console, make_table, print_next, print_open, run_app
from pipeline.storage.location import location
from pipeline.storage.names import check_suffix
from train.cli import fine as cli_fine
from train.cli import grids as cli_grids
from train.cli import labels as cli_labels
from train.cli import movies as cli_movies
from train.cli import views as cli_views
from train.cli.label_flags import LabelFlags, flattened
from train.cli.options import (
    AllowRandom,
    Device,
    Experts,
    Features,
    Gpus,
    LabelFile,
    Model,
    Precision,
    Preset,
    Run,
    Set,
    given,
    log_on,
    names_in,
    numbers_in,
    set_options,
    to_train,
)
from train.comparison.paper import load_paper, paper_names
from train.registry import model_class, model_names
from train.runs.run_folder import RunFolder
from train.settings import Hardware, load_preset, preset_names

app = command_line(help="Train models that predict genres from a feature store and labels.")
imports = command_line(help="Import published features and tables into a feature store.")
app.add_typer(imports, name="import")
cli_movies.add_to(imports)
cli_views.add_to(app)
cli_fine.add_to(app)
cli_grids.add_to(app)
cli_labels.add_to(app)


@app.callback(invoke_without_command=True)
@flattened
def train(
    context: typer.Context,
    features: Features = None,
    labels: LabelFile = None,
    run: Annotated[Path | None, typer.Option(help="Run folder, new, or existing to resume.")] = None,
    preset: Preset = None,
    model: Model = None,
    experts: Experts = None,
    label_flags: LabelFlags = LabelFlags(),  # noqa: B008  # it is frozen
    epochs: Annotated[int | None, typer.Option(help="Maximum number of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Videos in a batch.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and dropout. Default: 0.")] = None,
    set_: Set = None,
    device: Device = "auto",
    gpus: Gpus = None,
    precision: Precision = "float32",
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Log to Weights & Biases as well.")
    ] = None,
    allow_random_weights: AllowRandom = False,
) -> None:
    """Train a model; run it again to resume."""
    if context.invoked_subcommand is not None:
        return
    from train.api import fit

    training = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    fit(
        given(features, "--features STORE"),
        given(labels, "--labels FILE"),
        given(run, "--run FOLDER"),
        preset=preset,
        model=model,
        experts=names_in(experts),
        options=set_options({**label_flags.options(), "training": training}, set_),
        device=device,
        gpus=gpus,
        precision=precision,
        allow_random_weights=allow_random_weights,
        wandb=wandb,
        log=log_on(console()),
    )
    print_next(console(), command("train", "evaluate", "--run", run))


@app.command()
def predict(
    source: Annotated[str, typer.Argument(help="A feature store, a folder of videos, or one video.")],
    run: Run,
    out: Annotated[Path | None, typer.Option(help="Also write all scores: .csv or .parquet.")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest score at which a genre is named.")] = 0.5,
    weights: Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")] = None,
    device: Device = "auto",
    precision: Precision = "float32",
    made_by: Annotated[
        list[str] | None, typer.Option("--as", help="What made an imported table: TABLE=EXPERT:OPTION=VALUE.")
    ] = None,
    random_weights: Annotated[
        int | None, typer.Option(help="Seed of those experts' weights, for a dry run.", min=0)
    ] = None,
    allow_random_weights: AllowRandom = False,
) -> None:
    """Predict genres of videos, or of all videos of a store."""
    from train.importers.makers import parse_makers
    from train.runs.predict import SUFFIXES, is_store, predict_store, predict_videos

    if out is not None:
        check_suffix(out, *SUFFIXES)
    place, screen = location(source), console()
    hardware = Hardware(device=device, precision=precision)
    folder = RunFolder(run)
    if is_store(place):
        if made_by:
            raise UsageError("--as says what to make of videos, and this is a store: leave it out")
        found = predict_store(folder, place, hardware=hardware, allow_random_weights=allow_random_weights)
    else:
        found = predict_videos(
            folder,
            place,
            makers=parse_makers(made_by or ()),
            hardware=hardware,
            weights=weights,
            random_seed=random_weights,
            allow_random_weights=allow_random_weights,
            log=log_on(screen),
        )
    table = make_table("video", "genres")
    for video_id, genres in zip(found.ids, found.best(threshold), strict=True):
        below = "" if genres[0][1] >= threshold else f" (below {threshold:g})"
        table.add_row(video_id, ", ".join(f"{genre} {score:.2f}" for genre, score in genres) + below)
    screen.print(table, markup=False)
    for video_id in found.without:
        why = " ".join(found.failures.get(video_id, "none of the run's experts found anything").split())
        screen.print(f"{video_id}: {why}", markup=False, soft_wrap=True)
    if out is not None:
        found.write(out)
        log_on(screen)(f"{count(len(found.ids), 'video')} in {out}")
    if not found.ids:
        raise typer.Exit(3)
    if out is not None:
        print_open(screen, out)
    else:
        print_next(screen, command("train", "predict", source, "--run", run, "--out", "predictions.csv"))
    if is_store(place):
        print_next(screen, command("train", "scenes", "--run", run, "--features", source, found.ids[0]))


@app.command()
def evaluate(
    run: Run,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    thresholds: Annotated[
        str | None, typer.Option(help="Lowest scores at which a genre counts, comma-separated.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples; 0: no intervals.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Confidence level of the intervals.")] = 0.95,
) -> None:
    """Evaluate a run's predictions; metrics, tables and curves are written into its folder."""
    from train.evaluation.evaluate import evaluate_run
    from train.evaluation.figures import Scoring
    from train.evaluation.metrics import MAP

    chosen: dict[str, Any] = {}
    if thresholds is not None:
        chosen["thresholds"] = numbers_in(thresholds, "--thresholds", float)
    scoring = Scoring(resamples=resamples, confidence=confidence, **chosen)
    evaluation = evaluate_run(run, split=split, scoring=scoring)
    screen, table = console(), make_table("figure", "value", f"{confidence:.0%} from", "to", "random")
    for name, figure in evaluation.figures.items():
        values = (figure.value, figure.low, figure.high, figure.random)
        table.add_row(name, *(f"{value:.4f}" for value in values))
    screen.print(table, markup=False)
    say = log_on(screen)
    say("from, to: interval of the value over other videos; random: what scores drawn at random have")
    if evaluation.empty_genres:
        left_out = ", ".join(evaluation.empty_genres)
        say(f"without a video: {left_out}; a training's mAP is {MAP}, ap_macro counts them as 0")
    say(f"tables and curves are in {run}")
    print_next(screen, command("train", "predict", "--run", run, "VIDEO"))


@imports.command("sulun")
def import_sulun(
    file: Annotated[Path, typer.Argument(help="features.pkl; no code in it is run.")],
    out: Annotated[str, typer.Option(help="Feature store, new.")],
    labels: Annotated[Path, typer.Option(help="CSV file to write the genres to.")],
) -> None:
    """The published features of Sulun et al. 2024 as a store, and their genres as labels."""
    from train.importers import sulun

    found = sulun.import_sulun(file, location(out), labels)
    dims = ", ".join(f"{name} [{dim}]" for name, dim in sorted(found.dims.items()))
    screen, counts = console(), f"{count(found.videos, 'video')}, {count(len(found.genres), 'genre')}"
    log_on(screen)(f"{counts}, in {out}: {dims}; labels in {labels}")
    print_next(screen, to_train(out, labels))


@imports.command("sulun-classifier")
def import_sulun_classifier(
    model: Annotated[Path, typer.Argument(help="MODEL.pt; no code in it is run.")],
    config: Annotated[Path, typer.Argument(help="MODEL_config.pt, which belongs to it.")],
    out: Annotated[Path, typer.Option(help="Run folder, new.")],
    published: Annotated[Path | None, typer.Option(help="Their features.pkl: names of genres.")] = None,
    genres: Annotated[str | None, typer.Option(help="Names of the outputs, comma-separated.")] = None,
    features: Annotated[str | None, typer.Option(help="Store to predict, for evaluate.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels of its videos.")] = None,
) -> None:
    """A published classifier of Sulun et al. 2024 as a run, for predict and evaluate."""
    from train.importers import sulun_classifier

    if (features is None) != (labels is None):
        raise UsageError("--features and --labels belong together: give both or none")
    run = sulun_classifier.import_classifier(model, config, out, published=published, genres=names_in(genres))
    made = run.config()
    size = f"{count(len(made['inputs']), 'expert')} and {count(len(made['genres']), 'genre')}"
    text, screen = f"a run of {size} in {out}", console()
    use = command("train", "predict", "--run", out, "VIDEO")
    if features is not None and labels is not None:
        predicted = sulun_classifier.predict_labelled(run, location(features), labels)
        text += f"; {count(predicted, 'video')} predicted"
        use = command("train", "evaluate", "--run", out)
    log_on(screen)(text)
    print_next(screen, use)


@imports.command("lmtd")
def import_lmtd(
    file: Annotated[Path, typer.Argument(help="lmtd9_resnet152.pickle; no code in it is run.")],
    out: Annotated[str, typer.Option(help="Feature store, new.")],
    labels: Annotated[Path | None, typer.Option(help="CSV file to write genres and split to.")] = None,
    database: Annotated[Path | None, typer.Option(help="Their source: lmtd9/data/database.db.")] = None,
) -> None:
    """The published features of LMTD-9 (Wehrmann and Barros 2017) as a store, and its genres as labels."""
    from train.importers import lmtd

    found = lmtd.import_lmtd(file, location(out), labels, database=database)
    text, screen = f"{count(found.videos, 'video')} in {out}: {lmtd.EXPERT} [{found.dim}]", console()
    if found.left_out:
        text += f"; {len(found.left_out)} without vectors, e.g. {found.left_out[0]}"
    if labels is not None:
        genres, labelled = count(len(found.genres), "genre"), count(found.labelled, "video")
        text += f"; {genres} of {labelled} in {labels}"
    log_on(screen)(text)
    if labels is not None:
        print_next(screen, to_train(out, labels))


@imports.command("moviescope")
def import_moviescope(
    folder: Annotated[Path, typer.Argument(help="Folder of raw_data_{train,val,test}.p.")],
    genres: Annotated[str, typer.Option(help="Names of the 13 labels, comma-separated, in their order.")],
    labels: Annotated[Path, typer.Option(help="CSV file to write genres, split and plots to.")],
    vectors: Annotated[Path | None, typer.Option(help="Folder of MOVIE_ID.npy, (frames, 4096).")] = None,
    out: Annotated[str | None, typer.Option(help="Feature store, new, for the vectors.")] = None,
) -> None:
    """Moviescope (LeBaron's data): its parts as labels, its trailers' VGG16 vectors as a store."""
    from train.importers import moviescope

    if (vectors is None) != (out is None):
        raise UsageError("--vectors and --out belong together: give both or none")
    store = None if out is None else location(out)
    found = moviescope.import_moviescope(folder, names_in(genres), labels, vectors=vectors, out=store)
    parts = zip(found.movies.values(), ("train", "validate", "test"), strict=True)
    (first, use), *others = parts
    text = f"{count(first, 'movie')} to {use}, " + ", ".join(f"{movies} to {use}" for movies, use in others)
    if out is not None:
        text += f"; {found.with_vectors} in {out}: {moviescope.EXPERT} [{moviescope.DIMENSION}]"
    screen = console()
    log_on(screen)(f"{text}; labels in {labels}")
    if out is not None:
        print_next(screen, to_train(out, labels))


@app.command()
def models() -> None:
    """List the models, the presets, and the papers whose tables compare makes."""
    screen, table = console(), make_table("model, preset or paper", "what it is")
    table.columns[0].no_wrap = True  # a name is copied
    for name in model_names():
        table.add_row(name, model_class(name).summary)
    for name in preset_names():
        table.add_row(name, load_preset(name).summary)
    for name in paper_names():
        options = ", ".join(table.option for table in load_paper(name).tables)
        table.add_row(name, f"{load_paper(name).title}: compare --tables {options}")
    screen.print(table, markup=False)
    print_next(screen, f"{to_train('STORE', 'labels.csv')} --preset sulun2024/multi-transformer")


def main() -> None:
    """Run the command line; an error is one line on standard error, exit status 2."""
    run_app(app, "python -m train", kept="the last checkpoint is kept")
