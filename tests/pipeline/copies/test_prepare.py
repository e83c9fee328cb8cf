from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from extract.errors import MissingDependency, StoreError, UsageError
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.types import AudioBlock, Sound
from pipeline.cli import commands as cli
from pipeline.cli.prepare_display import status_line
from pipeline.copies import ffmpeg
from pipeline.copies.check import tag_of
from pipeline.copies.prepare import PrepareConfig, PrepareProgress, PrepareReport, prepare
from pipeline.storage.names import new_ids
from pipeline.storage.scan import scan

pytestmark = pytest.mark.slow

RATE = 48_000


def run(folder: Path, **settings: Any) -> PrepareReport:
    return prepare(PrepareConfig(folder / "in", folder / "out", **({"recipe": "code"} | settings)))


def copies(folder: Path) -> dict[str, int]:
    """Everything in OUT but its own two files and the lock, with the time of its last change."""
    own = {"prepare.json", "failures.parquet", ".lock"}
    found = [path for path in (folder / "out").rglob("*") if path.is_file() and path.name not in own]
    return {str(path.relative_to(folder / "out")): path.stat().st_mtime_ns for path in found}


def failures(folder: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder / "out" / "failures.parquet").to_pylist()
    return {row["path"]: row for row in rows}


def render(path: Path, *, pictures: Sequence[int], sound: Sequence[tuple[float, float]] = ()) -> None:
    """Pictures at these milliseconds, brighter each time, and noise in these intervals of seconds."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", format="matroska", options={"avoid_negative_ts": "disabled"}) as out:
        video = out.add_stream("ffv1", rate=25, width=64, height=48, pix_fmt="yuv420p")
        video.codec_context.time_base = Fraction(1, 1000)
        audio = out.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound else None
        for i, milliseconds in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), min(255, 4 * i), np.uint8), format="rgb24"
            ).reformat(format="yuv420p")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for start, end in sound:
            assert audio is not None
            samples = (random.normal(size=(1, round((end - start) * RATE))) * 8000).astype(np.int16)
            for first in range(0, samples.shape[1], 960):
                block = av.AudioFrame.from_ndarray(
                    samples[:, first : first + 960], format="s16", layout="mono"
                )
                block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
                block.pts = round(start * RATE) + first
                out.mux(audio.encode(block))


def decoded(path: Path) -> tuple[list[float], list[float], np.ndarray, float]:
    """Start and mean of every picture; all samples at 16 kHz, and the start of the first."""
    media = probe(path)
    starts, means, blocks = [], [], []
    for part in read(path, media=media, video=True, sounds=(Sound(16_000),), counts=DecodeCounts()):
        if isinstance(part, AudioBlock):
            blocks.append(part)
        else:
            starts.append(part.start_seconds)
            means.append(float(part.rgb().mean()))
    return starts, means, np.concatenate([block.samples for block in blocks]), blocks[0].start_seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three clips of a second, all of another size in bytes."""
    made = tmp_path_factory.mktemp("clips")
    for number in range(3):
        render(made / f"{number}.mp4", pictures=range(0, 1000, 50 + 50 * number))
    return sorted(made.iterdir())


@pytest.mark.parametrize(("start", "delay"), [(0, 0.0), (100, 0.0), (100, 0.25)])
def test_times_stay_to_the_millisecond(folder: Path, real_ffmpeg: str, start: int, delay: float) -> None:
    """Irregular pictures; sound that starts with them or later, and has a gap."""
    pictures = [1000 * start + t for t in (0, 40, 80, 200, 210, 280, 700, 740, 1500, 2000, 2040)]
    sound_from = start + delay
    intervals = [(sound_from, sound_from + 0.51), (sound_from + 1.0, sound_from + 1.75)]
    render(folder / "in" / "x.mkv", pictures=pictures, sound=intervals)
    assert not run(folder, recipe="paper").failures
    starts, means, samples, sound_start = decoded(folder / "out" / "x.mkv")
    source_starts, source_means, source_samples, source_sound_start = decoded(folder / "in" / "x.mkv")
    assert source_starts == pytest.approx([p / 1000 for p in pictures]) and source_sound_start == sound_from
    assert starts == pytest.approx(source_starts, abs=0.0011)
    assert means == pytest.approx(source_means, abs=3)
    assert abs(len(samples) - len(source_samples)) <= 160
    for first in (0, 16_000):  # before and after the gap
        part = samples[first + 800 : first + 7200]
        lag = int(np.argmax(np.correlate(source_samples[first : first + 8000], part, "valid"))) - 800
        # FFmpeg 5.1 writes Opus its 6.5 ms of pre-skip early, rounded; later ones do not.
        assert lag / 16_000 + source_sound_start - sound_start == pytest.approx(0, abs=0.008)
    assert np.abs(samples[8_800:15_200]).max() < 0.02 < np.abs(samples[17_000:]).max(), "the gap is silence"
    assert np.abs(samples[16_010:16_150]).mean() > 0.05, "and ends where it should"


def test_a_copy_is_made_once(folder: Path, real_ffmpeg: str, clips: list[Path]) -> None:
    for name, clip in zip("abc", clips, strict=True):
        shutil.copy(clip, folder / "in" / f"{name}.mp4")
    progress = PrepareProgress()
    report = prepare(PrepareConfig(folder / "in", folder / "out", "code", jobs=2), progress)
    assert (report.made, report.already, report.exit_status) == (3, 0, 0)
    assert (progress.done, progress.running) == (3, {}) and "3/3 videos" in status_line(progress)
    before = copies(folder)
    assert set(before) == {"a.mkv", "b.mkv", "c.mkv"}
    made = probe(folder / "out" / "a.mkv")
    assert (made.video_codec, made.audio_codec) == ("hevc", None)
    shutil.copy(clips[1], folder / "in" / "a.mp4")  # another video under the same name
    (folder / "out" / "c.mkv").unlink()
    report = run(folder)
    assert (report.made, report.already) == (2, 1)
    after = copies(folder)
    assert {name for name in before if after[name] != before[name]} == {"a.mkv", "c.mkv"}
    a, b, c = (tag_of(folder / "out" / f"{name}.mkv") for name in "abc")
    assert a == b != c


def test_ids_of_copies_are_those_of_their_sources(folder: Path, real_ffmpeg: str, clips: list[Path]) -> None:
    awkward = [b"-x.mp4", b"sub dir/new\nline.mp4", b'quote\'s "q" %03d.mp4', b"caf\xe9.mp4", b"a.mp4"]
    source = os.fsencode(folder / "in")
    os.mkdir(os.path.join(source, b"sub dir"))
    for name in awkward:
        os.symlink(os.fsencode(clips[0]), os.path.join(source, name))
    assert not run(folder).failures
    ids = new_ids([entry.raw for entry in scan(folder / "in").inputs], {})
    assert set(new_ids([entry.raw for entry in scan(folder / "out").inputs], {}).values()) == set(
        ids.values()
    )

    before = copies(folder)
    (folder / "in" / "a.mov").symlink_to(clips[1])
    assert run(folder).made == 1
    assert copies(folder).keys() - before.keys() == {"a.mov.mkv"}, "a.mp4 keeps its name"


def test_files_of_others_are_left_alone(folder: Path, real_ffmpeg: str, clips: list[Path]) -> None:
    for name in ("a.mp4", "b.mp4"):
        (folder / "in" / name).symlink_to(clips[0])
    run(folder)
    shutil.copy(clips[2], folder / "out" / "a.mkv")
    (folder / "out" / "b.mkv").unlink()
    (folder / "out" / "b.mkv").mkdir()
    before = (folder / "out" / "a.mkv").read_bytes()
    report = run(folder)
    assert report.exit_status == 3 and {f.stage for f in report.failures} == {"write"}
    assert "not a copy that prepare made" in failures(folder)["a.mp4"]["message"]
    assert (folder / "out" / "a.mkv").read_bytes() == before and (folder / "out" / "b.mkv").is_dir()


def test_failures_cost_one_file_each(folder: Path, real_ffmpeg: str, clips: list[Path]) -> None:
    (folder / "in" / "good.mp4").symlink_to(clips[0])
    (folder / "in" / "playlist.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (folder / "in" / "list.m3u8").write_text("#EXTM3U\n#EXTINF:5,\ngood.mp4\n")
    (folder / "in" / "empty.mp4").touch()
    (folder / "in" / "broken.mp4").symlink_to("nowhere")
    with av.open(str(folder / "in" / "small.mkv"), "w") as out:  # fewer pixels than x265 takes
        stream = out.add_stream("ffv1", rate=25, width=8, height=8, pix_fmt="yuv420p")
        out.mux(stream.encode(av.VideoFrame(8, 8, "yuv420p")))
        out.mux(stream.encode(None))
    report = run(folder)
    assert (report.made, report.exit_status) == (1, 3)
    assert {path: row["stage"] for path, row in failures(folder).items()} == {
        "broken.mp4": "scan",
        "empty.mp4": "probe",
        "list.m3u8": "probe",
        "playlist.mp4": "probe",
        "small.mkv": "encode",
    }
    small = failures(folder)["small.mkv"]
    assert "ended with status" in small["message"] and "too small" in small["log"]
    assert set(copies(folder)) == {"good.mkv"}


def test_a_short_copy_is_no_copy(
    folder: Path, real_ffmpeg: str, small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in" / "a.mp4").symlink_to(small_trailers[0])
    whole = ffmpeg.command

    def short(*arguments: Any, **options: Any) -> list[str]:
        made = whole(*arguments, **options)
        at = made.index(options["target"])
        return [*made[:at], "-t", "1", *made[at:]]

    monkeypatch.setattr(ffmpeg, "command", short)
    (failed,) = run(folder).failures
    assert failed.stage == "check" and "in the source from 0.000 to 4.5" in failed.message
    assert copies(folder) == {}


def test_a_killed_run_leaves_nothing_that_counts(
    folder: Path, fake: Callable[[str], None], small_trailers: list[Path]
) -> None:
    (folder / "in" / "a.mp4").symlink_to(small_trailers[0])
    fake(f'echo $$ >"{folder}/pid.new"; mv "{folder}/pid.new" "{folder}/pid"; exec sleep 1000')

    def start() -> tuple[subprocess.Popen[bytes], int]:
        (folder / "pid").unlink(missing_ok=True)
        arguments = ("-m", "extract", "prepare", "--videos", str(folder / "in"), "--out", str(folder / "out"))
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)
        wait_until(lambda: (folder / "pid").exists())
        return process, int((folder / "pid").read_text())

    process, encoder = start()
    process.kill()
    process.communicate()
    (left,) = copies(folder)
    assert left.startswith(".tmp-a.mkv")
    if shutil.which("setpriv"):
        wait_until(lambda: not alive(encoder))
    else:
        os.kill(encoder, signal.SIGKILL)

    process, encoder = start()
    process.send_signal(signal.SIGINT)
    assert b"run the same command to resume" in process.communicate()[0] and process.returncode == 130
    assert copies(folder) == {} and not alive(encoder), "of both runs"


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # the suite's own time limit ends this if need be
        time.sleep(0.01)


def test_several_are_encoded_at_a_time(
    folder: Path, fake: Callable[[str], None], small_trailers: list[Path]
) -> None:
    for trailer in small_trailers:
        (folder / "in" / trailer.name).symlink_to(trailer)
    fake(
        f'mkdir -p "{folder}/at"; touch "{folder}/at/$$"; '
        f'until [ "$(ls "{folder}/at" | wc -l)" = 3 ]; do :; done'
    )
    progress = PrepareProgress()
    report = prepare(PrepareConfig(folder / "in", folder / "out", jobs=3), progress)
    assert [failed.stage for failed in report.failures] == ["check"] * 3, "each waited for the two others"
    assert (progress.failed, progress.done) == (3, 3) and "3 failed" in status_line(progress)
    assert copies(folder) == {}, "an ffmpeg that says all is well has not made a copy"


def test_the_command_line(
    folder: Path,
    fake: Callable[[str], None],
    small_trailers: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (folder / "in" / "a.mp4").symlink_to(small_trailers[0])

    def call(*arguments: str) -> tuple[object, str, str]:
        given = ("prepare", "--videos", str(folder / "in"), "--out", str(folder / "out"))
        monkeypatch.setattr(sys, "argv", ["extract", *given, *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capfd.readouterr()

    fake("echo boom >&2; exit 1")
    status, out, err = call("--recipe", "best")
    assert (status, out, err.count("\n")) == (2, "", 1) and "is not one of 'paper', 'code'" in err
    status, out, _ = call()
    assert status == 3 and "failed: 'a.mp4': ffmpeg ended with status 1 boom" in out
    monkeypatch.setenv("PATH", "")
    status, out, err = call()
    assert (status, out, err.count("\n")) == (2, "", 1) and "apt install ffmpeg" in err


def test_a_full_disk_ends_the_run(
    folder: Path, fake: Callable[[str], None], small_trailers: list[Path]
) -> None:
    (folder / "in" / "a.mp4").symlink_to(small_trailers[0])
    fake('echo "file:/dev/fd/5: No space left on device" >&2; exit 1')
    with pytest.raises(StoreError, match="free some space"):
        run(folder)


def test_what_ffmpeg_said_last_is_recorded(
    folder: Path, fake: Callable[[str], None], small_trailers: list[Path]
) -> None:
    (folder / "in" / "a.mp4").symlink_to(small_trailers[0])
    fake("for i in $(seq 100); do echo line $i >&2; done; exit 7")
    (failed,) = run(folder).failures
    assert (failed.stage, failed.message) == ("encode", "ffmpeg ended with status 7")
    assert failed.log.splitlines() == [f"line {i}" for i in range(89, 101)]
    assert failures(folder)["a.mp4"]["log"] == failed.log


def test_folders_that_cannot_be_used(folder: Path, fake: Callable[[str], None]) -> None:
    fake("exit 1")
    (folder / "in" / "a.mp4").write_text("x")
    (folder / "file").write_text("x")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "letter.txt").write_text("dear")
    (folder / "link").symlink_to(folder / "in")
    wrong = {
        ("in", "in/copies"): "is inside --videos",
        ("in", "in"): "is inside --videos",
        ("in", "link/copies"): "is inside --videos",
        ("in", "."): "is inside --out",
        ("in", "file"): "is a file",
        ("in", "foreign"): "'letter.txt'",
        ("nowhere", "out"): "no such file or folder",
        ("foreign", "out"): "no video or sound file.*mounted",
    }
    before = sorted(folder.rglob("*"))
    for (videos, out), message in wrong.items():
        with pytest.raises(UsageError, match=message):
            prepare(PrepareConfig(folder / videos, folder / out))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"jobs": 0}, "--jobs is 0; at least 1 is needed"),
        ({"jobs": True}, "--jobs is True; a whole number is needed"),
        ({"jobs": "2"}, "--jobs is '2'; a whole number is needed"),
        ({"recipe": "best"}, "--recipe is 'best'; allowed: paper, code"),
        ({"recipes": "code"}, "PrepareConfig has no field 'recipes'"),
    ]
    for settings, message in refused:
        with pytest.raises(UsageError, match=message):
            run(folder, **settings)
    with pytest.raises(UsageError, match="--out is 3; a path is needed"):
        PrepareConfig(folder / "in", 3)  # type: ignore[arg-type]
    assert PrepareConfig(str(folder / "in"), folder / "out").videos == folder / "in"  # type: ignore[arg-type]
    assert sorted(folder.rglob("*")) == before
    run(folder)
    assert json.loads((folder / "out" / "prepare.json").read_text())["recipe"] == "code"
    with pytest.raises(UsageError, match="'code', not 'paper'"):
        run(folder, recipe="paper")


def test_without_ffmpeg_nothing_is_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(MissingDependency, match="no `ffmpeg`"):
        run(folder)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "name",
    ["rotated_90_metadata.mp4", "anamorphic_sar_16_9.mp4", "two_audio.mp4", "corrupt_middle.mp4"],
)
def test_awkward_files(folder: Path, media: Path, real_ffmpeg: str, name: str) -> None:
    source = folder / "in" / name
    source.symlink_to(media / "nasty" / "dev" / name)
    assert not run(folder).failures
    copy = folder / "out" / f"{source.stem}.mkv"
    mine, theirs = probe(copy), probe(source)
    assert (mine.width, mine.height) == ((168, 300) if name.startswith("rotated") else (320, 180))
    assert (mine.rotation_degrees, mine.sample_aspect_ratio, mine.has_audio) == (0, 1.0, theirs.has_audio)
    starts, means, _, _ = decoded(copy)
    source_starts, source_means, _, _ = decoded(source)
    assert starts == pytest.approx(source_starts, abs=0.0011)
    # FFmpeg conceals damage in the copy; in the source the last good picture is shown
    assert means == pytest.approx(source_means, abs=4 if name.startswith("corrupt") else 3)
    thumbnails = [next(pictures(path)) for path in (copy, source)]
    assert np.abs(thumbnails[0] - thumbnails[1]).mean() < 8, "the same way up"


def pictures(path: Path) -> Any:
    for part in read(path, media=probe(path), video=True, sounds=(), counts=DecodeCounts()):
        assert not isinstance(part, AudioBlock)
        yield part.thumbnail(32, 32).astype(float)
