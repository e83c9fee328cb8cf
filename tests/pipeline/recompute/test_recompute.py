"""A store is held against its videos: a sound one is equal, and every change of one is named."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.demo_trailers import Shot, Trailer, render_trailer
from extract.errors import UsageError
from pipeline import run
from pipeline.recompute.compare import Difference
from pipeline.recompute.recompute import Recomputation, Recompute, TableCheck, draw, recompute
from pipeline.store.footer import VideoState, read_footer
from pipeline.store.layout import Store, open_store
from pipeline.store.parts import VideoRows, merge_part

VIDEOS = ("other", "said", "text")
EXPERTS = ("scenes", "ocr", "lowlevel", "spectrogram", "places")
OPTIONS = {"scenes": {"detector": "content"}, "ocr": {"sample_seconds": "none"}}
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that says something, one that does not, and a file that is no film."""
    pytest.importorskip("rapidocr")
    folder = tmp_path_factory.mktemp("clips")
    render_trailer(folder / "said.mp4", Trailer("said", (Shot(1.5, "bricks", ("SUMMER NIGHT",)),)))
    render_trailer(folder / "other.mp4", Trailer("other", (Shot(1.5, "waves"), Shot(1.5, "discs"))))
    (folder / "text.mp4").write_text("not a film")
    return folder


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "features"
    run(clips, out, experts=EXPERTS, options=OPTIONS, random_seed=3, device="cpu", decoders=1)
    return out


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    return open_store(Path(shutil.copytree(whole, tmp_path / "features")))


def again(store: Store, **settings: Any) -> dict[str, TableCheck]:
    return {check.table: check for check in of(store, **settings).tables}


def of(store: Store, **settings: Any) -> Recomputation:
    values: dict[str, Any] = {"count": 3, "seed": 1, "device": "cpu"}
    chosen = Recompute(**(values | settings))
    before = {path: path.read_bytes() for path in Path(str(store.root)).rglob("*") if path.is_file()}
    found = recompute(store, draw(store, chosen), chosen)
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in Path(str(store.root)).rglob("*") if path.is_file()} == before.keys()
    return found


def keep_experts(store: Store, *names: str) -> None:
    """Leave the others out of what is current, so that they are not run."""
    record = store.run_record()
    record["experts"] = {name: record["experts"][name] for name in names}
    Path(str(store.run_path)).write_text(json.dumps(record))


def tamper(store: Store, table: str, change: Change, *, devices: list[str] | None = None) -> None:
    """Write the film that says something anew, as a run would, with other rows."""
    (part,) = store.parts(table)
    footer = read_footer(part.path)
    rows = pq.read_table(part.path).filter(pa.compute.equal(pq.read_table(part.path)["video_id"], "said"))
    rows = change(rows.replace_schema_metadata(None))
    state = VideoState("ok", size_bytes=footer.videos["said"].size_bytes)
    header = footer.header
    if devices is not None:
        header = replace(header, target=replace(header.target, notes={"devices": devices}))
        others = [VideoRows(name, one) for name, one in footer.videos.items() if not one.rows]
        Path(str(part.path)).unlink()
        merge_part(store, header, [*others, VideoRows("said", state, rows.to_batches())])
        return
    merge_part(store, header, [VideoRows("said", state, rows.to_batches())])


def put(column: str, change: Callable[[list[Any]], Any]) -> Change:
    def changed(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        change(values)
        place = table.schema.get_field_index(column)
        kind = table.schema.field(column)
        if column == "embedding":
            size = kind.type.list_size
            flat = pa.array(np.array(values, dtype=np.float16).ravel())
            return table.set_column(place, kind, pa.FixedSizeListArray.from_arrays(flat, size))
        return table.set_column(place, kind, pa.array(values, kind.type))

    return changed


def value_of_vector(values: list[Any]) -> None:
    values[0][7] = float(values[0][7]) * 1.5 + 1


def test_a_sound_store_is_equal(store: Store) -> None:
    found = of(store)
    assert found.clean and found.drawn == VIDEOS
    assert {check.verdict for check in found.tables} == {"equal"}
    assert {check.table: check.rows for check in found.tables}["ocr"] > 0
    assert all(check.compared == 3 and not check.skipped for check in found.tables)


def test_the_draw_follows_from_the_seed(store: Store) -> None:
    drawn = {seed: draw(store, Recompute(count=2, seed=seed)).videos for seed in range(8)}
    assert drawn[3] == draw(store, Recompute(count=2, seed=3)).videos
    assert len(set(drawn.values())) > 1 and {len(videos) for videos in drawn.values()} == {2}


def test_a_changed_value_of_a_vector_is_named(store: Store) -> None:
    keep_experts(store, "scenes", "places")
    tamper(store, "places", put("embedding", value_of_vector))
    found = of(store)
    check = {one.table: one for one in found.tables}["places"]
    assert not found.clean and check.verdict == "different" and check.worst is not None
    assert (check.worst_video, check.worst.row, check.worst.column) == ("said", 0, "embedding[7]")
    assert float(check.worst.stored) == pytest.approx(1.5 * float(check.worst.came) + 1, rel=0.01)
    assert check.worst.cosine is not None and check.worst.cosine < 1
    assert {one.table: one.verdict for one in found.tables}["scenes"] == "equal"


def test_a_changed_text_is_named(store: Store) -> None:
    keep_experts(store, "scenes", "ocr")
    tamper(store, "ocr", put("text", lambda values: values.__setitem__(0, "WINTER")))
    check = again(store)["ocr"]
    assert check.verdict == "different" and check.worst is not None
    assert (check.worst_video, check.worst.row, check.worst.column) == ("said", 0, "text")
    assert check.worst.stored == "'WINTER'" and "SUMMER" in check.worst.came


def test_a_dropped_row_is_named(store: Store) -> None:
    keep_experts(store, "scenes", "lowlevel")
    scenes = pq.read_table(store.parts("lowlevel")[0].path)
    assert scenes["video_id"].to_pylist().count("other") == 2
    (part,) = store.parts("lowlevel")
    footer = read_footer(part.path)
    rows = scenes.filter(pa.compute.equal(scenes["video_id"], "other")).slice(0, 1)
    state = VideoState("ok", size_bytes=footer.videos["other"].size_bytes)
    merge_part(
        store,
        footer.header,
        [VideoRows("other", state, rows.replace_schema_metadata(None).to_batches())],
    )
    check = again(store)["lowlevel"]
    assert check.verdict == "different" and check.worst is not None
    assert (check.worst_video, check.worst.column) == ("other", "number of rows")
    assert (check.worst.stored, check.worst.came) == ("1", "2")


def test_a_state_that_is_another_is_named(store: Store) -> None:
    keep_experts(store, "scenes")
    (part,) = store.parts("scenes")
    footer = read_footer(part.path)
    failed = replace(footer.videos["text"], size_bytes=footer.videos["said"].size_bytes)
    merge_part(store, footer.header, [VideoRows("said", failed)])
    check = again(store)["scenes"]
    assert check.verdict == "different" and check.worst is not None
    assert (check.worst_video, check.worst.column, check.worst.came) == ("said", "state", "ok")
    assert check.worst.stored.startswith("failed (")


def test_videos_that_are_gone_or_replaced_are_not_compared(store: Store, clips: Path, tmp_path: Path) -> None:
    keep_experts(store, "scenes")
    moved = Path(shutil.copytree(clips, tmp_path / "moved"))
    assert again(store, videos=moved)["scenes"].verdict == "equal"
    (moved / "other.mp4").unlink()
    with (moved / "said.mp4").open("ab") as file:
        file.write(b"more")
    found = of(store, videos=moved)
    (check,) = found.tables
    assert check.verdict == "equal" and check.compared == 1  # the one that failed then and now
    assert check.skipped["other"] == "the file is gone"
    assert check.skipped["said"].startswith("the file has changed since: ")


def test_another_film_of_the_same_size_is_no_drift(store: Store, clips: Path, tmp_path: Path) -> None:
    """A store that does not know what its inputs looked like can only find other rows."""
    keep_experts(store, "scenes")
    moved = Path(shutil.copytree(clips, tmp_path / "moved"))
    size = (moved / "other.mp4").stat().st_size
    said = (moved / "said.mp4").read_bytes()
    (moved / "other.mp4").write_bytes(said[:size].ljust(size, b"\0"))
    check = again(store, videos=moved)["scenes"]
    assert check.verdict == "equal" and check.compared == 2
    assert check.skipped == {"other": "the file has changed since: same size, different contents"}
    Path(str(store.inputs_path(0))).unlink()
    check = again(store, videos=moved)["scenes"]
    assert check.verdict == "different" and check.worst_video == "other"


def test_rows_of_another_device_have_a_tolerance(store: Store) -> None:
    """A relative error of 0.1 %; places may be 0.2 % off."""
    keep_experts(store, "scenes", "places")

    def scale(values: list[Any]) -> None:
        values[:] = [[1.001 * float(value) for value in vector] for vector in values]

    tamper(store, "places", put("embedding", scale), devices=["cuda NVIDIA H100"])
    check = again(store)["places"]
    assert check.verdict == "within tolerance" and check.worst is not None and check.worst.cosine is not None
    assert check.worst.cosine == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("errors", "limit", "verdict"),
    [
        ((None, None), None, "equal"),
        ((None, 0.001), None, "different"),
        ((None, 0.001), 0.002, "within tolerance"),
        ((0.001, 0.003, None), 0.002, "different"),
        ((0.003, 0.001), 0.002, "different"),
        ((0.001, None), 0.002, "within tolerance"),
        ((math.inf,), 0.002, "different"),
        ((), None, "not compared"),
    ],
)
def test_the_verdict_is_the_worst_video_s(
    errors: tuple[float | None, ...], limit: float | None, verdict: str
) -> None:
    check = TableCheck("clip", "clip")
    for number, error in enumerate(errors):
        difference = None if error is None else Difference("embedding[0]", "1", "2", 0, error)
        check.take(f"video {number}", difference, limit=limit)
    assert check.verdict == verdict and check.compared == len(errors)
    worst = max((error for error in errors if error is not None), default=None)
    assert (None if check.worst is None else check.worst.error) == worst


def test_experts_that_cannot_make_these_rows_are_not_compared(store: Store) -> None:
    keep_experts(store, "scenes", "spectrogram", "lowlevel")
    record = store.run_record()
    record["experts"]["spectrogram"]["made_of"]["settings"]["version"] = 99
    record["experts"]["spectrogram"]["fingerprint"] = "0123456789ab"
    record["experts"]["nobody"] = record["experts"]["spectrogram"]
    Path(str(store.run_path)).write_text(json.dumps(record))
    found = of(store)
    reasons = {check.table: set(check.skipped.values()) for check in found.tables if check.skipped}
    assert "another version's fingerprint: settings differ (version)" in reasons["spectrogram"]
    assert found.clean


def test_weights_that_are_not_at_hand_are_named(store: Store, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    keep_experts(store, "scenes", "places")
    record = store.run_record()
    made_of = record["experts"]["places"]["made_of"]
    made_of |= {"random_seed": None, "weights": {"network": "0" * 64}}
    Path(str(store.run_path)).write_text(json.dumps(record))
    found = of(store)
    check = {one.table: one for one in found.tables}["places"]
    assert check.verdict == "not compared"
    assert set(check.skipped.values()) == {"weights missing: resnet18_places365.pth.tar"}


def test_a_check_that_compares_nothing_is_not_clean(store: Store, tmp_path: Path) -> None:
    keep_experts(store, "scenes")
    (tmp_path / "empty").mkdir()
    found = of(store, videos=tmp_path / "empty")
    assert not found.clean and not found.compared
    record = store.run_record()
    record["root"] = str(tmp_path / "nowhere")
    Path(str(store.run_path)).write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"there is no .*give --videos DIR"):
        of(store)
