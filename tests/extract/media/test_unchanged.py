from __future__ import annotations

import os
from pathlib import Path

import pytest

from extract.errors import MediaChanged
from extract.media.unchanged import unchanged


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"pictures")
    return path


def test_a_file_that_is_only_read_is_let_through(film: Path) -> None:
    with unchanged(os.fsencode(film)):
        film.read_bytes()
        film.chmod(0o600)  # its content is the same
    with pytest.raises(ValueError, match="damaged"), unchanged(os.fsencode(film)):
        raise ValueError("damaged")


def test_a_file_that_grows_is_refused(film: Path) -> None:
    message = r"film\.mp4' changed while it was read: run again when it is complete"
    with pytest.raises(MediaChanged, match=message), unchanged(os.fsencode(film)):
        film.write_bytes(b"pictures and sound")


def test_a_file_of_the_same_size_written_anew_is_refused(film: Path) -> None:
    with pytest.raises(MediaChanged), unchanged(os.fsencode(film)):
        other = film.with_name("other")
        other.write_bytes(b"PICTURES")
        os.utime(other, ns=(0, film.stat().st_mtime_ns + 1))
        other.replace(film)


def test_damage_is_blamed_on_the_change(film: Path) -> None:
    with pytest.raises(MediaChanged) as caught, unchanged(os.fsencode(film)):
        film.write_bytes(b"pic")
        raise ValueError("damaged")
    assert str(caught.value.__cause__) == "damaged"


def test_a_file_that_vanishes_is_refused(film: Path) -> None:
    with pytest.raises(MediaChanged, match="vanished while it was read"), unchanged(os.fsencode(film)):
        film.unlink()


def test_a_file_that_never_was_is_for_the_reader_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be opened"), unchanged(os.fsencode(tmp_path / "none.mp4")):
        raise ValueError("cannot be opened")
    with unchanged(b"a\0b"):
        pass
