"""The command ``python -m train import movies``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from extract.errors import UsageError, count, not_allowed
from extract.terminal import console, print_line, print_next
from pipeline.storage.location import location
from train.cli.options import to_train

if TYPE_CHECKING:
    from train.importers.texts import TextEncoder

Column = Annotated[str | None, typer.Option(metavar="COLUMN")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("movies")
    def import_movies(
        table: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON: a row for each movie.")],
        out: Annotated[str, typer.Option(help="Feature store: new, or of the movies' trailers.")],
        id_column: Annotated[str | None, typer.Option("--id", help="Column with the videos' ids.")] = None,
        text: Annotated[str | None, typer.Option(help="Columns of text (plot), comma-separated.")] = None,
        glove: Annotated[Path | None, typer.Option(help="Text file of word vectors.")] = None,
        sentence_encoder: Annotated[Path | None, typer.Option(help="Folder of a transformers model.")] = None,
        hashed: Annotated[int | None, typer.Option(help="Size of word vectors drawn from hashes.")] = None,
        words: Annotated[str, typer.Option(help="mean: one vector per text; each: one per word.")] = "mean",
        poster: Annotated[str | None, typer.Option(help="Column of paths, relative to the table.")] = None,
        resize: Annotated[str, typer.Option(help="Posters: squash or crop.")] = "squash",
        weights: Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")] = None,
        random_weights: Annotated[int | None, typer.Option(help="Seed, for dry runs with posters.")] = None,
        categories: Annotated[str | None, typer.Option(help="Columns (director, ...).")] = None,
        separators: Annotated[str, typer.Option(help="Separators of names in a cell.")] = "|;",
        least_rows: Annotated[int, typer.Option(help="Rarer categories share a position.")] = 5,
        like: Annotated[
            str | None, typer.Option(help="Store whose categories to use, for prediction.")
        ] = None,
        labels_out: Annotated[Path | None, typer.Option(help="Labels to write.")] = None,
        genres: Column = None,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda:N.")] = "auto",
    ) -> None:
        """A table of movies (plots, posters, directors, ...) as tables of a store."""
        from train.importers import movies
        from train.importers.categories import Categories
        from train.importers.posters import vgg16

        encoders = movies.Encoders(
            text=_text_encoder(glove, sentence_encoder, hashed, words, device),
            posters=partial(
                vgg16,
                resize=_one_of(resize, "--resize", "squash", "crop"),
                weights=weights,
                device=device,
                random_seed=random_weights,
            ),
            categories=None if like is None else Categories.load(location(like)),
            least_rows=least_rows,
        )
        columns = movies.MovieColumns(
            id_column, _names(text), poster, _names(categories), genres, separators=separators
        )
        found = movies.import_movies(table, location(out), columns, encoders, labels=labels_out)
        counts = [
            f"{name} [{dim}]: {found.found[name]} of {count(found.videos, 'video')}"
            for name, dim in found.dims.items()
        ]
        screen = console()
        for line in (*found.notes, *counts):
            print_line(screen, line)
        print_next(screen, to_train(out, labels_out or "labels.csv"))


def _text_encoder(
    glove: Path | None, folder: Path | None, hashed: int | None, words: str, device: str
) -> Callable[[list[str]], TextEncoder] | None:
    from train.importers import texts

    steps: Any = _one_of(words, "--words", "mean", "each")
    if sum(choice is not None for choice in (glove, folder, hashed)) > 1:
        raise UsageError("--glove, --sentence-encoder and --hashed cannot be combined: give only one")
    if glove is not None:
        return partial(texts.WordVectors, glove, steps=steps)
    if folder is not None:
        return lambda _: texts.SentenceEncoder(folder, device=device)
    return None if hashed is None else lambda _: texts.HashedWords(hashed, steps=steps)


def _one_of(value: str, flag: str, *allowed: str) -> str:
    if value not in allowed:
        raise not_allowed(flag, value, allowed)
    return value


def _names(columns: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (columns or "").split(",") if name.strip())
