"""Many videos: plan, run and resume, the Parquet store.

``pipeline.run(pipeline.RunConfig(...))`` does what the command line does; ``pipeline.read(out,
table)`` reads a table of a store.
"""

from pipeline.reading import dataset, read
from pipeline.run import RunConfig, RunProgress, RunReport, run

__all__ = ["RunConfig", "RunProgress", "RunReport", "dataset", "read", "run"]
