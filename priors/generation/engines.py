"""Where tasks run: in this process, in more of them on this machine, or on a cluster."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm


class EngineError(Exception):
    """An engine that is not available; the message names it and the remedy."""


class WorkerLostError(Exception):
    """A process of the engine ended in the middle of its task: killed, or out of memory."""


def run_tasks(
    function: Callable,
    tasks: Iterable[tuple],
    backend: str = "loky",
    num_workers: int = 1,
    scheduler: str | None = None,
) -> Iterator[Any]:
    """Yield ``function(*task)`` for each of `tasks`, as they finish: in any order.

    A task should take a second or more: starting one costs about a millisecond (docs/scaling.md). If a task
    raises an error, or the caller closes the generator, tasks that have not begun are dropped.

    Args:
        function: what each worker calls; it must be importable there.
        tasks: arguments, one tuple per task.
        backend: a key of BACKENDS.
        num_workers: processes on this machine; 1 with loky computes in this one. A running cluster uses all
            of its workers.
        scheduler: address of a running cluster of dask or ray; by default one is started on this machine.

    Raises:
        ValueError: an unknown backend, fewer than one worker, or a scheduler where loky has none.
        EngineError: a package is missing, or the scheduler or its workers do not answer.
        WorkerLostError: a worker was killed.

    Examples:
        >>> sorted(run_tasks(pow, [(2, 3), (3, 2)]))
        [8, 9]
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")
    if backend == "loky" and scheduler is not None:
        raise ValueError(f"the backend loky has no scheduler, got {scheduler!r}; dask and ray have")
    # Closed with this generator: tasks that have not begun are dropped, workers and connections are closed.
    with closing(BACKENDS[backend](function, tasks, num_workers, scheduler)) as results:
        yield from results


def _loky(function: Callable, tasks: Iterable[tuple], num_workers: int, _: None) -> Iterator[Any]:
    # One task at a time: otherwise joblib makes batches of short tasks, and the progress comes in batches.
    # Between two tasks loky replaces workers whose memory has grown. It warns, but nothing is lost.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    # Nor is anything lost, or to be done about it, where the caller stops.
    warnings.filterwarnings("ignore", r"\d+ tasks which were still being processed", UserWarning)
    parallel = joblib.Parallel(num_workers, backend="loky", return_as="generator_unordered", batch_size=1)
    call = function if num_workers == 1 else in_folder_of_caller(function)
    try:
        with closing(parallel(joblib.delayed(call)(*task) for task in tasks)) as results:
            yield from results
    except BrokenProcessPool as error:  # its message is joblib's advice on segmentation faults
        raise WorkerLostError("a worker process was killed, or ran out of memory") from error


def in_folder_of_caller(function: Callable) -> Callable:
    """The function, to be called in other processes as if it were called here and now.

    loky keeps its processes for later calls, in which the current folder and Python's path may have changed:
    relative paths, and families of the user's own, are those of the main process.

    Examples:
        >>> in_folder_of_caller(abs).func.__name__
        '_in_worker'
    """
    return partial(_in_worker, function, os.getcwd(), tuple(sys.path))


def _in_worker(function: Callable, folder: str, python_path: tuple[str, ...], *task: Any) -> Any:
    """A task in a process of its own, in the folder and with Python's path of the main process.

    Ctrl-C reaches every process of a terminal; this one leaves it to the main process, which ends its
    workers. Progress bars get a lock of this process alone: Python would report their usual one, of all
    processes, as leaked when the worker is ended.
    """
    os.chdir(folder)
    sys.path[:] = python_path
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())
    return function(*task)


def _dask(
    function: Callable, tasks: Iterable[tuple], num_workers: int, scheduler: str | None
) -> Iterator[Any]:
    # Not through joblib: its dask backend (1.6) waits forever if a task is lost with its workers, or if they
    # cannot import it, and takes three times as long to start a task.
    try:
        import distributed
    except ImportError as error:
        raise EngineError(
            "the backend dask needs the package distributed: pip install 'nanotabpfn-priors[distributed]'"
        ) from error
    where: dict[str, Any] = {"address": scheduler, "timeout": 10}
    if scheduler is None:
        where = {"n_workers": num_workers, "threads_per_worker": 1, "dashboard_address": None}
    try:
        client = distributed.Client(**where)
    except (OSError, ValueError) as error:
        raise EngineError(f"there is no dask scheduler at {scheduler}: {_first_line(error)}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=10)
        except TimeoutError as error:
            raise EngineError(f"the dask scheduler at {scheduler} has no workers") from error
        try:
            client.run(callable, function)  # by each worker
            client.submit(callable, function).result()  # by the scheduler
        except Exception as error:  # dask raises plain exceptions for what fails on its machines
            raise EngineError(
                f"the dask cluster cannot import {function.__module__}: it needs the packages that are here"
            ) from error
        futures = client.map(function, *zip(*tasks, strict=True), pure=False)
        try:
            for future in distributed.as_completed(futures):
                yield future.result()
        except distributed.KilledWorker as error:  # dask has tried other workers by then
            raise WorkerLostError(
                f"a dask worker was killed, or ran out of memory: {_first_line(error)}"
            ) from error
        except distributed.CancelledError as error:
            raise WorkerLostError(f"the dask scheduler was lost: {_first_line(error)}") from error


def _ray(
    function: Callable, tasks: Iterable[tuple], num_workers: int, scheduler: str | None
) -> Iterator[Any]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise EngineError(
            "the backend ray needs the package ray: pip install 'nanotabpfn-priors[ray]'"
        ) from error
    where = {"address": scheduler} if scheduler else {"num_cpus": num_workers, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, **where)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise EngineError(f"ray cannot be reached at {scheduler}: {_first_line(error)}") from error
    try:
        register_ray()
        # Its joblib backend has no generators: all results come at the end.
        parallel = joblib.Parallel(-1 if scheduler else num_workers, backend="ray", batch_size=1)
        yield from parallel(joblib.delayed(function)(*task) for task in tasks)
    except ray.exceptions.RayError as error:
        raise WorkerLostError(_first_line(error)) from error
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


BACKENDS = {"loky": _loky, "dask": _dask, "ray": _ray}
"""The engines by name: processes of this machine, a dask cluster, a ray cluster."""
