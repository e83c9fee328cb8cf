"""The fine-grained stage and its use, on the command line: ``finetune``, ``retrieve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from extract.errors import UsageError, again, command
from extract.terminal import console, make_table, print_next
from pipeline.storage.location import location
from pipeline.storage.names import check_suffix
from train.cli.options import AllowRandom, Device, Features, Gpus, Precision, Run, Store, log_on
from train.runs.run_folder import RunFolder
from train.settings import Hardware, parse_assignments


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("finetune")(finetune)
    app.command("retrieve")(retrieve)


def finetune(
    run: Run,
    out: Annotated[
        Path, typer.Option(help="Run folder of the fine-tuned model, new, or existing to resume.")
    ],
    features: Features = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs. Default: 50.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Videos in a batch. Default: 32.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of halves, order and dropout. Default: 0.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="finetune.OPTION=VALUE: temperature, projection, ...")
    ] = None,
    device: Device = "auto",
    gpus: Gpus = None,
    precision: Precision = "float32",
    allow_random_weights: AllowRandom = False,
) -> None:
    """Fine-tune a run without labels, by contrasting halves of videos; run it again to resume."""
    from train.api import finetune as run_finetune

    flags: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    given = parse_assignments(set_ or [])
    strangers = given.keys() - {"finetune"}
    if strangers:
        raise UsageError(f"--set {min(strangers)}...: the stage has finetune.OPTION=VALUE")
    options = {name: value for name, value in flags.items() if value is not None} | given.get("finetune", {})
    run_finetune(
        run,
        out,
        features=features,
        options=options,
        device=device,
        gpus=gpus,
        precision=precision,
        allow_random_weights=allow_random_weights,
        log=log_on(console()),
    )
    print_next(
        console(), command("train", "retrieve", "--run", out, "--features", features or "STORE", "VIDEO_ID")
    )


def retrieve(
    queries: Annotated[list[str], typer.Argument(help="Ids of videos of the store, or their file names.")],
    run: Annotated[list[Path], typer.Option(help="Run folder; a second one is shown beside it.")],
    features: Store,
    neighbours: Annotated[int, typer.Option(help="Neighbours of each query.")] = 5,
    index: Annotated[Path | None, typer.Option(help="Folder to keep vectors and a FAISS index in.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search all vectors, without FAISS.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write them: .csv.")] = None,
    device: Device = "auto",
    precision: Precision = "float32",
    allow_random_weights: AllowRandom = False,
) -> None:
    """Find the nearest videos of a store, by cosine similarity in a run's embedding space."""
    from train.retrieval.retrieve import retrieve as search

    if out is not None:
        check_suffix(out, ".csv")
    screen = console()
    found = search(
        [RunFolder(path) for path in run],
        location(features),
        queries,
        neighbours=neighbours,
        index=index,
        exact=exact,
        hardware=Hardware(device=device, precision=precision),
        allow_random_weights=allow_random_weights,
        log=log_on(screen),
    )
    for query in found.queries:
        heads = [head for name in found.neighbours for head in (name, "cosine")]
        table = make_table("", *heads)
        nearest = [by_query[query] for by_query in found.neighbours.values()]
        for rank in range(max(map(len, nearest))):
            cells = [
                cell
                for ranked in nearest
                for cell in (
                    (ranked[rank].video_id, f"{ranked[rank].cosine:.3f}") if rank < len(ranked) else ("", "")
                )
            ]
            table.add_row(str(rank + 1), *cells)
        screen.print(query, markup=False, soft_wrap=True, style="bold")
        screen.print(table, markup=False)
    if out is not None:
        found.write(out)
        print_next(
            screen, command("train", "map", "--run", run[0], "--features", features, "--out", "map.html")
        )
    else:
        print_next(screen, again("--out", "neighbours.csv"))
