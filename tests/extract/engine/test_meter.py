"""Busy fractions and rates on a clock that the tests set."""

from __future__ import annotations

import json

import pytest

from extract.engine.meter import STAGES, Meter


class Clock:
    now = 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter({"decode": 2, "device": 1, "host": 4, "write": 1}, lambda: clock.now)


def test_each_lane_is_measured_by_its_own_capacity(clock: Clock, meter: Meter) -> None:
    clock.now += 10
    meter.add("device", 10)
    for _ in range(2):
        meter.add("host", 10)
    busy = meter.reading().busy
    assert busy == {"decode": 0.0, "device": 1.0, "host": 0.5, "write": 0.0}
    assert meter.reading().bound_by == "device"
    assert tuple(busy) == STAGES


def test_only_what_lies_in_the_last_seconds_counts(clock: Clock, meter: Meter) -> None:
    clock.now += 30
    meter.add("device", 30)
    clock.now += 15  # five of the last twenty seconds
    assert meter.reading().busy["device"] == pytest.approx(0.25)
    clock.now += 6
    assert meter.reading().busy["device"] == 0.0
    assert meter.reading().busy_seconds == {"device": 30}


def test_a_batch_that_takes_long_is_seen_before_it_ends(clock: Clock, meter: Meter) -> None:
    since = clock.now
    clock.now += 4
    reading = meter.reading([("host", since), ("host", since + 2)])
    assert reading.busy["host"] == pytest.approx((4 + 2) / (4 * 4))
    assert reading.busy_seconds == {}


def test_rows_are_counted_and_rated(clock: Clock, meter: Meter) -> None:
    meter.add_rows("clip", 40)
    clock.now += 30
    meter.add("device", 30)
    meter.add_rows("clip", 10)
    meter.add_rows("beats", 0)
    reading = meter.reading()
    assert reading.rows == {"clip": 50, "beats": 0}
    assert reading.rows_per_second == {"clip": 10 / 20, "beats": 0}


def test_a_reading_is_json(clock: Clock, meter: Meter) -> None:
    assert meter.reading().bound_by == "decode"  # of equals the first
    clock.now += 1
    meter.add("write", 0.5)
    meter.add_rows("clip", 3)
    meter.count_pictures(110, 100)
    plain = meter.reading().to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["bound_by"] == "write"
    assert plain["rows"] == {"clip": 3}
    assert (plain["pictures_decoded"], plain["pictures"]) == (110, 100)
    assert plain["waiting"] == plain["halved"] == {}
