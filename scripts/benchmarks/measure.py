"""What one process costs, and how a list of measurements is shown."""

import os
import shlex
import subprocess
import time

import click
import numpy as np


def run_measured(command: list[str]) -> tuple[float, float, float]:
    """Run `command`: seconds, CPU-seconds of all its processes, and peak bytes of the largest of them.

    On Linux the peak is at least the memory of the calling process, from which the new one starts: call it
    from a small process.

    Raises:
        ClickException: the command failed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{shlex.join(command)} failed")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def spread(values: np.ndarray) -> str:
    """Median [quartiles], to three digits."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"
