"""Engines: every task is done once, and what an engine lacks is said in one line."""

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from priors.config import PriorConfig
from priors.generation.engines import EngineError, WorkerLostError, run_tasks
from priors.generation.generate import generate_dump

TINY = PriorConfig(
    num_datapoints=12, num_features=(2, 3), num_nodes=(4, 5), train_fraction=(0.4, 0.6), block_size=2
)


def folder_and_path(_):
    return os.getcwd(), tuple(sys.path)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_every_task_is_done_once(num_workers):
    results = run_tasks(divmod, [(n, 7) for n in range(50)], "loky", num_workers)
    assert sorted(results) == sorted(divmod(n, 7) for n in range(50))


def test_one_worker_computes_in_this_process():
    assert list(run_tasks(os.getpid, [()])) == [os.getpid()]


def test_results_come_as_they_are_there_and_the_rest_is_dropped():
    done = []
    results = run_tasks(done.append, [(n,) for n in range(1000)])
    next(results)
    results.close()
    assert 1 <= len(done) < 1000


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_exception_of_a_task_comes_through(num_workers):
    with pytest.raises(ZeroDivisionError):
        list(run_tasks(divmod, [(1, 1), (1, 0), (1, 2)], "loky", num_workers))


def test_workers_that_are_kept_follow_to_another_folder_and_path(tmp_path, monkeypatch):
    tasks = [(number,) for number in range(4)]
    assert set(run_tasks(folder_and_path, tasks, num_workers=2)) == {(os.getcwd(), tuple(sys.path))}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert set(run_tasks(folder_and_path, tasks, num_workers=2)) == {(str(tmp_path), tuple(sys.path))}


def test_a_killed_worker_is_told_as_such():
    with pytest.raises(WorkerLostError, match="worker process was killed"):
        list(run_tasks(signal.raise_signal, [(signal.SIGKILL,)] * 2, "loky", 2))


@pytest.mark.parametrize(
    ("backend", "num_workers", "scheduler", "message"),
    [
        ("spark", 1, None, "backend must be one of loky, dask, ray, got 'spark'"),
        ("loky", 0, None, "num_workers must be at least 1, got 0"),
        ("loky", 1, "tcp://127.0.0.1:1", "loky has no scheduler"),
    ],
)
def test_bad_arguments_are_refused(backend, num_workers, scheduler, message):
    with pytest.raises(ValueError, match=message):
        list(run_tasks(abs, [(1,)], backend, num_workers, scheduler))


@pytest.mark.parametrize(
    ("backend", "package", "extra"), [("dask", "distributed", "distributed"), ("ray", "ray", "ray")]
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch, backend, package, extra):
    monkeypatch.setitem(sys.modules, package, None)  # `import` then fails
    with pytest.raises(EngineError, match=rf"pip install 'nanotabpfn-priors\[{extra}\]'"):
        list(run_tasks(abs, [(1,)], backend))


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """A scheduler and two worker processes on the loopback interface: (address, processes)."""
    pytest.importorskip("distributed")
    note = tmp_path_factory.mktemp("dask") / "scheduler.json"
    common = ["--scheduler-file", str(note), "--no-dashboard"]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0", *common]]
    commands += [["worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", *common]] * 2
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=note.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},  # where `slow_pid` is
        )
        for command in commands
    ]
    import distributed

    with distributed.Client(scheduler_file=str(note), timeout=30) as client:
        client.wait_for_workers(2, timeout=30)
        address = client.scheduler.address
    yield address, processes
    for process in processes:
        process.kill()
        process.wait()


def test_dask_makes_the_same_dump_to_the_bit(dask_cluster, tmp_path):
    address, _ = dask_cluster
    serial = generate_dump(tmp_path / "serial.h5", TINY, 61, seed=4)
    settings = {"backend": "dask", "scheduler": address, "shard_size": 4}
    assert generate_dump(tmp_path / "dask.h5", TINY, 61, seed=4, **settings) == serial
    assert generate_dump(tmp_path / "index.h5", TINY, 61, seed=4, **settings, keep_shards=True) == serial


def test_both_workers_of_a_dask_cluster_work(dask_cluster):
    address, processes = dask_cluster
    pids = list(run_tasks(slow_pid, [(n,) for n in range(20)], "dask", scheduler=address))
    assert set(pids) == {process.pid for process in processes[1:]}


def test_a_dask_scheduler_that_does_not_answer():
    pytest.importorskip("distributed")
    with pytest.raises(EngineError, match=r"no dask scheduler at tcp://127\.0\.0\.1:1"):
        list(run_tasks(abs, [(1,)], "dask", scheduler="tcp://127.0.0.1:1"))


def test_a_dask_cluster_without_our_packages(dask_cluster, monkeypatch):
    def here_alone():
        pass

    here_alone.__module__, here_alone.__qualname__ = "here_alone", "here_alone"
    module = types.ModuleType("here_alone")
    module.here_alone = here_alone
    monkeypatch.setitem(sys.modules, "here_alone", module)
    with pytest.raises(EngineError, match="cannot import here_alone"):
        list(run_tasks(here_alone, [()], "dask", scheduler=dask_cluster[0]))


def test_a_killed_dask_worker_costs_nothing_while_another_is_there(dask_cluster, tmp_path):
    """The last test of the cluster: it loses a worker, and then its scheduler."""
    address, (scheduler, _, worker) = dask_cluster
    serial = generate_dump(tmp_path / "serial.h5", TINY, 61, seed=4)
    settings = {"backend": "dask", "scheduler": address, "shard_size": 2}
    made = generate_dump(tmp_path / "dask.h5", TINY, 61, seed=4, **settings, on_shard=lambda _: worker.kill())
    assert made == serial
    with pytest.raises(WorkerLostError, match="scheduler was lost"):
        generate_dump(tmp_path / "lost.h5", TINY, 61, seed=4, **settings, on_shard=lambda _: scheduler.kill())
    assert generate_dump(tmp_path / "lost.h5", TINY, 61, seed=4, shard_size=2) == serial


def test_ray_makes_the_same_dump_to_the_bit(tmp_path):
    pytest.importorskip("ray")
    serial = generate_dump(tmp_path / "serial.h5", TINY, 21, seed=4)
    assert generate_dump(tmp_path / "ray.h5", TINY, 21, seed=4, backend="ray", shard_size=4) == serial


def slow_pid(_):
    time.sleep(0.02)
    return os.getpid()


def test_ctrl_c_is_left_to_the_main_process():
    """In a terminal it reaches the workers too, which would print tracebacks."""
    tasks = [(signal.SIGINT,)] * 2
    assert set(run_tasks(signal.getsignal, tasks, num_workers=2)) == {signal.SIG_IGN}
    before = signal.getsignal(signal.SIGINT)
    assert set(run_tasks(signal.getsignal, tasks)) == {before}
    assert signal.getsignal(signal.SIGINT) == before
