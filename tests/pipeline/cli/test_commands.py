"""The command line: one clear line for whatever is wrong, and nothing written."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from extract.registry import expert_names, make_expert
from pipeline.cli import commands as cli
from pipeline.settings import preset_names
from pipeline.store.layout import open_store
from tests.fixtures.file_server import Served, file_server
from tests.fixtures.weight_files import empty_home

CHEAP = ("--experts", "scenes", "--detector", "content", "--device", "cpu")


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a refused command leaves."""
        assert self.status == 2 and not self.out, self
        assert self.err.startswith("error: ") and self.err.count("\n") == 1, self.err
        return self.err


Call = Callable[..., Ended]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["extract", *map(str, arguments)])
        status: object = 0
        try:
            cli.main()
        except SystemExit as left:
            status = left.code or 0
        assert isinstance(status, int)
        return Ended(status, *capfd.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path, small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: ``clips`` with a video, a foreign folder, a file, an empty folder."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").symlink_to(small_trailers[0])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(folder: Path) -> dict[str, float]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


WRONG = {
    "--experts nope": ("no expert 'nope'", ", ".join(expert_names())),
    "--experts spectrogam": ("did you mean 'spectrogram'?",),
    "--experts ,": ("is empty", "spectrogram"),
    "--preset nope": ("no preset 'nope'", ", ".join(preset_names())),
    "--detector nope": ("'nope' is not one of", "'transnetv2', 'content', 'adaptive', 'ffmpeg'"),
    "--device tpu": ("--device is 'tpu'", "allowed: auto, cpu, cuda, cuda:N"),
    "--precision int8": ("'--precision': 'int8' is not one of 'float32', 'float16', 'bfloat16'",),
    "--dtype float64": ("'--dtype': 'float64' is not one of 'float16', 'float32'; did you mean",),
    "--batch-size 0": ("--batch-size is 0; at least 1 is needed",),
    "--batch-size many": ("'--batch-size'", "valid integer"),
    "--shard-size 0": ("--shard-size is 0; at least 1 is needed",),
    "--decoders -1": ("--decoders is -1; at least 1 is needed",),
    "--random-weights x": ("'--random-weights'", "valid integer"),
    "--random-weights -1": ("(--random-weights) is -1; at least 0",),
    "--device gpu": ("--device is 'gpu'", "auto, cpu, cuda, cuda:N"),
    "--device meta": ("--device is 'meta'",),
    "--workers -1": ("--workers is -1; at least 0",),
    "--gpus x": ("--gpus is 'x'; allowed: all, or numbers such as 0,1 or 0-3",),
    "--device cuda:1 --gpus 0": ("--device cuda:1 and --gpus cannot be combined",),
    "--scheduler nowhere": ("--scheduler is 'nowhere'", "tcp://HOST:PORT"),
    "--scheduler tls://127.0.0.1:9": ("needs the cluster's certificates: give --certificates DIR",),
    "--scheduler tls://127.0.0.1:9 --certificates empty": (
        "cannot read",
        "ca.pem",
        "cluster-certificates DIR",
    ),
    "--scheduler tcp://127.0.0.1:9 --certificates empty": ("--certificates is for a scheduler with TLS",),
    "--workers 2 --certificates empty": ("--certificates is for a scheduler with TLS", "tls://HOST:PORT"),
    "--set scenes.window_width=1.5": ("scenes.window_width is '1.5'; a whole number is needed",),
    "--set scenes.threshold=nan": ("scenes.threshold is nan; a number is needed",),
    "--set scenes.treshold=3": ("no option 'treshold'", "did you mean 'threshold'?"),
    "--set scenes": ("--set 'scenes'", "NAME.OPTION=VALUE"),
    "--set scenes.nope=1": ("no option 'nope'", "detector, threshold"),
    "--set scenes.threshold=abc": ("scenes.threshold is 'abc'", "a number is needed"),
    "--set scenes.threshold=-1": ("-1.0", "0 to 255"),
    "--set ocr.min_score=0.5": ("'ocr'", "the experts are scenes"),
    "--videos nope": ("--videos nope", "no such file or folder", "give"),
    "--videos foreign/letter.txt": ("suffix .txt", "give a folder or a media file"),
    "--out file": ("'file' is a file", "give a new or empty folder"),
    "--out foreign": ("'letter.txt'", "not a feature store", "give a new or empty folder"),
    "--out clips": ("--out is the videos folder itself", "give another folder"),
    "--weights nope": ("--weights 'nope'", "no such folder"),
    "--config nope.toml": ("--config nope.toml", "No such file", "give a TOML file"),
    "--config foreign": ("Is a directory", "give a TOML file"),
    "--nope 1": ("--nope", "--help"),
    "--videos": ("'--videos' requires an argument", "--help"),
    "extra": ("'extra'", "--help"),
}


@pytest.mark.parametrize("arguments", WRONG)
@pytest.mark.parametrize("dry", [False, True])
def test_what_is_wrong_is_said_in_one_line(folder: Path, call: Call, arguments: str, dry: bool) -> None:
    before = everything(folder)
    fine = ("--videos", "clips", "--out", "out", *CHEAP, *(["--dry-run"] if dry else []))
    error = call(*fine, *arguments.split()).error
    for words in WRONG[arguments]:
        assert words in error
    assert everything(folder) == before


def test_what_is_missing_is_said(folder: Path, call: Call) -> None:
    error = call("--out", "out").error
    assert "--videos is missing: give --videos" in error and "'out' holds no store that" in error


def test_a_path_alone_is_the_videos_and_a_store_alone_goes_on_as_it_was_made(
    folder: Path, call: Call
) -> None:
    flags = ("--experts", "lowlevel", "--detector", "content", "--dtype", "float32")
    first = call("clips/a.mp4", *flags)
    assert first.status == 0 and "1 video in features, 1 worked on now" in first.out
    asked = open_store(folder / "features").targets()
    shutil.copy(folder / "clips" / "a.mp4", folder / "clips" / "b.mp4")
    assert "1 video in features, 0 worked on now" in call("--out", "features").out  # one video was given
    assert "2 videos in features, 1 worked on now" in call("clips").out
    shutil.copy(folder / "clips" / "a.mp4", folder / "clips" / "c.mp4")
    (folder / "elsewhere").mkdir()
    again = call("--out", "features")
    assert again.status == 0 and "3 videos in features, 1 worked on now" in again.out
    assert open_store(folder / "features").targets() == asked
    assert "python -m extract --out features" in call("status", "features").out
    more = call("--out", "features", "--experts", "+thumbnails")
    assert "lowlevel" in more.out and "thumbnails 3 0 0" in " ".join(more.out.split())  # all it has now
    assert more.status == 0 and {t.expert for t in open_store(folder / "features").targets()} == {
        "lowlevel", "scenes", "thumbnails",
    }  # fmt: skip
    for wrong in ("nope.mp4", "clips/nope.mp4"):
        assert f"--videos {wrong}: no such file or folder" in call(wrong).error
    assert "did you mean 'status'?" in call("stats").error


BAD_FILES = {
    "batch-size = ": ("is not TOML", "line 1"),
    "batchsize = 3": ("has 'batchsize'", "certificates, decode, decoders", "did you mean 'batch-size'?"),
    'batch-size = "3"': ("--config run.toml: batch-size is '3'; a whole number is needed",),
    "batch-size = true": ("batch-size is True; a whole number is needed",),
    "videos = 3": ("videos is 3; a text is needed",),
    "experts = [1]": ("experts is 1; a text is needed",),
    'retry-failed = "no"': ("retry-failed is 'no'; true or false is needed",),
    'random-weights = "x"': ("random-weights is 'x'; a whole number is needed",),
    "options = 3": ("options is 3; a mapping of names is needed",),
    "[options]\nscenes = 3": ("options['scenes'] is 3; a mapping of names is needed",),
    "[options.scenes]\nnope = 3": ("no option 'nope'", "detector, threshold"),
    "shard-size = 1.5": ("shard-size is 1.5; a whole number is needed",),
    "shard-size = 0": ("--config run.toml: shard-size is 0; at least 1 is needed",),
    'precision = "int8"': ("precision is 'int8'; allowed: float32, float16, bfloat16",),
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(folder: Path, call: Call, text: str) -> None:
    (folder / "run.toml").write_text(text + "\n")
    before = everything(folder)
    error = call("--videos", "clips", "--out", "out", *CHEAP, "--config", "run.toml").error
    for words in BAD_FILES[text]:
        assert words in error
    assert everything(folder) == before


def test_missing_weights_are_two_lines_what_runs_now_and_how_to_get_the_rest(
    folder: Path, call: Call
) -> None:
    (file,) = make_expert("panns").weights()
    asked = ("--videos", "clips", "--out", "out", "--weights", "empty", "--detector", "content")
    ended = call(*asked, "--experts", "panns,scenes")
    assert ended.status == 2 and not ended.out and not (folder / "out").exists()
    now, rest = ended.err.splitlines()
    can = " ".join(("python -m extract", *asked, "--experts scenes"))
    assert now == f"error: weights are missing; scenes can run now: {can}"
    assert (
        "1 file, 327.4 MB: python -m extract weights --experts panns,scenes --weights empty --fetch" in rest
    )
    alone = call(*asked[:-2], "--preset", "sulun2024", "--experts", "panns").err.splitlines()
    assert alone[0].endswith("--weights empty --preset offline needs none")
    listed = call("weights", "--experts", "panns", "--weights", "empty")
    assert file.url in listed.out and listed.status == 1
    assert any(line.endswith(file.url) for line in listed.out.splitlines())  # on one line, to be copied


def test_flags_win_over_the_file(folder: Path, call: Call) -> None:
    (folder / "run.toml").write_text(
        'videos = "clips"\nout = "out"\nexperts = ["scenes"]\nshard-size = 9\ndevice = "cpu"\n'
        '[options.scenes]\ndetector = "content"\nthreshold = 40\n'
    )
    dry = call("--config", "run.toml", "--dry-run")
    assert (dry.status, dry.err) == (0, "") and not (folder / "out").exists()
    planned, _, _ = dry.out.rpartition("next: python -m extract --config run.toml\n")
    asked = ("--config", "run.toml", "--dry-run", "--set")
    same, other = (call(*asked, f"scenes.threshold={number}").out for number in (40.0, 41))
    assert planned and same.startswith(planned) and not other.startswith(planned)


def test_a_run_a_dry_run_after_it_and_what_looks_after_the_store(folder: Path, call: Call) -> None:
    run = ("--videos", "clips", "--out", "out", *CHEAP)
    dry = call(*run, "--dry-run")
    assert dry.status == 0 and "1 video (1 new)" in dry.out and not (folder / "out").exists()
    ended = call(*run)
    assert (ended.status, ended.err) == (0, "")
    assert "1 video in out, 1 worked on now" in ended.out and "decodes per video" not in ended.out
    later = call("--videos", "clips", "--out", "out", "--experts", "spectrogram", "--device", "cpu")
    assert later.status == 0
    before = everything(folder)
    assert "1 video (0 new)" in call(*run, "--dry-run").out
    assert "1 video in 1 shard; complete" in call("status", "out").out
    clean = call("verify", "out")
    assert clean.status == 0 and ": clean\nnext: " in clean.out and "report out --out pages" in clean.out
    assert everything(folder) == before
    (part,) = (folder / "out" / "scenes").iterdir()
    part.write_bytes(part.read_bytes()[:-20])
    damaged = call("verify", "out")
    assert damaged.status == 1 and "problem: " in damaged.out and part.name in damaged.out


def test_videos_are_run_again_and_compared(folder: Path, call: Call) -> None:
    assert call("--videos", "clips", "--out", "out", *CHEAP).status == 0
    before = everything(folder)
    again = ("verify", "out", "--recompute", "3", "--seed", "4", "--device", "cpu")
    ended = call(*again)
    assert (ended.status, ended.err) == (0, "") and everything(folder) == before
    assert "1 video drawn with --seed 4: a\n" in ended.out and "1 table: 1 equal\nnext: " in ended.out
    (folder / "clips" / "a.mp4").unlink()
    gone = call(*again)
    assert gone.status == 1 and "1 not compared; nothing could be compared" in gone.out
    assert "not compared: scenes, 1 video: the file is gone" in gone.out
    assert "--seed is for --recompute" in call("verify", "out", "--seed", "4").error
    assert "--recompute is 0; at least 1 is needed" in call("verify", "out", "--recompute", "0").error
    assert "--videos 'nope'" in call(*again, "--videos", "nope").error


@pytest.mark.parametrize("command", ["status", "verify"])
@pytest.mark.parametrize("place", ["empty", "foreign", "nope", "file"])
def test_what_is_no_store_is_said(folder: Path, call: Call, command: str, place: str) -> None:
    before = everything(folder)
    error = call(command, place).error
    assert repr(place) in error and "feature store" in error
    assert everything(folder) == before


def test_weights_lists_what_is_needed(folder: Path, call: Call) -> None:
    none = call("weights", "--experts", "scenes,lowlevel")
    assert none.status == 0 and "no files needed" in none.out
    some = call("weights", "--experts", "panns", "--weights", "empty")
    assert some.status == 1 and "panns" in some.out and "missing; from https://" in some.out
    assert "--weights nope" in call("weights", "--experts", "panns", "--weights", "nope").error


def test_weights_that_are_missing_are_downloaded_on_request(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_home(folder, monkeypatch)
    (file,) = make_expert("beats").weights()
    with file_server() as server:
        server.files[urlsplit(file.url).path] = Served(b"of whoever published it")
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert call("weights", "--experts", "beats").status == 1 and not server.requests
        fetched = call("weights", "--experts", "beats", "--fetch")
        assert fetched.status == 0 and f"downloading {file.name}, 0.0 MB" in fetched.out
        assert str(folder / ".cache/marquee/weights" / file.name) in fetched.out
        again = call("weights", "--experts", "beats", "--fetch")
        assert again.status == 0 and "downloading" not in again.out and len(server.requests) == 1


def test_a_dry_run_downloads_nothing(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_home(folder, monkeypatch)
    (file,) = make_expert("beats").weights()
    with file_server() as server:
        server.files[urlsplit(file.url).path] = Served(b"of whoever published it")
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        before = everything(folder)
        dry = call("--videos", "clips", "--out", "out", "--experts", "beats", "--dry-run")
        assert dry.status == 0 and "a run would first download 1 file" in dry.out
        assert not server.requests and everything(folder) == before


def test_doctor_names_every_expert(call: Call) -> None:
    from extract.registry import expert_names

    ended = call("doctor")
    assert ended.status in (0, 1) and not ended.err  # 1: several OpenCVs are installed here
    first_words = [line.split()[0] for line in ended.out.splitlines()]
    assert [word for word in first_words if word in expert_names()] == expert_names()


def test_a_store_tells_its_folder_and_gives_videos_up(folder: Path, call: Call) -> None:
    run = ("--videos", "clips", "--out", "out", "--experts", "lowlevel", "--device", "cpu")
    film, other = (folder / "clips" / "a.mp4").resolve(), folder / "clips" / "b.mp4"
    shutil.copy(film, other)
    assert call(*run, "--set", "scenes.detector=content").status == 0
    assert f"videos from {folder / 'clips'}" in call("status", "out").out
    before = everything(folder / "out")
    other.write_bytes(film.read_bytes() + b"more")
    for more in ((), ("--dry-run",)):
        refused = call(*run, "--set", "scenes.detector=content", *more)
        assert refused.status == 2 and refused.err.count("\n") == 1
        assert "'b'" in refused.err and "--replace-changed" in refused.err
    empty = call(*run[2:], "--videos", "empty")
    assert empty.status == 2 and "is empty: is it mounted?" in empty.err
    assert {k: v for k, v in everything(folder / "out").items() if k in before and ".lock" not in k} == {
        k: v for k, v in before.items() if ".lock" not in k
    }
    again = call(*run, "--set", "scenes.detector=content", "--replace-changed")
    assert (
        again.status == 0
        and "changed, so extracted again: 'b'" in again.out
        and "1 worked on now" in again.out
    )
    unknown = call("remove", "out", "bb")
    assert unknown.status == 2 and "did you mean 'b'?" in unknown.err
    (folder / "ids.txt").write_text("b\n\n")
    removed = call("remove", "out", "--ids-from", "ids.txt")
    assert removed.status == 0 and "1 video removed: 'b'" in removed.out
    assert "had already been removed: 'b'" in call("remove", "out", "b").out
    assert call("verify", "out").status == 0 and "1 video in" in call("status", "out").out
    assert call("remove", "out", "b", "--undo").status == 0
    assert call("remove", "out").status == 2


def test_help_is_shown_without_arguments(call: Call) -> None:
    ended = call()
    assert ended.status == 0 and "--preset" in ended.out
    assert "verify" in ended.out


def test_certificates_are_made_once(folder: Path, call: Call) -> None:
    pytest.importorskip("cryptography")
    pytest.importorskip("distributed")
    made = call("cluster-certificates", "keys", "--days", "30")
    assert made.status == 0 and "valid until" in made.out
    assert "--scheduler tls://HOST:8786 --certificates keys" in made.out
    key = (folder / "keys" / "key.pem").read_bytes()
    assert "give a new or empty folder" in call("cluster-certificates", "keys").error
    assert (folder / "keys" / "key.pem").read_bytes() == key
    assert "s3://bucket/keys" in call("cluster-certificates", "s3://bucket/keys").error


@pytest.mark.parametrize("way", ["environment", "file"])
def test_certificates_are_named_elsewhere(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    pytest.importorskip("distributed")
    (folder / "run.toml").write_text('certificates = "nowhere"' if way == "file" else "")
    if way == "environment":
        monkeypatch.setenv("MARQUEE_CERTIFICATES", "nowhere")
    fine = ("--videos", "clips", "--out", "out", *CHEAP, "--config", "run.toml")
    error = call(*fine, "--scheduler", "tls://127.0.0.1:9").error
    assert "--certificates nowhere: cannot read nowhere/ca.pem" in error


@pytest.mark.parametrize(
    ("address", "open_"),
    [
        ("tcp://127.0.0.9:9", False),
        ("tcp://[::1]:9", False),
        ("localhost:9", False),
        ("tcp://192.0.2.1:9", True),
    ],
)
def test_an_open_scheduler_is_said(folder: Path, call: Call, address: str, open_: bool) -> None:
    pytest.importorskip("distributed")
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}):
        ended = call("--videos", "clips", "--out", "out", *CHEAP, "--scheduler", address)
    said = f"warning: {address} is open: anyone who can reach that port can run code as you"
    assert ended.status == 2 and "no Dask scheduler answers" in ended.err
    assert (said in ended.out) == open_
