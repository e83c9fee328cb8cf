"""Many videos: plan, run and resume, the Parquet store.

``pipeline.run(videos, out, preset="offline")`` does what the command line does;
``pipeline.read(out, table)`` reads a table of a store, ``pipeline.Store(out)`` shows one in a notebook.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from pipeline.api import run as run
    from pipeline.notebook import Store as Store
    from pipeline.store.reading import dataset as dataset
    from pipeline.store.reading import read as read
    from pipeline.work.config import Cluster as Cluster
    from pipeline.work.config import RunConfig as RunConfig
    from pipeline.work.progress import RunProgress as RunProgress
    from pipeline.work.run import RunReport as RunReport
    from pipeline.work.run import run_config as run_config

# Loaded when they are used: whoever reads a store needs no engine and no cluster.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": ["run"],
        "notebook": ["Store"],
        "store.reading": ["dataset", "read"],
        "work.config": ["Cluster", "RunConfig"],
        "work.progress": ["RunProgress"],
        "work.run": ["RunReport", "run_config"],
    },
)
