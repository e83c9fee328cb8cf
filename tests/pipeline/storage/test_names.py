from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extract.errors import clean
from pipeline.storage.names import display, new_ids, relative_file

# Few letters, so that ids collide; bytes that are not UTF-8, and text that looks like their escape.
PIECES = st.sampled_from([b"a", b"b", b".mp4", b".mkv", b".mov", b"\xff", b"\\xff", b"/"])
NAMES = st.lists(PIECES, min_size=1, max_size=4).map(b"".join)
SETS = st.sets(NAMES, max_size=12)


def test_an_id_is_the_path_without_suffix() -> None:
    assert new_ids([b"a/b.c.mp4", b"x.mkv", b".mp4"], {}) == {
        b"a/b.c.mp4": "a/b.c",
        b"x.mkv": "x",
        b".mp4": ".mp4",
    }


def test_inputs_that_share_an_id_keep_their_suffix() -> None:
    assert new_ids([b"a.mp4", b"a.mkv", b"b.mp4"], {}) == {
        b"a.mp4": "a.mp4",
        b"a.mkv": "a.mkv",
        b"b.mp4": "b",
    }


def test_an_id_that_was_given_stays() -> None:
    assert new_ids([b"a.mkv", b"a.mp4"], {b"a.mp4": "a"}) == {b"a.mkv": "a.mkv"}


def test_a_kept_suffix_may_not_be_the_id_of_another() -> None:
    ids = new_ids([b"a.mp4", b"a.mkv", b"a.mp4.mov"], {})
    assert ids == {b"a.mp4": "a.mp4", b"a.mkv": "a.mkv", b"a.mp4.mov": "a.mp4.mov"}


def test_undecodable_names_differ_from_what_they_look_like() -> None:
    ids = new_ids([b"\xff.mp4", rb"\xff.mp4"], {})
    assert len(set(ids.values())) == 2
    assert all(name.startswith(r"\xff.mp4~") for name in ids.values())


@given(SETS, SETS)
def test_ids_are_unique_and_stable_when_files_are_added(first: set[bytes], later: set[bytes]) -> None:
    planned = new_ids(sorted(first), {})
    added = new_ids(sorted(first | later), planned)
    assert added.keys() == later - first
    ids = [*planned.values(), *added.values()]
    assert len(set(ids)) == len(ids)
    for name in ids:
        name.encode()


@given(SETS, st.integers(0, 12))
def test_a_killed_plan_is_completed_as_if_it_had_not_been(inputs: set[bytes], count: int) -> None:
    whole = new_ids(sorted(inputs), {})
    written = dict(sorted(whole.items())[:count])
    assert written | new_ids(sorted(inputs), written) == whole


def test_any_string_becomes_utf8() -> None:
    name = b"caf\xe9.mp4"
    assert clean(name.decode("utf-8", "surrogateescape")) == display(name) == r"caf\xe9.mp4"
    assert clean("\ud800 é") == r"\ud800 é"


def test_every_video_id_becomes_a_name_below_the_folder() -> None:
    assert relative_file("films/a b.1") == "films/a b.1"
    assert relative_file("a.b", dots=False) not in ("a_b", relative_file("a/b", dots=False))
    assert relative_file("a_b", dots=False) == "a_b"
    odd = [
        "../a",
        "/etc/a",
        "a/./b",
        "..",
        "a\\b",
        'a<>:"|?*b',
        "a\nb",
        "a.",
        "CON",
        "com1.x/nul",
        "x" * 300,
        "é" * 200,
        "",
    ]
    made = [relative_file(name) for name in odd]
    assert len(set(made)) == len(odd)
    for name in made:
        parts = name.split("/")
        assert all(part not in ("", ".", "..") and len(part.encode()) < 170 for part in parts)
        assert not set('\\<>:"|?*\n') & set(name)
        assert not {part.partition(".")[0].upper() for part in parts} & {"CON", "COM1", "NUL"}
    assert relative_file("console/conan.1") == "console/conan.1"


@given(st.sets(st.text("ab./\\:~ é\0", max_size=6), max_size=8))
def test_two_ids_never_become_one_file_and_none_leads_up(ids: set[str]) -> None:
    for dots in (True, False):
        made = {relative_file(video_id, dots=dots) for video_id in ids}
        assert len(made) == len(ids)
        assert not any({"", ".", ".."} & set(path.split("/")) for path in made)
        assert dots or not any("." in path for path in made)
