"""A headless Chromium, for pages that are measured or tested."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NEEDED = "needs a Chromium: apt-get install chromium, or python -m playwright install chromium"


def launched(running: Any) -> Any | None:
    """Playwright's own browser, or the system's; None where there is none."""
    own = Path(running.chromium.executable_path).exists()
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if not own and path is None:
        return None
    return running.chromium.launch(executable_path=None if own else path)
