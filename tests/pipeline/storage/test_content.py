from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.content import BLOCK_BYTES, BLOCKS, content_digest

SIZES = [0, 1, BLOCK_BYTES, BLOCKS * BLOCK_BYTES, BLOCKS * BLOCK_BYTES + 1, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_equal_files_are_equal_and_the_size_counts(tmp_path: Path, size: int) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"x" * size)
    other.write_bytes(b"x" * size)
    digest = content_digest(one, size)
    assert digest is not None and len(digest) == 32
    assert digest == content_digest(other, size)
    other.write_bytes(b"x" * (size + 1))
    assert digest != content_digest(other, size + 1)


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_other_content_of_the_same_size_is_seen(tmp_path: Path, where: float) -> None:
    size = 3_000_000
    path = tmp_path / "film"
    path.write_bytes(b"x" * size)
    before = content_digest(path, size)
    changed = bytearray(b"x" * size)
    first = round(where * (size - 400_000))
    changed[first : first + 400_000] = b"y" * 400_000
    path.write_bytes(changed)
    assert content_digest(path, size) != before


def test_every_byte_of_a_small_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    digests = set()
    for changed in range(0, 200_000, 20_000):
        content = bytearray(200_000)
        content[changed] = 1
        path.write_bytes(content)
        digests.add(content_digest(path, 200_000))
    assert len(digests) == 10


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    assert content_digest(tmp_path / "gone", 3) is None


def test_an_object_has_the_digest_of_the_file(tmp_path: Path, bucket: Any) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "film").write_bytes(content)
    (bucket / "film").write_bytes(content)
    digest = content_digest(bucket / "film", len(content))
    assert digest is not None and digest == content_digest(tmp_path / "film", len(content))
    assert content_digest(bucket / "gone", 3) is None
