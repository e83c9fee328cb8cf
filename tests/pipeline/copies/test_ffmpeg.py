from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extract.errors import MissingDependency
from extract.types import MediaInfo
from pipeline.copies import ffmpeg
from pipeline.copies.ffmpeg import RECIPES, command, find_ffmpeg


def video(width: int, height: int) -> MediaInfo:
    return MediaInfo("x", 1, "mov", 1.0, has_video=True, has_audio=True, width=width, height=height)


def arguments(**changes: Any) -> list[str]:
    given: dict[str, Any] = {
        "source": "file:/dev/fd/3",
        "target": "file:/dev/fd/4",
        "media": video(1920, 800),
        "streams": (2, 5),
        "recipe": RECIPES["paper"],
        "threads": 3,
        "tag": 'T={"a":1}',
    }
    return command("ffmpeg", **(given | changes))


def after(arguments: list[str], flag: str) -> str:
    assert arguments.count(flag) == 1, (flag, arguments)
    return arguments[arguments.index(flag) + 1]


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        ((1920, 1080), (534, 300)),
        ((1920, 800), (720, 300)),
        ((1080, 1920), (168, 300)),
        ((480, 270), (480, 270)),
        ((427, 241), (426, 240)),
        ((640, 300), (640, 300)),
        ((1, 1), (2, 2)),
    ],
)
def test_pictures_are_even_and_never_enlarged(source: tuple[int, int], copy: tuple[int, int]) -> None:
    assert RECIPES["paper"].size(video(*source)) == copy


def test_the_recipes_are_those_of_the_paper_and_of_the_code() -> None:
    paper, code = (arguments(recipe=RECIPES[name]) for name in ("paper", "code"))
    for each, rate, preset in ((paper, "48k", "medium"), (code, "16k", "ultrafast")):
        assert after(each, "-c:v") == "libx265" and after(each, "-crf") == "23"
        assert after(each, "-preset") == preset
        assert after(each, "-c:a") == "libopus" and after(each, "-ac") == "1" and after(each, "-b:a") == rate
        assert "scale=720:300" in after(each, "-filter_complex")


def test_ffmpeg_is_told_what_it_may_open_and_which_streams() -> None:
    made = arguments()
    assert made.index("-protocol_whitelist") < made.index("-i") and made.index(
        "-format_whitelist"
    ) < made.index("-i")
    assert after(made, "-protocol_whitelist") == "file"
    allowed = after(made, "-format_whitelist").split(",")
    assert "mov" in allowed and not {"concat", "hls", "dash", "image2", "lavfi"} & set(allowed)
    assert {"[0:2]scale", "[0:5]aresample"} <= {
        part.partition("=")[0] for part in made[made.index("-filter_complex") + 1].split(";")
    }
    assert {"-nostdin", "-copyts", "-y"} <= set(made)


def test_streams_that_are_not_there_are_not_asked_for() -> None:
    silent, sound = arguments(streams=(0, None)), arguments(streams=(None, 0))
    assert "-c:a" not in silent and "aresample" not in " ".join(silent)
    assert "-c:v" not in sound and "scale" not in " ".join(sound)


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [({"audio_kbit": 5}, "6 to 256"), ({"crf": 52}, "0 to 51"), ({"height": 301}, "even number")],
)
def test_a_recipe_checks_itself(wrong: dict[str, int], allowed: str) -> None:
    with pytest.raises(ValueError, match=allowed):
        replace(RECIPES["paper"], **wrong)  # type: ignore[arg-type]


def program(folder: Path, body: str) -> None:
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"no `ffmpeg` on the PATH.*apt install ffmpeg"):
        find_ffmpeg()
    program(tmp_path, "echo libopus fps_mode")
    with pytest.raises(MissingDependency, match=r"has no libx265.*5.1 or newer"):
        find_ffmpeg()
    program(tmp_path, "echo libx265 libopus")
    with pytest.raises(MissingDependency, match="has no fps_mode"):
        find_ffmpeg()
    program(tmp_path, "echo libx265 libopus fps_mode")
    assert find_ffmpeg() == str(tmp_path / "ffmpeg")
    monkeypatch.setitem(sys.modules, "ffmpeg", None)
    with pytest.raises(MissingDependency, match=r"marquee-video\[prepare\]"):
        find_ffmpeg()


def test_the_whitelists_hold_without_our_probe(
    tmp_path: Path, real_ffmpeg: str, small_trailers: list[Path]
) -> None:
    """FFmpeg itself, given a playlist by the command as it stands, opens nothing beside it."""
    (tmp_path / "secret.mp4").symlink_to(small_trailers[0])
    playlists = {
        "concat.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
        "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
    statuses = {}
    for name in ["secret.mp4", *playlists]:
        made = arguments(
            source=f"file:{tmp_path / name}",
            target=f"file:{tmp_path / 'out'}",
            streams=(0, None),
            media=video(32, 32),
        )
        done = subprocess.run([real_ffmpeg, *made[1:]], capture_output=True)
        statuses[name] = done.returncode, b"whitelist" in done.stderr or b"Invalid data" in done.stderr
    assert statuses.pop("secret.mp4")[0] == 0, "the command works on a video"
    assert all(status != 0 and said for status, said in statuses.values()), statuses


def test_a_silent_ffmpeg_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_trailers: list[Path]
) -> None:
    program(tmp_path, "exec sleep 1000")
    monkeypatch.setattr(ffmpeg, "STALL_SECONDS", 0.2)
    encoder = ffmpeg.Encoder(str(tmp_path / "ffmpeg"), threads=1)
    target = tmp_path / "copy"
    with pytest.raises(ffmpeg.EncodeError, match="did not respond"):
        encoder.encode(
            small_trailers[0],
            target,
            media=video(320, 180),
            recipe=RECIPES["code"],
            tag="T=1",
            on_seconds=print,
        )
