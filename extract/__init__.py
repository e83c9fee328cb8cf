"""One video in, features out.

``extract.video(path, experts=[...])`` gives a dict of Arrow tables; ``python -m extract`` is the
command line for whole folders.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from extract.api import video as video

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": ["video"],
    },
)
