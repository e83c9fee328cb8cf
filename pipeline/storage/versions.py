"""Which versions of packages are installed: this one and others."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from extract.errors import DISTRIBUTION


def installed(names: Iterable[str]) -> dict[str, str]:
    """The version of each package that is there."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def marquee_version() -> str:
    """That of this package."""
    return installed([DISTRIBUTION]).get(DISTRIBUTION, "not installed")
