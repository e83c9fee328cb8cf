"""The docs site: `make docs`. Its source folder is the repository: pages link to each other as on GitHub."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Marquee"
copyright = "Marquee's contributors, Apache-2.0"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated_pages",
]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "*.md", "tests/media.md", "tests/parity/README.md"]
exclude_patterns = [".*", "build", "shared", "extract", "pipeline", "train"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "Marquee"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_root"]  # sends from the site's root to its first page
html_copy_source = False
html_show_sphinx = False
