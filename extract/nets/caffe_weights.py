"""The weights in a .caffemodel: just enough of protobuf's wire format, bounded by the file's size.

A .caffemodel is a ``NetParameter`` of github.com/BVLC/caffe, src/caffe/proto/caffe.proto. Of it
these fields are read, everything else is skipped by its wire type:

    NetParameter    layer = 100 (layers = 2 until 2014, refused)
    LayerParameter  name = 1, blobs = 7
    BlobProto       data = 5 (packed float32), shape = 7
    BlobShape       dim = 1 (packed)

Nothing is executed, every length is checked against the message that it lies in, and arrays are
views of the input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from extract.errors import WeightsError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_VARINT_BYTES = 10
MOST_LAYERS = 10_000
MOST_BLOBS = 16  # of one layer
MOST_DIMENSIONS = 32  # of one blob, Caffe's own limit

Blobs = list[NDArray[np.float32]]


def layer_blobs(data: memoryview) -> dict[str, Blobs]:
    """The blobs of every layer that has any, by the layer's name: float32 in the file's shapes.

    ``data`` is the whole file as bytes; the arrays are read-only views of it.

    Raises:
        WeightsError: it is not a .caffemodel, breaks off, is of the layout until 2014, has a layer twice,
            or a blob whose shape and number of values disagree.
    """
    layers: dict[str, Blobs] = {}
    for number, message in _messages(data):
        if number == 2:
            raise WeightsError(
                "a .caffemodel in the layout used until 2014: upgrade it with Caffe's "
                "upgrade_net_proto_binary"
            )
        if number != 100:
            continue
        name, blobs = _layer(message)
        if name in layers or len(layers) >= MOST_LAYERS:
            raise WeightsError(
                f"a damaged .caffemodel: layer {name!r} occurs twice, or there are too many layers"
            )
        if blobs:
            layers[name] = blobs
    if not layers:
        raise WeightsError("not a .caffemodel: it holds no layer with weights")
    return layers


def _layer(data: memoryview) -> tuple[str, Blobs]:
    name, blobs = "", Blobs()
    for number, message in _messages(data):
        if number == 1:
            name = bytes(message).decode("utf-8", "backslashreplace")
        elif number == 7:
            blobs.append(_blob(message))
            if len(blobs) > MOST_BLOBS:
                raise WeightsError(f"a damaged .caffemodel: layer {name!r} has more than {MOST_BLOBS} blobs")
    return name, blobs


def _blob(data: memoryview) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.zeros(0, np.float32)
    shape: tuple[int, ...] = ()
    for number, message in _messages(data):
        if number == 5 and len(message) % 4 == 0:
            values = np.frombuffer(message, "<f4")
        elif number == 7:
            shape = tuple(_dimensions(message))
    if math.prod(shape) != values.size:
        raise WeightsError(
            f"a damaged .caffemodel: a blob of shape {shape} cannot have {values.size:,} values"
        )
    return values.reshape(shape)


def _dimensions(data: memoryview) -> Iterator[int]:
    for number, message in _messages(data):
        if number != 1:
            continue
        if len(message) > MOST_DIMENSIONS:
            raise WeightsError(f"a damaged .caffemodel: a blob's shape takes {len(message):,} bytes")
        at = 0
        while at < len(message):
            dimension, at = _varint(message, at)
            yield dimension


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field that has a length; numbers and single floats are passed over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, at = _varint(data, at)
            continue
        if kind == BYTES:
            length, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise WeightsError(f"not a .caffemodel, or a damaged one: field {number} is of wire type {kind}")
        if length > len(data) - at:
            raise WeightsError(
                f"not a .caffemodel, or a truncated one: field {number} is {length:,} bytes long, "
                f"{len(data) - at:,} are left"
            )
        if kind == BYTES:
            yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that starts there, and where the next thing starts."""
    value = 0
    for place, byte in enumerate(data[at : at + MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise WeightsError("not a .caffemodel, or a truncated one: a number has no end")
