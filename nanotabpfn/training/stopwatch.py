"""What a training spends its time on: updates, waiting for batches, and everything else."""

from time import perf_counter


class Stopwatch:
    """Adds up seconds by name, over all processes that resume one training.

    Args:
        times: of the training so far, from its state; none for a new one.

    Attributes:
        times: `train_time` (updates), `wait_time` (waiting for batches) and `wall_time` (everything from the
            start of the training, without the time between a stop and a resume). Up to the last lap.

    Examples:
        >>> watch = Stopwatch({"train_time": 8.0, "wait_time": 1.0, "wall_time": 10.0})
        >>> watch.lap("train_time")
        >>> watch.times["train_time"] > 8, watch.times["wait_time"], watch.times["wall_time"] > 10
        (True, 1.0, True)
    """

    def __init__(self, times: dict[str, float] | None = None):
        self.times = {"train_time": 0.0, "wait_time": 0.0, "wall_time": 0.0} | (times or {})
        self._last = perf_counter()
        self._began = self._last - self.times["wall_time"]

    def lap(self, name: str | None = None) -> None:
        """Add the seconds since the last lap to `name`; without a name, to the wall time alone."""
        now = perf_counter()
        if name is not None:
            self.times[name] += now - self._last
        self.times["wall_time"] = now - self._began
        self._last = now
