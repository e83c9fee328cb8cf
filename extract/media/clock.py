"""One clock for all streams of a file, from the timestamps of its packets.

Timestamps may restart (two recordings in one file), be damaged, or say nothing. Whether a jump is a
pause, a restart or damage can be judged only with all streams in view, and must not depend on which of
them are decoded: so every packet of picture and sound passes here, in file order, before any decoder.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import av
from av.audio.stream import AudioStream

from extract.media.pace import Interleaving, Pace

BACK_SECONDS = 1.0  # decoding timestamps that fall back further restart, or are damaged
PAUSE_SECONDS = 10.0  # a jump ahead up to this is a pause, whatever else the file says
LONGEST_PAUSE_SECONDS = 600.0  # the longest that is believed on the word of one stream alone
AHEAD_SECONDS = 3.0  # of a stream, and packets and bytes in all, that are read ahead to judge a jump
AHEAD_PACKETS = 2000
AHEAD_BYTES = 32 << 20
NEXT = 3  # packets of the same stream that may show that one timestamp is damaged

Packet: TypeAlias = "av.Packet[Any]"  # generic for type checkers only


class Stamp(NamedTuple):
    """What a packet hands to its frames, as their ``opaque``.

    ``shift_seconds`` is to be added to the frame's timestamp; None says that this timestamp is damaged
    and tells nothing.
    """

    shift_seconds: float | None


@dataclass(frozen=True)
class Statement:
    """What a container says of its length: believed where single timestamps have to be judged.

    ``end_seconds`` is where its last stream ends, None if it does not say or cannot be right. Formats
    whose clock may jump anywhere (``restarts``: MPEG, Ogg) find it in their last timestamps only.
    """

    end_seconds: float | None = None
    restarts: bool = False


class _Line:
    """How far one stream has come: ``end_seconds`` on the clock, where its next packet is expected."""

    def __init__(self, shift_seconds: float, stream: Any) -> None:
        self.shift_seconds = shift_seconds
        self.pace = Pace(stream)
        self.is_sound = isinstance(stream, AudioStream)
        self.end_seconds: float | None = None
        self._last_seconds = math.nan
        self._step_seconds = 0.0

    def jump(self, raw_seconds: float, shift_seconds: float) -> float:
        """How far a packet is ahead of the expected time under this shift."""
        return 0.0 if self.end_seconds is None else raw_seconds + shift_seconds - self.end_seconds

    def advance(self, raw_seconds: float, duration_seconds: float) -> None:
        """Take a packet; one without a duration lasts as long as the step before it."""
        seconds = raw_seconds + self.shift_seconds
        step_seconds = seconds - self._last_seconds
        if 0 < step_seconds <= PAUSE_SECONDS:
            self._step_seconds = step_seconds
        self.pace.step(step_seconds)
        self._last_seconds = seconds
        lasts = duration_seconds if 0 < duration_seconds <= PAUSE_SECONDS else self._step_seconds
        self.end_seconds = max(seconds + lasts, seconds if self.end_seconds is None else self.end_seconds)


class SharedClock:
    """Stamps packets in file order. Packets wait here only while a jump is being judged.

    Each stream starts unshifted. A packet that jumps back by more than 1 s, or ahead by more than 10 s
    where no other stream has come that far, is looked at together with the next packets:

    - If its stream then continues as before, this one timestamp is damaged.
    - If it jumps ahead and the container says that it is that long, it is a pause.
    - Otherwise the clock has restarted: all streams that jump with it are shifted by one amount, the least
      with which none of them overlaps what it gave before. So the stream that had ended last goes
      on without a gap, the others pause, and picture and sound stay together.

    A stream whose times cannot be true at all (longer than ``most_seconds``, or at another pace than its
    own frames or the sound beside it) is named in ``refused``, by its index.

    Args:
        statement: what the container says of its length.
        most_seconds: how long a stream may be.
        start_seconds: where on the clock the first packet goes; None leaves it at its own time.
    """

    def __init__(
        self, statement: Statement, *, most_seconds: float = math.inf, start_seconds: float | None = None
    ) -> None:
        self._statement = statement
        self._most_seconds = most_seconds
        self._start_seconds = start_seconds
        self._first_shift: float | None = None
        self._first_seconds = 0.0
        self._newest_shift = 0.0
        self._lines: dict[int, _Line] = {}
        self._units: dict[int, tuple[int, int]] = {}
        self._damaged: Packet | None = None
        self._interleaving = Interleaving()
        self.restarts = 0
        self.refused: dict[int, str] = {}

    @property
    def end_seconds(self) -> float | None:
        """Where the last of all streams ends so far."""
        return max(
            (line.end_seconds for line in self._lines.values() if line.end_seconds is not None), default=None
        )

    @property
    def short_of_statement_seconds(self) -> float:
        """How much of the stated length has not come; 0 where nothing is stated or the clock restarted."""
        end_seconds, stated_seconds = self.end_seconds, self._stated_end_seconds
        if stated_seconds is None or self._statement.restarts or self.restarts:
            return 0.0
        return math.inf if end_seconds is None else stated_seconds - end_seconds

    def _raw_seconds(self, packet: Packet) -> float | None:
        """The packet's time of decoding in the file, else of presentation; None if it has neither."""
        ticks = packet.dts
        if ticks is None:
            ticks = packet.pts
        return None if ticks is None else self._seconds(packet, ticks)

    def _seconds(self, packet: Packet, ticks: int) -> float:
        unit = self._units.get(packet.stream_index)
        if unit is None:  # asked once: every look at a packet's time base makes a Fraction
            base = packet.time_base or Fraction(0)
            unit = self._units[packet.stream_index] = (base.numerator, base.denominator)
        return ticks * unit[0] / unit[1]

    @property
    def _stated_end_seconds(self) -> float | None:
        stated = self._statement.end_seconds
        return None if stated is None else stated + (self._first_shift or 0.0)

    @property
    def latest_seconds(self) -> float:
        """Until when a last picture may be believed to last."""
        ends = [self.end_seconds, self._stated_end_seconds]
        return max((end for end in ends if end is not None), default=0.0) + PAUSE_SECONDS

    def stamp(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """The same packets in the same order, each with a :class:`Stamp` as ``opaque``."""
        coming = iter(packets)
        ahead: deque[Packet] = deque()
        while True:
            packet = ahead.popleft() if ahead else next(coming, None)
            if packet is None:
                return
            if not self._fits(packet):
                self._read_ahead(packet, ahead, coming)
                self._judge(packet, ahead)
            yield self._stamped(packet)

    def _stamped(self, packet: Packet) -> Packet:
        line, raw = self._line(packet), self._raw_seconds(packet)
        shift: float | None = line.shift_seconds
        if self._damaged is packet or self._far_apart(packet):
            shift = None
        elif raw is not None:
            line.advance(raw, self._seconds(packet, packet.duration or 0))
            if packet.pos is not None and not self.restarts:
                beside = self._interleaving.hear if line.is_sound else self._interleaving.see
                beside(packet.pos, raw + line.shift_seconds - self._first_seconds)
            self._refuse(packet.stream_index, line)
        self._damaged = None
        packet.opaque = Stamp(shift)
        return packet

    def _far_apart(self, packet: Packet) -> bool:
        """Whether a picture is to be shown long before it is decoded, or after the end of the file.

        One that comes after a long still may be decoded long before it is shown.
        """
        pts, dts = packet.pts, packet.dts
        if pts is None or dts is None:
            return False
        apart_seconds = self._seconds(packet, pts - dts)
        if abs(apart_seconds) <= PAUSE_SECONDS:
            return False
        stated_seconds = self._stated_end_seconds
        shown_seconds = self._seconds(packet, pts) + self._line(packet).shift_seconds
        return apart_seconds < 0 or stated_seconds is None or shown_seconds > stated_seconds + PAUSE_SECONDS

    def _refuse(self, index: int, line: _Line) -> None:
        assert line.end_seconds is not None
        if line.end_seconds - self._first_seconds > self._most_seconds:
            self.refused[index] = (
                f"its timestamps span {line.end_seconds - self._first_seconds:.0f} s, but a file of its size "
                f"lasts at most {self._most_seconds:.0f} s: they are damaged, remux the file"
            )
        elif reason := line.pace.refusal or (None if line.is_sound else self._interleaving.refusal):
            self.refused[index] = reason

    def _line(self, packet: Packet) -> _Line:
        line = self._lines.get(packet.stream_index)
        if line is None:
            raw = self._raw_seconds(packet)
            if self._first_shift is None and raw is not None:
                self._first_shift = 0.0 if self._start_seconds is None else self._start_seconds - raw
                self._newest_shift = self._first_shift
                self._first_seconds = raw + self._first_shift
            line = self._lines[packet.stream_index] = _Line(self._newest_shift, packet.stream)
        return line

    def _fits(self, packet: Packet) -> bool:
        """Whether the packet follows its stream's last one without a doubt."""
        raw = self._raw_seconds(packet)
        return raw is None or self._continues(packet.stream_index, self._line(packet), raw)

    def _continues(self, index: int, line: _Line, raw: float, shift_seconds: float | None = None) -> bool:
        """Whether there is at most a pause that another stream confirms; a first packet is in doubt."""
        shift = line.shift_seconds if shift_seconds is None else shift_seconds
        if line.end_seconds is None:
            return False
        jump = line.jump(raw, shift)
        if jump <= PAUSE_SECONDS:
            return jump >= -BACK_SECONDS
        others = (other.end_seconds for i, other in self._lines.items() if i != index)
        return any(end is not None and raw + shift <= end + PAUSE_SECONDS for end in others)

    def _read_ahead(self, packet: Packet, ahead: deque[Packet], coming: Iterator[Packet]) -> None:
        """Add packets to come, until the stream of this one has gone on for 3 s."""
        start = self._raw_seconds(packet)
        assert start is not None
        size = examined = 0
        while len(ahead) < AHEAD_PACKETS and size < AHEAD_BYTES:
            if examined == len(ahead):
                other = next(coming, None)
                if other is None:
                    return
                ahead.append(other)
            other = ahead[examined]
            examined += 1
            size += other.size
            raw = self._raw_seconds(other)
            if other.stream_index == packet.stream_index and raw is not None and raw > start + AHEAD_SECONDS:
                return

    def _judge(self, packet: Packet, ahead: Iterable[Packet]) -> None:
        """Damage, a pause, or a restart, which shifts the packet's stream."""
        raw, line = self._raw_seconds(packet), self._line(packet)
        assert raw is not None
        mates = [
            seconds
            for p in ahead
            if p.stream_index == packet.stream_index and (seconds := self._raw_seconds(p)) is not None
        ]
        if _is_damaged(
            raw, mates[:NEXT], None if line.end_seconds is None else line.end_seconds - line.shift_seconds
        ):
            self._damaged = packet
        elif line.end_seconds is None or self._stated(
            raw + line.shift_seconds, line.jump(raw, line.shift_seconds)
        ):
            return
        elif self._continues(packet.stream_index, line, raw, self._newest_shift):
            line.shift_seconds = self._newest_shift
        else:
            self._restart(packet, ahead)

    def _stated(self, target_seconds: float, jump_seconds: float) -> bool:
        """Whether the container itself is long enough for such a pause."""
        if jump_seconds < 0:
            return False
        stated_seconds = self._stated_end_seconds
        alone = stated_seconds is None or self._statement.restarts
        if alone and jump_seconds > LONGEST_PAUSE_SECONDS:
            return False
        return stated_seconds is None or target_seconds <= stated_seconds + PAUSE_SECONDS

    def _restart(self, packet: Packet, ahead: Iterable[Packet]) -> None:
        """Shift all streams that jump with this one so that none overlaps its own past."""
        jumping = {packet.stream_index: packet}
        for other in ahead:
            index = other.stream_index
            if index not in jumping and index in self._lines and not self._fits(other):
                jumping[index] = other
        shifts = []
        for index, first in jumping.items():
            end_seconds, raw = self._lines[index].end_seconds, self._raw_seconds(first)
            if end_seconds is not None and raw is not None:
                shifts.append(end_seconds - raw)
        self._newest_shift = max(shifts)
        self._lines[packet.stream_index].shift_seconds = self._newest_shift
        self.restarts += 1


def _is_damaged(raw: float, mates: list[float], expected: float | None) -> bool:
    """Whether the packets after this one go on as if it were not there.

    ``expected`` is the time at which its stream should go on; without one, at the start, the next
    packets have to agree with each other and not with this one.
    """
    if expected is not None:
        return any(-BACK_SECONDS / 4 <= mate - expected <= PAUSE_SECONDS / 2 for mate in mates)
    together = len(mates) > 1 and all(abs(mate - mates[0]) <= PAUSE_SECONDS for mate in mates)
    return together and abs(mates[0] - raw) > PAUSE_SECONDS
