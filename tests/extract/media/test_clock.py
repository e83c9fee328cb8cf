"""Packets of made-up streams, and the shift that the shared clock gives to each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import pytest

from extract.media.clock import SharedClock, Stamp, Statement

MILLISECOND = Fraction(1, 1000)
PICTURE, SOUND = 40, 20  # milliseconds that a packet lasts

Told = tuple[str, float]  # which stream, seconds on its own clock
Found = tuple[str, float | None]
Streams = dict[str, Any]


@pytest.fixture(scope="module")
def streams() -> Iterator[Streams]:
    """A picture and a sound stream, to hang packets on."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        video: Any = out.add_stream("mpeg4", rate=25)
        video.width = video.height = 16
        audio: Any = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        yield {"picture": video, "sound": audio}
        out.start_encoding()


def clock_of(
    streams: dict[str, Any], told: Sequence[Told], shared: SharedClock
) -> list[tuple[str, float | None]]:
    """Where each packet lies on the shared clock, None where its time is called damaged."""
    packets = []
    for kind, seconds in told:
        packet = av.Packet(b"x")
        packet.stream, packet.time_base = streams[kind], MILLISECOND
        packet.pts = packet.dts = round(seconds * 1000)
        packet.duration = PICTURE if kind == "picture" else SOUND
        packets.append(packet)
    found: list[Found] = []
    for packet in shared.stamp(packets):
        stamp = packet.opaque
        assert isinstance(stamp, Stamp) and packet.dts is not None
        when = None if stamp.shift_seconds is None else packet.dts / 1000 + stamp.shift_seconds
        found.append(("picture" if packet.stream is streams["picture"] else "sound", when))
    assert len(found) == len(told)
    return found


def part(pictures: tuple[float, float] | None, sound: tuple[float, float] | None) -> list[Told]:
    """Interleaved packets of a picture and a sound that start and end then."""
    told: list[Told] = []
    for kind, span, lasts in (("picture", pictures, PICTURE), ("sound", sound, SOUND)):
        if span is not None:
            count = round((span[1] - span[0]) * 1000 / lasts)
            told += [(kind, span[0] + index * lasts / 1000) for index in range(count)]
    return sorted(told, key=lambda packet: packet[1])


def times(found: Sequence[Found], kind: str) -> list[float | None]:
    return [seconds for which, seconds in found if which == kind]


@pytest.mark.parametrize("lead", [0.0, 3.0], ids=["from 0", "from 3 s"])
@pytest.mark.parametrize("short", [0.0, 0.96, 2.4])
@pytest.mark.parametrize("shorter", ["picture", "sound"])
def test_a_restart_moves_both_streams_by_one_amount(
    streams: Streams, lead: float, short: float, shorter: str
) -> None:
    ends = {"picture": lead + 4.0, "sound": lead + 4.0} | {shorter: lead + 4.0 - short}
    first = part((lead, ends["picture"]), (lead, ends["sound"]))
    second = part((lead, lead + 4.0), (lead, lead + 4.0))
    found = clock_of(streams, first + second, SharedClock(Statement(lead + 4.0, restarts=True)))
    for kind, lasts in (("picture", 0.04), ("sound", 0.02)):
        mine = times(found, kind)[-round(4.0 / lasts) :]
        assert mine == pytest.approx([lead + 4.0 + index * lasts for index in range(len(mine))])


def test_a_restart_ahead_is_cut_short_and_keeps_both_together(streams: Streams) -> None:
    told = part((0, 2), (0, 1.5)) + part((95_000, 95_001), (95_000, 95_001))
    found = clock_of(streams, told, SharedClock(Statement(95_001, restarts=True)))
    assert times(found, "picture")[-1] == pytest.approx(3.0 - 0.04)
    assert times(found, "sound")[-50] == pytest.approx(2.0)


def test_a_long_still_under_sound_is_a_still(streams: Streams) -> None:
    told = [*part((0, 4), (0, 800)), ("picture", 704.0), ("picture", 704.04)]
    told.sort(key=lambda packet: packet[1])
    found = clock_of(streams, told, SharedClock(Statement(None)))
    assert times(found, "picture")[-2:] == [704.0, 704.04]


@pytest.mark.parametrize(("stated", "believed"), [(708.0, True), (3.0, False), (None, False)])
def test_a_long_still_alone_needs_a_container_that_says_so(
    streams: Streams, stated: float | None, believed: bool
) -> None:
    told = [*part((0, 4), None), *part((704, 708), None)]
    found = clock_of(streams, told, SharedClock(Statement(stated)))
    assert times(found, "picture")[100] == pytest.approx(704.0 if believed else 4.0)


def test_one_damaged_timestamp_is_told_and_changes_nothing_else(streams: Streams) -> None:
    told = part((0, 4), (0, 4))
    for at in (0, 57, 120, len(told) - 40):
        damaged = [*told]
        damaged[at] = (told[at][0], 95_443.7)
        found = clock_of(streams, damaged, SharedClock(Statement(4.0)))
        assert [seconds for _, seconds in found] == [
            None if index == at else seconds for index, (_, seconds) in enumerate(told)
        ], at


def test_a_damaged_timestamp_at_the_end_makes_no_silence(streams: Streams) -> None:
    """Nothing comes after it that could tell; but the container is not that long."""
    found = clock_of(
        streams, [*part((0, 4), (0, 4)), ("sound", 376.5)], SharedClock(Statement(4.0, restarts=True))
    )
    assert found[-1][1] == pytest.approx(4.0)


def test_a_pause_of_seconds_stays(streams: Streams) -> None:
    told = part((0, 2), (0, 2)) + part((9, 11), (9, 11))
    found = clock_of(streams, told, SharedClock(Statement(11)))
    assert [seconds for _, seconds in found] == pytest.approx([seconds for _, seconds in told])


def test_the_next_link_starts_where_the_last_one_ended(streams: Streams) -> None:
    shared = SharedClock(Statement(2.0, restarts=True), start_seconds=8.5)
    found = clock_of(streams, part((0.4, 2), (0.4, 2)), shared)
    assert found[0][1] == pytest.approx(8.5)
    assert shared.end_seconds == pytest.approx(10.1)


def test_a_stream_longer_than_its_file_can_be_is_refused(streams: Streams) -> None:
    told = [("picture", index * 9.0) for index in range(1000)]
    shared = SharedClock(Statement(9000.0), most_seconds=4000.0)
    clock_of(streams, told, shared)
    (why,) = shared.refused.values()
    assert "at most 4000 s" in why


def test_nothing_waits_in_an_ordinary_file(streams: Streams) -> None:
    """A packet is handed on before the next but few is read, from the first seconds on."""
    read = 0

    def reading() -> Iterator[Any]:
        nonlocal read
        for kind, seconds in part((0, 60), (0, 60)):
            packet = av.Packet(b"x")
            packet.stream, packet.time_base, packet.dts = streams[kind], MILLISECOND, round(seconds * 1000)
            read += 1
            yield packet

    ahead = [read - index for index, _ in enumerate(SharedClock(Statement(60.0)).stamp(reading()), start=1)]
    assert max(ahead) < 300 and max(ahead[300:]) == 0


def test_packets_without_a_time_pass(streams: Streams) -> None:
    packet = av.Packet(b"x")
    packet.stream = streams["picture"]
    (same,) = SharedClock(Statement(None)).stamp([packet])
    assert same.opaque == Stamp(0.0)
