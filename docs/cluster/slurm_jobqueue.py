"""Run `python -m extract` on SLURM with workers that dask-jobqueue submits. docs/cluster.md explains it.

On a login node, or in a job of its own:

    pip install dask-jobqueue
    python -m extract cluster-certificates ~/.marquee-cluster      # once
    python slurm_jobqueue.py --videos /data/trailers --out /data/features

What is given to it is the command line of `python -m extract`. The scheduler lives in this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dask_jobqueue import SLURMCluster

from pipeline.work.certificates import read_certificates

WORKERS = 16
# What keeps everybody else out, in a folder that all nodes see.
CERTIFICATES = Path(os.environ.get("MARQUEE_CERTIFICATES") or Path.home() / ".marquee-cluster").absolute()


def cluster() -> SLURMCluster:
    """A job for each worker: one process, two threads for two shards, one GPU, eight cores for decoding."""
    return SLURMCluster(
        processes=1,
        cores=2,  # threads of the Dask worker ...
        job_cpu=8,  # ... and cores of the job
        memory="48GB",
        walltime="12:00:00",
        job_extra_directives=["--gres=gpu:1", "--requeue"],  # and what your site needs: partition, account
        job_script_prologue=["export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"],
        worker_extra_args=["--memory-limit", "0"],  # after dask-jobqueue's own, so this one counts
        local_directory="/tmp",
        log_directory="marquee-workers",
        security=read_certificates(CERTIFICATES),
        scheduler_options={"dashboard_address": "127.0.0.1:8787"},
        # interface="ib0",  # where nodes have several networks
    )


def main() -> int:
    with cluster() as workers:
        command = ["-m", "extract", *sys.argv[1:], "--scheduler", workers.scheduler_address]
        driver = subprocess.Popen([sys.executable, *command, "--certificates", str(CERTIFICATES)])
        while True:
            workers.scale(jobs=WORKERS)  # said again, it replaces jobs that SLURM has ended
            try:
                return driver.wait(timeout=60)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:  # meant for the driver, which has it too
                continue


if __name__ == "__main__":
    sys.exit(main())
