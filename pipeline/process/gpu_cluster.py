"""A Dask worker for each GPU of this machine, each of which sees that one alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from distributed import LocalCluster


class GpuCluster(LocalCluster):
    """A LocalCluster whose workers are named by their GPUs.

    Args:
        gpus: what CUDA_VISIBLE_DEVICES calls them.
        environment: of every worker.
        settings: of the LocalCluster.
    """

    def __init__(self, gpus: Sequence[str], environment: Mapping[str, str], **settings: Any) -> None:
        self._gpus, self._environment = gpus, environment
        cluster: Any = super()  # Dask has no types
        cluster.__init__(n_workers=0, **settings)
        cluster.scale(len(gpus))
        cluster.sync(self._correct_state)

    def new_worker_spec(self) -> dict[str, dict[str, Any]]:
        """The next worker's, by its name; called for each that is started."""
        gpu = next(gpu for gpu in self._gpus if gpu not in self.worker_spec)
        spec = copy.deepcopy(self.new_spec)
        spec["options"]["env"] = {**self._environment, "CUDA_VISIBLE_DEVICES": gpu}
        return {gpu: spec}
