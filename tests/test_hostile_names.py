"""Names and files that try to be something else: each costs itself, and none opens anything but itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.demo_trailers import Shot, Trailer, render_trailer
from tests.fixtures.hostile import CANARY, Server, avi_with_subtitle, canary_server, playlist, url
from tests.fixtures.store import everything_written, extract_command, raw_paths, rows, states

EXPERTS = ("scenes", "lowlevel", "spectrogram")
GOOD_NAMES = (
    b"name with spaces.mp4",
    b"quote's and \"double\" `back` $(x).mp4",
    b"new\nline.mp4",
    b"-leading-dash.mp4",
    b"--out.mp4",
    "映画 予告編 🎬.mp4".encode(),
    b"not \xff\xfe utf-8.mp4",
    b"x" * 251 + b".mp4",
    b"concat:a|b.mp4",
    b"http:x.mp4",
    b"%03d.mp4",
    b"[bold]markup[/bold].mp4",
    b"back\\slash\t.mp4",
)  # fmt: skip
FAILURES = {
    "zero": "is empty (0 bytes)",
    "text": "cannot be read as media",
    "noise": "cannot be read as media",
    "bad\nname": "cannot be read as media",
    "file loop": "Too many levels of symbolic links",
    "broken link": "broken symbolic link",
    "pipe": "not a regular file",
    "list to a file": "cannot be read as media",
    "list to a server": "cannot be read as media",
    "named mp4 to a file": "cannot be read as media",
    "named mp4 to a server": "cannot be read as media",
    "named mp4 to a film": "cannot be read as media",
    "stream description": "cannot be read as media",
}


@dataclass(frozen=True)
class Ran:
    """A finished run over the hostile folder."""

    folder: Path
    out: Path
    process: subprocess.CompletedProcess[str]
    server: Server
    good: tuple[bytes, ...]


def plant(folder: Path, server: Server) -> tuple[bytes, ...]:
    """Fill the folder; returns the awkward names of the film that this file system takes."""
    film = folder / "film.mp4"
    render_trailer(film, Trailer("film", (Shot(1.5, "bricks"), Shot(1.5, "clouds"))))
    good = []
    for name in GOOD_NAMES:
        try:
            os.link(film, os.path.join(os.fsencode(folder), name))
        except OSError:  # this file system takes UTF-8 names only
            continue
        good.append(name)
    (folder / "link to a film.mp4").symlink_to("film.mp4")
    secret = folder / "secret.txt"
    secret.write_text(f"{CANARY}\n")
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text(f"{CANARY}: not a film\n")
    (folder / "bad\nname.mp4").write_text("not a film\n")
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "file loop.mp4").symlink_to("file loop.mp4")
    (folder / "folder loop").symlink_to(".")
    (folder / "broken link.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "list to a file.m3u8").write_bytes(playlist("hls", "secret.txt"))
    (folder / "list to a server.m3u8").write_bytes(playlist("hls", url(server)))
    (folder / "named mp4 to a file.mp4").write_bytes(playlist("concat", str(secret)))
    (folder / "named mp4 to a server.mp4").write_bytes(playlist("hls", url(server)))
    (folder / "named mp4 to a film.mp4").write_bytes(playlist("concat", "film.mp4"))
    (folder / "stream description.mp4").write_bytes(playlist("dash", url(server)))
    avi_with_subtitle(folder / "wraps a list.avi", playlist("hls", url(server)))
    avi_with_subtitle(folder / "wraps a concat.avi", playlist("concat", str(secret)))
    (folder / ".hidden.mp4").touch()
    (folder / "-").touch()
    below = folder / "folder.mp4"
    below.mkdir()
    os.link(film, below / "below.mp4")
    (folder / "secret folder").mkdir()
    return tuple(good)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder, out = tmp_path_factory.mktemp("films"), tmp_path_factory.mktemp("out") / "features"
    with canary_server() as server:
        good = plant(folder, server)
        arguments = ("--experts", ",".join(EXPERTS), "--detector", "content")
        yield Ran(folder, out, extract_command(folder, out, *arguments), server, good)


def test_the_run_goes_on_to_its_end(ran: Ran) -> None:
    assert ran.process.returncode == 3, ran.process.stderr
    assert "Traceback" not in ran.process.stdout + ran.process.stderr
    lines = ran.process.stdout.splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == 10
    assert any(line.startswith(f"{len(FAILURES) - 10} more failure") for line in lines)


def test_every_name_ends_as_a_row_or_with_its_reason(ran: Ran) -> None:
    folder = os.fsencode(ran.folder)
    files = {name for name in os.listdir(folder) if name not in (b"folder.mp4", b"secret folder")}
    videos, ignored = raw_paths(ran.out, "videos"), raw_paths(ran.out, "ignored")
    assert not videos & ignored
    assert videos | ignored == files | {b"folder.mp4/below.mp4"}
    assert ignored == {b"secret.txt", b".hidden.mp4", b"folder loop", b"-"}
    assert all(row["reason"] for row in rows(ran.out, "ignored"))
    assert videos >= set(ran.good)


def test_a_name_is_only_a_name(ran: Ran) -> None:
    """Every hard link of the film has the film's rows."""
    ids = {}
    for row in rows(ran.out, "videos"):
        ids[row["path_bytes"] or os.fsencode(row["path"])] = row["video_id"]
    state = states(ran.out)
    same = [*ran.good, b"film.mp4", b"link to a film.mp4", b"folder.mp4/below.mp4"]
    for table in EXPERTS:
        values: dict[str, list[str]] = {}
        for row in rows(ran.out, table):
            values.setdefault(row.pop("video_id"), []).append(str(row))
        for name in same:
            assert state[ids[name], table][0] == "ok"
            assert values[ids[name]] == values["film"]


def test_what_fails_says_why_in_one_line(ran: Ran) -> None:
    failures = rows(ran.out, "failures")
    assert {(row["video_id"], row["expert"]) for row in failures} == {
        (name, expert) for name in FAILURES for expert in EXPERTS
    }
    for row in failures:
        assert FAILURES[row["video_id"]] in row["message"], row
        assert "\n" not in row["message"] and row["error_type"] == "MediaError"


def test_an_avi_that_wraps_a_playlist_gives_its_own_three_pictures(ran: Ran) -> None:
    frames = {row["video_id"]: row["frames"] for row in rows(ran.out, "videos")}
    assert frames["wraps a list"] == frames["wraps a concat"] == 3


def test_nothing_else_was_opened(ran: Ran) -> None:
    assert ran.server.asked == []
    assert CANARY not in ran.process.stdout + ran.process.stderr
    assert CANARY not in everything_written(ran.out)


def test_unreadable_files_and_folders(tmp_path: Path, small_trailers: list[Path]) -> None:
    videos = tmp_path / "films"
    (videos / "closed folder").mkdir(parents=True)
    (videos / "closed.mp4").write_bytes(small_trailers[0].read_bytes())
    (videos / "closed.mp4").chmod(0)
    (videos / "closed folder").chmod(0)
    if os.access(videos / "closed.mp4", os.R_OK):
        pytest.skip("this user may read everything")
    try:
        process = extract_command(videos, tmp_path / "out", "--experts", "scenes", "--detector", "content")
    finally:
        (videos / "closed folder").chmod(0o700)
    assert process.returncode == 3
    (failure,) = rows(tmp_path / "out", "failures")
    assert "no permission" in failure["message"]
    (ignored,) = rows(tmp_path / "out", "ignored")
    assert "cannot be read" in ignored["reason"]
