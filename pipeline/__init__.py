"""Many videos: plan, run and resume, the Parquet store.

``pipeline.run(videos, out, preset="offline")`` does what the command line does;
``pipeline.read(out, table)`` reads a table of a store.
"""

from pipeline.api import run
from pipeline.config import Cluster, RunConfig
from pipeline.progress import RunProgress
from pipeline.reading import dataset, read
from pipeline.run import RunReport, run_config

__all__ = ["Cluster", "RunConfig", "RunProgress", "RunReport", "dataset", "read", "run", "run_config"]
