"""Pages over a store: the corpus, and each video with everything that was found in it on one time axis."""

from typing import Literal

Media = Literal["link", "copy", "none"]  # how a page reaches its film
