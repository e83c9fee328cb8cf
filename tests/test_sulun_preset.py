"""``--preset sulun2024 --weights DIR``, as a user runs it, on checkpoints in the published formats."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import read
from pipeline.store.layout import open_store
from pipeline.store.verify import verify

ROOT = Path(__file__).parents[1]
FILES = {
    "clip_vit_b32": "open_clip_model.safetensors",
    "panns_cnn14_emb128": "Cnn14_emb128_mAP=0.412.pth",
    "choi_fcn": "msd/fcn/best_model.pth",
    "whisper_tiny": "tiny.pt",
    "distilbert": "distilbert-base-uncased",
}


@pytest.fixture(scope="module")
def weights(parity: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of synthetic checkpoints whose owner vouches for them in SHA256SUMS."""
    folder = tmp_path_factory.mktemp("weights")
    for table, name in FILES.items():
        only = "visual." if table == "clip_vit_b32" else None
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(parity.checkpoint(table, name, only=only), folder / name)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "the", "summer"]
    (folder / "distilbert-base-uncased" / "vocab.txt").write_text("\n".join(words) + "\n")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(folder)}\n" for f in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def command(videos: Path, out: Path, weights: Path) -> subprocess.CompletedProcess[str]:
    settings = ["whisper.model=tiny", "whisper.sample_len=12"]
    flags = [part for setting in settings for part in ("--set", setting)]
    return subprocess.run(
        [sys.executable, "-m", "extract", "--videos", str(videos), "--out", str(out), *flags,
         "--preset", "sulun2024", "--weights", str(weights), "--device", "cpu", "--decoders", "1"],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=False,
    )  # fmt: skip


def test_the_command_of_the_readme(weights: Path, media: Path, tmp_path: Path) -> None:
    from bench.demo_trailers import Shot, Trailer, render_trailer

    videos = tmp_path / "videos"
    card = Shot(2.0, "black", ("THE SUMMER",))
    render_trailer(videos / "silent.mp4", Trailer("silent", (Shot(2.0, "bricks"), card), sound=False))
    shutil.copy(media / "speech" / "jfk.flac", videos / "speech.flac")
    out = tmp_path / "features"
    done = command(videos, out, weights)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verify(open_store(out)).clean
    coverage = pq.read_table(out / "coverage.parquet").to_pylist()
    states = {(row["video_id"], row["expert"]): (row["state"], row["reason"]) for row in coverage}
    for expert in ("scenes", "clip", "ocr"):
        assert states["silent", expert][0] == "ok"
        assert states["speech", expert] == ("absent", "no video stream")
    for expert in ("panns", "musicnet", "whisper"):
        assert states["silent", expert] == ("absent", "no audio stream")
    assert states["speech", "panns"][0] == "ok"
    assert states["silent", "distilbert"][0] == "ok"
    assert "summer" in read(out, "ocr_distilbert")["token"].to_pylist()
    assert read(out, "clip").num_rows == read(out, "scenes").num_rows
    [part] = (out / "panns").glob("part-*")
    footer = json.loads(next(iter(json_values(part))))
    sha256 = hashlib.sha256((weights / FILES["panns_cnn14_emb128"]).read_bytes()).hexdigest()
    assert sha256 in json.dumps(footer["made_of"]["weights"])
    assert footer["notes"]["weights"]["model"]["published"] is False


def json_values(part: Path) -> list[str]:
    """The JSON texts among a Parquet file's metadata."""
    metadata = pq.read_metadata(part).metadata
    return [value.decode() for key, value in metadata.items() if key != b"ARROW:schema"]


def test_a_tampered_file_is_refused_before_anything_is_decoded(weights: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").write_text("never opened")
    mine = tmp_path / "weights"
    mine.mkdir()
    for path in weights.iterdir():
        os.symlink(path, mine / path.name)
    name = FILES["whisper_tiny"]
    (mine / name).unlink()
    data = bytearray((weights / name).read_bytes())
    data[len(data) // 2] ^= 1
    (mine / name).write_bytes(data)
    done = command(videos, tmp_path / "features", mine)
    assert done.returncode == 2
    assert name in done.stderr and "SHA-256" in done.stderr.upper().replace("SHA256", "SHA-256")
    assert not (tmp_path / "features").exists()
