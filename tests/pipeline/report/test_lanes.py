"""What tables show over time."""

from __future__ import annotations

import pyarrow as pa
import pytest

from extract.declarations import TableSpec
from extract.registry import make_expert
from extract.tables import table_schema, to_batch
from extract.types import Column
from pipeline.report.lanes import Curve, Stretches, brightness, lanes_of, speech, titles
from tests.pipeline.about.conftest import shot
from tests.pipeline.about.conftest import speech as said
from tests.pipeline.report.conftest import still, title


def table(expert: str, *rows: dict[str, object]) -> pa.Table:
    spec = make_expert(expert, {"detector": "content"} if expert == "scenes" else {}).tables()[expert]
    return pa.Table.from_batches([to_batch(rows, spec=spec, video_id="v")], table_schema(spec))


def test_a_line_on_frame_after_frame_is_one_stretch() -> None:
    rows = [title("THE END", t, t + 0.04) for t in (1.0, 2.5, 4.0)]
    rows += [title("the end", 9.0, 9.04), title("SOON", 2.5, 2.54)]
    lane = titles(table("ocr", *rows))
    assert list(zip(lane.starts, lane.ends, lane.texts, strict=True)) == [
        (1.0, 4.04, "THE END"),
        (2.5, 2.54, "SOON"),
        (9.0, 9.04, "the end"),
    ]


def test_a_line_in_an_unknown_script_says_which() -> None:
    lane = titles(table("ocr", {**title("", 1.0, 1.04), "corrected": "", "script": "other"}))
    assert list(lane.texts) == ["(other script)"]


def test_speech_leaves_out_what_is_probably_not_said() -> None:
    lane = speech(table("whisper", said(4.0, 5.0, "fr"), said(0.0, 2.0, "en", hallucination=True)))
    assert (list(lane.texts), list(lane.notes)) == (["hello"], ["fr"])


def test_brightness_is_luma() -> None:
    lane = brightness(table("thumbnails", still(0, 0.0, (255, 255, 255)), still(1, 1.0, (0, 255, 0))))
    assert lane.values == pytest.approx([1.0, 0.7152], abs=1e-3)  # ITU-R BT.709: green alone
    assert list(lane.seconds) == [0.02, 1.02]


def test_somebody_elses_table_shows_by_its_columns() -> None:
    columns = (
        Column("mood", "string", "how it feels"),
        Column("tension", "float32", "0 to 1"),
        Column("scene", "int32", "number of the shot"),
    )
    rows = [
        {"start_seconds": 2.0 * n, "end_seconds": 2.0 * n + 2, "mood": m, "tension": t, "scene": n}
        for n, (m, t) in enumerate([("calm", 0.25), (None, None), ("grim", float("nan"))])
    ]
    spec = TableSpec(columns)
    made = pa.Table.from_batches([to_batch(rows, spec=spec, video_id="v")], table_schema(spec))
    mood, tension = lanes_of({"moods": made}, {"moods": columns})
    assert isinstance(mood, Stretches) and isinstance(tension, Curve)
    assert (mood.name, mood.about, list(mood.texts)) == ("Moods mood", "how it feels", ["calm", "grim"])
    assert (list(tension.seconds), list(tension.values)) == ([0.0, 2.0, 4.0, 6.0], [0.25, *[None] * 3])


def test_classes_are_one_text_with_their_scores_and_are_listed_only_where_they_are_sought() -> None:
    spec = make_expert("panns", {"classes": 2}).tables()["panns"]
    rows = [
        {"start_seconds": 1.5 * n, "end_seconds": 1.5 * n + 3, "classes": names, "class_scores": scores}
        | {"embedding": [0.0] * 2048}
        for n, (names, scores) in enumerate(
            [(["Music", "Speech"], [0.91, 0.3]), (["Rain", "Water"], [0.5, 0.4])]
        )
    ]
    made = pa.Table.from_batches([to_batch(rows, spec=spec, video_id="v")], table_schema(spec))
    (lane,) = lanes_of({"panns": made}, {"panns": spec.columns})
    assert isinstance(lane, Stretches) and lane.to_json()["quiet"] and lane.name == "Panns classes"
    assert list(lane.texts) == ["Music · Speech", "Rain · Water"]
    assert list(lane.notes) == ["0.91, 0.30", "0.50, 0.40"]
    spec = make_expert("places", {"classes": 1}).tables()["places"]
    seen = [
        {"scene": n, "start_seconds": 4.0 * n + 1, "end_seconds": 4.0 * n + 1.04, "classes": ["kitchen"]}
        | {"class_scores": [0.5], "embedding": [0.0] * 512}
        for n in (0, 1)
    ]
    for keyframes, spans in ((seen, [(0.0, 4.0), (4.0, 5.0)]), ([seen[1], seen[1]], [(5.0, 5.04)] * 2)):
        made = pa.Table.from_batches([to_batch(keyframes, spec=spec, video_id="v")], table_schema(spec))
        tables = {"places": made, "scenes": table("scenes", shot(0, 0.0, 4.0), shot(1, 4.0, 5.0))}
        lane = next(one for one in lanes_of(tables, {"places": spec.columns}) if isinstance(one, Stretches))
        assert list(zip(lane.starts, lane.ends, strict=True)) == spans, "a keyframe stands for its shot"
    assert not titles(table("ocr", title("THE END", 1.0, 1.04))).to_json()["quiet"]


def test_shots_have_one_curve_of_their_length() -> None:
    (lane,) = lanes_of({"scenes": table("scenes", shot(0, 0.0, 4.0), shot(1, 4.0, 5.0))}, {})
    assert isinstance(lane, Curve)
    assert (lane.name, lane.steps, lane.seconds) == ("Shot length", True, [0.0, 4.0, 5.0])
    assert list(lane.values) == [4.0, 1.0, 1.0]
