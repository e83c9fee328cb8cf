"""What notebooks show: a store with a picture of itself."""

from __future__ import annotations

import os
from html import escape

from extract.errors import count
from pipeline.storage.location import Location, location
from pipeline.store import layout
from pipeline.store.layout import open_store
from pipeline.store.status import status


class Store(layout.Store):
    """``pipeline.Store("features")``: an existing store, shown in notebooks as a table of its experts.

    Goes wherever a store does, as in ``pipeline.read(store, "scenes")``. Raises StoreError for none.

    Args:
        root: the store's folder; a path, or a URL of object storage.

    Example:
        >>> import pipeline
        >>> store = pipeline.Store("features")
        >>> store.tables()
        ['lowlevel', 'lowlevel_video', 'scenes']
    """

    def __init__(self, root: str | os.PathLike[str] | Location) -> None:
        super().__init__(open_store(location(root, "a store")).root)

    def _repr_html_(self) -> str:
        found = status(self)
        columns = ("ok", "absent", "failed", "missing", "rows")
        head = "".join(f"<th>{name}</th>" for name in ("expert", *columns, "MB"))
        body = "".join(
            "<tr>"
            + f"<td>{escape(e.expert)}</td>"
            + "".join(f"<td>{getattr(e, name):,}</td>" for name in columns)
            + f"<td>{e.bytes / 1e6:,.1f}</td></tr>"
            for e in found.experts
        )
        names = escape(", ".join(found.random))
        random = f"<p><b>RANDOM WEIGHTS: the features of {names} are meaningless.</b></p>" if names else ""
        state = "complete" if found.complete else "not complete"
        title = f"{escape(str(self.root))}: {count(found.videos, 'video')}, {state}"
        return f"<p>{title}</p>{random}<table><tr>{head}</tr>{body}</table>"
