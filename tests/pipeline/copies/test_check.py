"""What a copy is checked by."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.copies.check import packet_spans
from tests.pipeline.copies.test_prepare import render


def test_spans_of_packets_are_what_a_file_says(tmp_path: Path) -> None:
    render(tmp_path / "x.mkv", pictures=[5000, 5040, 5080], sound=[(5.5, 6.0)])
    spans = packet_spans(tmp_path / "x.mkv")
    assert spans.video == pytest.approx((5.0, 5.12)) and spans.audio == pytest.approx((5.5, 6.0))
