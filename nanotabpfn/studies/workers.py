"""Where the jobs of a study run: the processes, their threads and their device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workers:
    """The processes that run the jobs of a study; by default this process alone.

    >>> Workers(num_workers=2).device
    'cpu'
    """

    backend: str = "loky"
    """Which engine runs them: loky, dask or ray (see `run_tasks`)."""
    num_workers: int = 1
    """Processes on this machine."""
    scheduler: str | None = None
    """Address of a running cluster of dask or ray."""
    num_threads: int = 1
    """Of each worker. Another number changes the last digits of the scores."""
    device: str = "cpu"
    """Where models are trained and scored: cpu, cuda, mps, or auto for the best that a worker has. Another
    device changes the last digits of the scores, so a study should keep to one."""
