"""``labels`` on the command line: how a table of genres is understood, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from extract.errors import again, count
from extract.terminal import console, make_table, print_next
from pipeline.storage.location import location
from pipeline.store.layout import open_store
from train.cli.label_flags import LeastVideos
from train.cli.options import Column, Features, log_on, to_train

LISTED = 10  # ids of those that match nothing


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("labels")(show_labels)


def show_labels(
    file: Annotated[Path, typer.Argument(help="Table with ids and genres.")],
    features: Features = None,
    id_column: Column = None,
    genres_column: Column = None,
    group_column: Column = None,
    duration_column: Column = None,
    least_videos: LeastVideos = None,
) -> None:
    """Show how a table of labels is understood, and what of it a store has; nothing is trained."""
    from pipeline.store.videos import read_shards
    from train.labels.preview import preview, shared_videos
    from train.labels.table import LabelColumns, read_labels

    columns = LabelColumns(id_column, genres_column, group_column, duration_column)
    labels = read_labels(file, columns, least_videos=least_videos or 1)
    videos: list[str] = []
    if features is not None:
        shards = read_shards(open_store(location(features, "features")))
        videos = [video.video_id for shard in shards for video in shard.videos]
    found = preview(labels, videos)
    screen = console()
    say = log_on(screen)

    roles = make_table("column", "read as", "for example")
    for name, role in found.roles.items():
        roles.add_row(name, role, next(filter(None, labels.columns[name]), ""))
    screen.print(roles, "", markup=False)
    genres = make_table("genre", "videos", *(["with features"] if videos else []))
    for genre, (all_of_them, with_features) in found.genres.items():
        genres.add_row(genre, str(all_of_them), *([str(with_features)] if videos else []))
    screen.print(genres, "", markup=False)
    for note in labels.notes:
        say(note)
    if features is None:
        say(f"{count(len(labels.ids), 'label')}; --features STORE shows which have a video")
        print_next(screen, again("--features", "STORE"))
        return
    known = f"{len(found.matched)} of {count(len(labels.ids), 'label')}"
    say(f"{known} match one of {count(len(videos), 'video')}")
    for line in _left("label", "video", found.labels_alone):
        say(line)
    for line in _left("video", "label", found.videos_alone):
        say(line)
    twice = shared_videos(found.matched)
    if twice:
        named = ", ".join(twice[:LISTED])
        say(f"{count(len(twice), 'video')} named by several labels, the first counts: {named}")
    if found.hint:
        say(found.hint.removeprefix("; "))
    if not found.matched:
        raise typer.Exit(3)
    flags = {
        "--id-column": id_column,
        "--genres-column": genres_column,
        "--group-column": group_column,
        "--duration-column": duration_column,
        "--least-videos": least_videos,
    }
    given = [part for flag, value in flags.items() if value is not None for part in (flag, value)]
    print_next(screen, to_train(features, file, *given))


def _left(one: str, other: str, names: Mapping[str, str | None]) -> Iterable[str]:
    """How many, and the first of them; those that resemble something before the others."""
    if not names:
        return
    yield f"{count(len(names), one)} without a {other}"
    ranked = sorted(names.items(), key=lambda pair: pair[1] is None)
    for name, near in islice(ranked, LISTED):
        yield f"  {name}" + ("" if near is None else f"  (is it {near!r}?)")
    if len(names) > LISTED:
        yield f"  and {len(names) - LISTED} more"
