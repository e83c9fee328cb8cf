"""One video in, features out.

``extract.video(path, experts=[...])`` gives a dict of Arrow tables; ``python -m extract`` is the
command line for whole folders.
"""

from extract.api import video

__all__ = ["video"]
