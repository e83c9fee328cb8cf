"""Names of the recipes; naming one loads no FFmpeg."""

from __future__ import annotations

from typing import Literal

RecipeName = Literal["paper", "code"]
