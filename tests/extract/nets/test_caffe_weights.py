"""The reader of .caffemodel files against Google's protobuf, and against damage of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extract.errors import WeightsError
from extract.nets.caffe_weights import layer_blobs


@pytest.fixture(scope="module")
def net_parameter() -> Any:
    """Caffe's message with the fields that matter here, and one of each other wire type."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")

    def message(name: str, *fields: tuple[str, int, int, bool, str]) -> None:
        made = file.message_type.add(name=name)
        for label, number, kind, repeated, of in fields:
            each = made.field.add(name=label, number=number, type=kind, type_name=of or None)
            each.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if repeated and not of and kind != kinds.TYPE_STRING:
                each.options.packed = True

    message("BlobShape", ("dim", 1, kinds.TYPE_INT64, True, ""))
    message(
        "BlobProto",
        ("data", 5, kinds.TYPE_FLOAT, True, ""),
        ("diff", 6, kinds.TYPE_FLOAT, True, ""),
        ("shape", 7, kinds.TYPE_MESSAGE, False, ".caffe.BlobShape"),
    )
    message(
        "LayerParameter",
        ("name", 1, kinds.TYPE_STRING, False, ""),
        ("type", 2, kinds.TYPE_STRING, False, ""),
        ("blobs", 7, kinds.TYPE_MESSAGE, True, ".caffe.BlobProto"),
        ("phase", 10, kinds.TYPE_INT32, False, ""),
        ("a_float", 900, kinds.TYPE_FLOAT, False, ""),
        ("a_double", 901, kinds.TYPE_DOUBLE, False, ""),
    )
    message(
        "NetParameter",
        ("name", 1, kinds.TYPE_STRING, False, ""),
        ("layer", 100, kinds.TYPE_MESSAGE, True, ".caffe.LayerParameter"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape, np.float32)


LAYERS = {
    "conv1": [drawn(64, 3, 7, 7)],
    "bn_conv1": [drawn(64), drawn(64), drawn(1)],
    "fc": [drawn(5, 300), drawn(5)],
}


def test_what_protobuf_writes_is_read(net_parameter: Any) -> None:
    net = net_parameter(name="a network")
    for name, blobs in LAYERS.items():
        layer = net.layer.add(name=name, type="Anything", phase=-1, a_float=1.5, a_double=2.5)
        for values in blobs:
            blob = layer.blobs.add(data=values.reshape(-1).tolist(), diff=[1.0, 2.0])
            blob.shape.dim.extend(values.shape)
    net.layer.add(name="relu", type="ReLU")  # no blobs: left out
    found = layer_blobs(memoryview(net.SerializeToString()))
    assert list(found) == list(LAYERS)
    for name, blobs in LAYERS.items():
        for mine, values in zip(found[name], blobs, strict=True):
            np.testing.assert_array_equal(mine, values)
            assert mine.dtype == np.float32 and not mine.flags.writeable


def test_what_the_tests_write_is_what_protobuf_reads(net_parameter: Any, caffemodel: Any) -> None:
    net = net_parameter.FromString(caffemodel(LAYERS))
    assert [layer.name for layer in net.layer] == list(LAYERS)
    for layer in net.layer:
        for blob, values in zip(layer.blobs, LAYERS[layer.name], strict=True):
            assert list(blob.shape.dim) == list(values.shape)
            np.testing.assert_array_equal(np.float32(blob.data), values.reshape(-1))


def test_a_file_that_breaks_off_anywhere_is_refused(caffemodel: Any) -> None:
    whole = caffemodel({"conv1": [drawn(2, 3)], "bn": [drawn(4)]})
    second = whole.index(b"\xa2\x06", whole.index(b"conv1"))  # the tag of the second layer
    for length in range(len(whole)):
        if length != second:  # there the file is whole, with one layer
            with pytest.raises(WeightsError, match="caffemodel"):
                layer_blobs(memoryview(whole[:length]))


def test_a_byte_that_was_changed_is_an_error_or_another_value_but_nothing_else(caffemodel: Any) -> None:
    whole = caffemodel({"conv1": [drawn(2, 3)], "bn": [drawn(4)]})
    refused = 0
    for place in range(len(whole)):
        for change in (0x01, 0x07, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= change
            try:
                blobs = layer_blobs(memoryview(bytes(damaged)))
            except WeightsError:
                refused += 1
            else:
                assert sum(values.nbytes for each in blobs.values() for values in each) <= len(whole)
    assert refused > len(whole)  # a quarter of all changes and more; the rest are values and names


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no layer with weights"),
        (b"\x0a\x03abc", "holds no layer with weights"),
        (b"\x12\x02\x08\x01", "layout used until 2014"),
        (b"\xa3\x06", "field 100 is of wire type 3"),
        (
            b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            r"18,446,744,073,709,551,615 bytes long, 0 are left",
        ),
        (b"\xff" * 11, "a number has no end"),
        (b"\x80", "a number has no end"),
    ],
)
def test_what_is_no_caffemodel_is_said(data: bytes, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        layer_blobs(memoryview(data))


def test_bounds(caffemodel: Any) -> None:
    def refused(data: bytes, said: str) -> None:
        with pytest.raises(WeightsError, match=said):
            layer_blobs(memoryview(data))

    one = caffemodel({"conv1": [drawn(2, 3)]})
    refused(one.replace(b"\x0a\x02\x02\x03", b"\x0a\x02\x02\x04"), r"shape \(2, 4\) cannot have 6 values")
    refused(one + one, "'conv1' occurs twice")
    refused(caffemodel({"conv1": [drawn(1)] * 17}), "more than 16 blobs")
    refused(caffemodel({"conv1": [drawn(*[1] * 33)]}), "shape takes 33 bytes")
