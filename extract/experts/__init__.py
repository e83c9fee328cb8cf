"""One file for each expert; the file's name is the expert's name.

Folders named in the environment variable ``MARQUEE_EXPERTS`` hold further experts, so that one can
be added without touching this package.
"""

import os

__path__ += [folder for folder in os.environ.get("MARQUEE_EXPERTS", "").split(os.pathsep) if folder]
