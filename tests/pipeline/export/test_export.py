"""Where exports may be written, under which names, and what the command says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from extract.errors import MissingDependency, StoreError, UsageError
from pipeline.cli import marquee
from pipeline.export import Format
from pipeline.export.command import app
from pipeline.export.export import FORMATS, export
from pipeline.export.names import format_named
from pipeline.store.layout import Store
from tests.fixtures.damage import damage, spoil
from tests.pipeline.export.conftest import Make


def test_every_format_of_the_command_is_there() -> None:
    assert list(FORMATS) == list(get_args(Format))


def test_only_a_new_folder_or_an_export_in_the_same_format_is_written(films: Store, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "speech" / "films"
    mine.mkdir(parents=True)
    (mine / "a.srt").write_text("mine")
    with pytest.raises(StoreError, match="has files that are not an export to srt"):
        export(films, "srt", tmp_path / "mine")
    assert (mine / "a.srt").read_text() == "mine"
    export(films, "srt", tmp_path / "export")
    again = export(films, "srt", tmp_path / "export", video_ids=["films/a"])
    assert (again.videos, again.files) == (1, 2)
    with pytest.raises(StoreError, match="not an export to csv"):
        export(films, "csv", tmp_path / "export")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot write"):
        export(films, "srt", tmp_path / "file")


@pytest.mark.parametrize(
    ("to", "library"),
    [
        ("srt", "pysubs2"),
        ("eaf", "pympi"),
        ("otio", "opentimelineio.opentime"),
        ("edl", "otio_cmx3600_adapter"),
        ("webdataset", "webdataset"),
    ],
)
def test_a_missing_library_is_named_with_what_installs_it(
    films: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: Any, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependency, match=r"pip install 'marquee-video\[export\]'"):
        export(films, to, tmp_path / "export")
    assert not (tmp_path / "export").exists(), "the next try would meet a folder of another format"


def test_a_store_that_cannot_be_read_leaves_no_folder(films: Store, tmp_path: Path) -> None:
    for part in films.root.glob("videos/part-*"):
        part.write_bytes(b"damaged")
    with pytest.raises(StoreError):
        export(films, "csv", tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("ELAN", "eaf"),
        (".eaf", "eaf"),
        ("SubRip", "srt"),
        ("Hugging Face", "huggingface"),
        ("CMX 3600", "edl"),
    ],
)
def test_formats_have_the_names_that_people_know(name: str, to: str) -> None:
    assert format_named(name) == to


def test_nothing_is_written_through_a_link(films: Store, tmp_path: Path) -> None:
    export(films, "csv", tmp_path / "export", video_ids=["films/b"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "export" / "ocr").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"):
        export(films, "csv", tmp_path / "export")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_unknown_names_are_refused_with_what_was_meant(films: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no video 'films/A'; did you mean 'films/a'\?"):
        export(films, "srt", tmp_path / "export", video_ids=["films/A"])
    with pytest.raises(UsageError, match=r"no format 'srtt'.*did you mean 'srt'\?"):
        export(films, "srtt", tmp_path / "export")
    with pytest.raises(UsageError, match=r"no format 'elann'; there are srt, .*did you mean 'elan'\?"):
        export(films, "elann", tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_a_hostile_video_id_stays_inside(film: Make, tmp_path: Path) -> None:
    store = film(said={"hello": (0.0, 1.0)}, name="a../b\\..\\c: <x>")
    made = export(store, "srt", tmp_path / "export")
    (path,) = made.folder.rglob("*.srt")
    folder, name = path.relative_to(made.folder / "speech").parts
    assert folder == "a" and re.fullmatch(r"b_\.\._c_ _x_~[0-9a-f]{8}\.srt", name)


def told(capsys: Any, monkeypatch: Any, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["marquee", "export", *arguments])
    with pytest.raises(SystemExit) as left:
        marquee.main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def test_the_command_writes_beside_where_it_runs_and_says_what(
    films: Store, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = told(capsys, monkeypatch, str(films.root), "--to", "srt")
    assert status == 0 and "3 videos, 2 files, 0.0 MB: out-srt" in said
    assert "2 videos without anything for srt" in said
    assert said.splitlines()[-1] == f"next: open {(tmp_path / 'out-srt').as_uri()}"
    status, said = told(capsys, monkeypatch, str(films.root), "films/a", "--to", "vtt", "--out", "v")
    assert status == 0 and "1 video, 2 files" in said and (tmp_path / "v/speech/films/a.vtt").is_file()
    status, said = told(capsys, monkeypatch, str(films.root), "films/c", "--to", "vtt", "--out", "nothing")
    assert status == 0 and re.search(r"next: .*describe \S*out$", said.rstrip()), "nothing to open"
    assert "1 video, 0 files\n" in said and not Path("nothing").exists()
    status, said = told(capsys, monkeypatch, str(films.root), "--to", "ELAN")
    assert status == 0 and Path("out-eaf/films/a.eaf").is_file(), said
    status, said = told(capsys, monkeypatch, str(films.root), "--to", "mp3")
    assert status == 2 and "no format 'mp3'; there are srt, vtt" in said


@pytest.mark.parametrize("to", ["srt", "vtt", "eaf", "otio", "edl"])
@pytest.mark.parametrize("seconds", [None, float("nan"), float("inf"), -1e300])
def test_rows_that_lie_nowhere_in_time_are_left_out_and_counted(
    film: Make, tmp_path: Path, to: Format, seconds: float | None
) -> None:
    store = film([(0.0, 1.0), (1.0, 2.0)], said={"hello": (0.0, 1.0), "there": (1.0, 2.0)})
    for table in ("scenes", "whisper"):
        damage(store, table, "start_seconds", seconds, row=1)
    made = export(store, to, tmp_path / "export")
    assert (made.untimed, made.files) == (2, 1)


def test_the_command_counts_rows_that_are_left_out(film: Make, tmp_path: Path) -> None:
    store = film(said={"hello": (0.0, 1.0)})
    damage(store, "whisper", "end_seconds", float("nan"))
    shown = CliRunner().invoke(app, [str(store.root), "--to", "srt", "--out", str(tmp_path / "export")])
    assert shown.exit_code == 0 and "1 row without a possible time left out" in shown.output


def test_rows_that_lie_nowhere_in_time_stay_in_tables(film: Make, tmp_path: Path) -> None:
    store = film([(0.0, 1.0), (1.0, 2.0)])
    damage(store, "scenes", "start_seconds", float("nan"))
    export(store, "csv", tmp_path / "export")
    assert len((tmp_path / "export" / "scenes" / "a_scenes.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("to", sorted(set(FORMATS)))
def test_a_part_that_cannot_be_read_is_one_line(film: Make, tmp_path: Path, to: Format) -> None:
    store = film(said={"hello": (0.0, 1.0)})
    spoil(store, "whisper")
    with pytest.raises(StoreError, match=r"whisper/part-\S+ cannot be read .* verify"):
        export(store, to, tmp_path / "export")
