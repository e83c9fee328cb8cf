"""Seconds of a video, as several runs of a store add up to them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.store.layout import Target, open_store
from pipeline.store.spent import added, seconds_a_video

MADE = {"scenes": "0" * 12, "clip": "a" * 12, "ocr": "b" * 12, "whisper": "c" * 12, "distilbert": "d" * 12}
FIRST = {
    "videos": 4,
    "expert_videos": {"scenes": 4, "clip": 4, "ocr": 4, "whisper": 4, "distilbert": 4},
    "busy_seconds": {"decode": 8.0, "device": 9.0},
    "queue_seconds": {"windows": 2.0, "clip": 4.0, "ocr": 12.0, "whisper": 20.0, "distilbert": 1.0},
}
SECOND = {
    "videos": 2,
    "expert_videos": {"clip": 2},
    "busy_seconds": {"decode": 1.0},
    "queue_seconds": {"clip": 5.0},
}
EXPERTS: dict[str, dict[str, Any]] = {
    "scenes": {"tables": ["scenes"], "upstream": []},
    "clip": {"tables": ["clip"], "upstream": ["scenes"]},
    "ocr": {"tables": ["ocr"], "upstream": ["scenes"]},
    "whisper": {"tables": ["whisper"], "upstream": []},
    "distilbert": {"tables": ["asr_distilbert", "ocr_distilbert"], "upstream": ["ocr", "whisper"]},
}


def test_runs_add_up_and_new_rows_cost_anew() -> None:
    once = added({}, FIRST, MADE)
    assert once["clip"] == {"fingerprint": "a" * 12, "videos": 4, "seconds": 4.0}
    twice = added(once, SECOND, MADE)
    assert (twice["clip"]["videos"], twice["clip"]["seconds"]) == (6, 9.0)
    assert (twice["decode"]["videos"], twice["decode"]["seconds"]) == (6, 9.0)
    assert twice["whisper"] == once["whisper"]
    other = added(twice, SECOND, MADE | {"clip": "e" * 12})
    assert other["clip"] == {"fingerprint": "e" * 12, "videos": 2, "seconds": 5.0}


def test_a_table_costs_what_it_reads_too() -> None:
    record = {"experts": EXPERTS, "spent": added({}, FIRST, MADE)}
    seen = 2.0 + 0.5  # decoding, the shot network
    assert seconds_a_video(record, ["clip"]) == pytest.approx(seen + 1.0)
    assert seconds_a_video(record, ["ocr_distilbert"]) == pytest.approx(seen + 3.0 + 0.25)
    assert seconds_a_video(record, ["asr_distilbert"]) == pytest.approx(seen + 5.0 + 0.25)
    both = seconds_a_video(record, ["clip", "ocr_distilbert", "asr_distilbert"])
    assert both == pytest.approx(seen + 1.0 + 3.0 + 5.0 + 0.25), "each once"
    assert math.isnan(seconds_a_video(record, ["clip", "panns"])), "nothing is known of it"
    assert math.isnan(seconds_a_video({"experts": EXPERTS}, ["clip"]))


def test_a_store_counts_a_run_once(tmp_path: Any) -> None:
    store = open_store(tmp_path / "store", create=True)
    targets = [Target(name, MADE[name], tuple(entry["tables"])) for name, entry in EXPERTS.items()]

    def record(measured: Any) -> None:
        store.record_run(targets, options={}, versions={}, started="2024-01-01T00:00:00Z", measured=measured)

    record(None)
    record(FIRST)
    record(FIRST)  # an import records the run before it again
    assert store.run_record()["spent"]["clip"]["videos"] == 4
    record(None)
    record(SECOND)
    assert store.run_record()["spent"]["clip"]["videos"] == 6
