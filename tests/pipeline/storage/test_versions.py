"""What is said of installed packages."""

from __future__ import annotations

import numpy as np

from pipeline.storage.versions import installed, marquee_version


def test_only_packages_that_are_there_have_a_version() -> None:
    assert installed(["numpy", "no-such-package"]) == {"numpy": np.__version__}
    assert marquee_version()[0].isdigit()
