"""The peak of a process's memory, for tests that start one to measure it."""

import inspect


def peak_bytes():
    """The peak of this process since it began.

    On Linux not by `getrusage`: its figure begins with the memory of the process that started this one, which
    may be a worker of the tests, of any size.
    """
    import resource
    import sys
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


SOURCE = inspect.getsource(peak_bytes)
"""For the code of a process that cannot import this module."""
