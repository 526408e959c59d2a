"""One seam for cutting measurements over workers: `run_shards`, on this machine or on a Ray cluster.

A shard is a pure function of its inputs, so it does not matter where, when or how often it runs: what a dead worker
left undone is done again by the next one, and the results are the same for any number of workers.
"""

from probes.workers.pool import run_shards
from probes.workers.worker import EngineSettings

__all__ = ["EngineSettings", "run_shards"]
