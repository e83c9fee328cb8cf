"""Whether a file is all there, by what its own structure says: sizes, counts, last pieces.

A file that was cut still plays up to the cut, and no decoder says a word. Each container has its own way
of telling how much there should be; where it tells nothing, nothing is known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from extract.media.ogg import read_pages

UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # what writers put where they cannot go back
PACK_END, PACK_START = 0xB9, 0xBA  # start codes of a program stream; all of its packets' are above
TS_PACKETS = (188, 192, 204)  # bytes: plain, with a time code (M2TS), with error correction


def shortfall(file: BinaryIO, size_bytes: int, container: str) -> str | None:
    """What of the file is missing, in a few words; None if nothing that can be known.

    ``container`` is FFmpeg's name of the demuxer, which may be several joined by commas.
    """
    for name in container.split(","):
        check = _CHECKS.get(name)
        if check is not None:
            return check(file, size_bytes)
    return None


class Mp3Frames:
    """Counts MP3 frames and sees whether the last one is whole.

    Frames with the same header are equally long, give or take the byte of padding that it names.
    """

    PADDING = 0x02  # bit of the third byte

    def __init__(self) -> None:
        self.count = 0
        self.last_is_cut = False
        self._lengths: dict[tuple[int, int], int] = {}

    def push(self, data: bytes) -> None:
        if len(data) < 3:
            return
        kind = data[1], data[2] & ~self.PADDING
        self.count += 1
        self.last_is_cut = len(data) + 1 < self._lengths.get(kind, 0)
        self._lengths[kind] = max(len(data), self._lengths.get(kind, 0))


def mp3_frames(file: BinaryIO) -> int | None:
    """How many frames an MP3 should have by its Xing, Info or VBRI header; None if it has none.

    The header lies in the first frame, after an ID3v2 tag; flag 1 says that the count is there.
    """
    file.seek(0)
    start = file.read(10)
    skip = 0
    if start[:3] == b"ID3" and len(start) == 10:
        skip = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True)
        )
    file.seek(skip)
    data = file.read(4096)
    for name in (b"Xing", b"Info"):
        at = data.find(name, 0, 256)
        if at >= 0 and len(data) >= at + 12 and data[at + 7] & 1:
            return int.from_bytes(data[at + 8 : at + 12], "big") or None
    at = data.find(b"VBRI", 0, 256)
    return int.from_bytes(data[at + 14 : at + 18], "big") or None if at >= 0 else None


def _beyond(end: int, size_bytes: int) -> str | None:
    return f"{end - size_bytes} of {end} bytes are missing" if end > size_bytes else None


def _riff(file: BinaryIO, size_bytes: int) -> str | None:
    """AVI and WAV: chunks of a name and 4 bytes of size. Longer AVIs are several RIFFs."""
    at, end = 0, size_bytes
    while at + 8 <= size_bytes:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name not in (b"RIFF", b"RIFX") or length in UNKNOWN_SIZES:
            break
        end = at + 8 + length
        at = end + length % 2
    return _beyond(end, size_bytes)


def _aiff(file: BinaryIO, size_bytes: int) -> str | None:
    file.seek(0)
    name, length = struct.unpack(">4sI", file.read(8).ljust(8, b"\0"))
    return None if name != b"FORM" or length in UNKNOWN_SIZES else _beyond(8 + length, size_bytes)


def _au(file: BinaryIO, size_bytes: int) -> str | None:
    file.seek(0)
    name, offset, length = struct.unpack(">4sII", file.read(12).ljust(12, b"\0"))
    return None if name != b".snd" or length in UNKNOWN_SIZES else _beyond(offset + length, size_bytes)


def _boxes(file: BinaryIO, size_bytes: int) -> str | None:
    """MP4 and MOV: boxes of 4 bytes of size and a name; size 1 says that 8 more bytes follow, 0 the rest."""
    at = 0
    while at < size_bytes:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:
            return None
        if length < 8 or len(header) < 8:
            return "there are other bytes between its boxes"
        at += length
    return _beyond(at, size_bytes)


def _asf(file: BinaryIO, size_bytes: int) -> str | None:
    """WMV, WMA: the file properties object says the size of the file, unless it was broadcast."""
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    if at < 0 or len(head) < at + 92:
        return None
    stated, flags = int.from_bytes(head[at + 40 : at + 48], "little"), head[at + 88]
    return None if flags & 1 or stated in UNKNOWN_SIZES else _beyond(stated, size_bytes)


def _transport_stream(file: BinaryIO, size_bytes: int) -> str | None:
    """Whole packets only, each with its sync byte; what is cut inside one is known."""
    file.seek(0)
    head = file.read(5 * max(TS_PACKETS))
    for length in TS_PACKETS:
        for first in range(min(length, len(head))):
            if all(head[at : at + 1] in (b"G", b"") for at in range(first, len(head), length)):
                return (
                    "its last packet is cut"
                    if (size_bytes - max(0, first - (length == 192) * 4)) % length
                    else None
                )
    return None


def _program_stream(file: BinaryIO, size_bytes: int) -> str | None:
    """MPEG: pack headers (ISO 13818-1 2.5.3.3; MPEG-1's are two bytes shorter), packets with a length."""
    at = 0
    while at + 6 <= size_bytes:
        file.seek(at)
        head = file.read(14)
        if head[:3] != b"\0\0\1" or head[3] < PACK_END:
            return None  # damage or padding, which the demuxer skips
        if head[3] == PACK_END:
            return None
        if head[3] != PACK_START:
            at += 6 + int.from_bytes(head[4:6], "big")
        elif head[4] >> 6 == 1:
            at += 14 + (head[13] & 7 if len(head) == 14 else 0)
        else:
            at += 12
    return "it ends in the middle of a packet" if at != size_bytes else None


def _adts(file: BinaryIO, size_bytes: int) -> str | None:
    """Bare AAC: frames of which each says its length in 13 bits from bit 30 on (ISO 13818-7 6.2); tags."""
    at = 0
    while at + 7 <= size_bytes:
        file.seek(at)
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            at += 10 + sum(size << 7 * place for place, size in enumerate(reversed(head[6:10])))
        elif head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
            length = int.from_bytes(head[3:6], "big") >> 5 & 0x1FFF
            if length < 7:
                return None  # damage, which the demuxer skips
            at += length
        else:
            return None  # damage, or tags at the end
    return "it ends in the middle of a frame" if at != size_bytes else None


def _ogg(file: BinaryIO, size_bytes: int) -> str | None:
    return read_pages(file, size_bytes).lost


def _matroska(file: BinaryIO, size_bytes: int) -> str | None:
    """MKV, WebM: elements of a name and a size, walked down to the blocks of each cluster."""
    walk = _Ebml(file, size_bytes)
    for _ in walk.elements(0, size_bytes):
        pass
    return walk.lost


class _Ebml:
    """RFC 8794 and 9559: a number starts with as many zero bits as it has further bytes."""

    SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
    ENTERED = (SEGMENT, CLUSTER)
    LEVEL_1 = (CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367)
    IN_CLUSTER = (0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0x5854, 0xAF)
    ANYWHERE = (0x1A45DFA3, SEGMENT, 0xEC, 0xBF, *LEVEL_1, *IN_CLUSTER)

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file, self._size_bytes = file, size_bytes
        self.lost: str | None = None

    def elements(self, start: int, stop: int) -> Iterator[int]:
        """The names of the elements, depth first; stops at the first thing that is none."""
        at = start
        while at < stop and self.lost is None:
            self._file.seek(at)
            header = self._file.read(12)
            name, name_bytes = self._number(header, keep_marker=True)
            length, length_bytes = self._number(header[name_bytes:], keep_marker=False)
            if name not in self.ANYWHERE or not length_bytes:
                self.lost = f"byte {at} is not an element"
                return
            yield name
            at += name_bytes + length_bytes
            unknown = length == (1 << 7 * length_bytes) - 1
            if not unknown and at + length > self._size_bytes:
                self.lost = _beyond(at + length, self._size_bytes)
            elif name not in self.ENTERED:
                at += length

    @staticmethod
    def _number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
        """A number and how many bytes it takes; 0 bytes if it is none."""
        length = 9 - data[0].bit_length() if data and data[0] else 0
        if not length or len(data) < length:
            return 0, 0
        value = int.from_bytes(data[:length], "big")
        return (value if keep_marker else value & ((1 << 7 * length) - 1)), length


_CHECKS: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "avi": _riff,
    "wav": _riff,
    "aiff": _aiff,
    "au": _au,
    "mov": _boxes,
    "asf": _asf,
    "mpegts": _transport_stream,
    "mpeg": _program_stream,
    "aac": _adts,
    "ogg": _ogg,
    "matroska": _matroska,
}
