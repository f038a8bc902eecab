"""A run that was stopped or killed is resumed to the same dump; one writer at a time; full disks."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner
from sharded_runs import COUNT, SEED, SETTINGS, SIZE, TINY, make, stop_after

from priors.cli.main import main
from priors.dumps.hash import content_hash
from priors.dumps.schema import DumpError
from priors.generation.generate import write_shard
from priors.generation.shards import Plan, shard_path, shards_folder

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The content hash of the dump that all of these tests make."""
    return make(tmp_path_factory.mktemp("undisturbed") / "dump.h5", shard_size=64)


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.h5"
    make(path, keep_shards=True)
    return path


# ------------------------------------------------------------------------------------------------- resume


def test_finished_shards_are_kept(tmp_path, undisturbed):
    path = tmp_path / "dump.h5"
    stop_after(path, 3)
    kept = {file: file.stat().st_ino for file in shards_folder(path).glob("shard-*")}
    assert len(kept) == 3
    for number, resume in enumerate([{"num_workers": 2}, {"overwrite": True}, {"keep_shards": True}]):
        copy = tmp_path / str(number) / "dump.h5"
        shutil.copytree(shards_folder(path), shards_folder(copy))
        before = {file: file.stat().st_ino for file in shards_folder(copy).glob("shard-*")}
        assert make(copy, **({"keep_shards": True} | resume)) == undisturbed == content_hash(copy)
        assert all(file.stat().st_ino == inode for file, inode in before.items())


@pytest.mark.parametrize("damage", ["cut", "flipped", "swapped", "of another seed", "empty", "text"])
def test_shards_that_are_not_whole_are_made_again(tmp_path, undisturbed, damage):
    path = tmp_path / "dump.h5"
    stop_after(path, 3)
    folder = shards_folder(path)
    first, second = shard_path(folder, 0), shard_path(folder, 1)
    content = bytearray(first.read_bytes())
    if damage == "cut":
        first.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        with h5py.File(first) as file:
            at = file["X"].id.get_chunk_info(0).byte_offset
        content[at + 5] ^= 1
        first.write_bytes(content)
    elif damage == "swapped":
        shutil.copy(second, first)
    elif damage == "of another seed":
        first.unlink()
        write_shard(Plan(TINY, COUNT, SEED + 1, SIZE), 0, first)
    elif damage == "empty":
        first.write_bytes(b"")
    else:
        first.write_text("not HDF5")
    assert make(path) == undisturbed == content_hash(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 4}, "seed=3 (now 4)"),
        ({"num_datasets": 22}, "num_datasets=21 (now 22)"),
        ({"shard_size": 6}, "shard_size=4 (now 6)"),
        ({"config": replace(TINY, num_nodes=(4, 6))}, "num_nodes=[4, 5] (now [4, 6])"),
    ],
)
def test_another_run_is_refused_and_overwrite_starts_afresh(tmp_path, changes, words):
    path = tmp_path / "dump.h5"
    stop_after(path, 2)
    before = sorted(shards_folder(path).iterdir())
    with pytest.raises(DumpError) as raised:
        make(path, **changes)
    assert str(raised.value) == (
        f"{shards_folder(path)} holds an unfinished run with {words}; --overwrite starts afresh"
    )
    assert sorted(shards_folder(path).iterdir()) == before
    expected = make(tmp_path / "expected.h5", **changes)
    assert make(path, overwrite=True, **changes) == expected == content_hash(path)


def test_another_version_does_not_go_on(tmp_path, monkeypatch):
    path = tmp_path / "dump.h5"
    stop_after(path, 2)
    monkeypatch.setattr("priors.generation.shards.generator_name", lambda: "nanotabpfn-priors 99")
    with pytest.raises(DumpError, match=r'generator="nanotabpfn-priors .*" \(now "nanotabpfn-priors 99"\)'):
        make(path)


def test_a_plan_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "dump.h5"
    for text in ("", "[]", "[" * 50_000, '{"plan": 1}', '{"plan": {}, "replaces": false}'):
        stop_after(path, 2, overwrite=True)
        (shards_folder(path) / "plan.json").write_text(text)
        with pytest.raises(DumpError, match="--overwrite starts afresh"):
            make(path)


def test_what_killed_writers_left_is_removed_and_files_of_others_are_kept(tmp_path, undisturbed):
    path = tmp_path / "dump.h5"
    stop_after(path, 2)
    folder = shards_folder(path)
    for name in (".shard-000003.h5.host.1.partial", ".joined.h5.host.1.partial", "joined.h5"):
        (folder / name).write_text("half")
    (folder / "notes.txt").write_text("mine")
    assert make(path) == undisturbed
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_an_older_dump_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "dump.h5"
    older = make(path, seed=9)
    stop_after(path, 3, overwrite=True)
    assert content_hash(path) == older
    with pytest.raises(DumpError, match=r"dump\.h5 exists; --overwrite replaces it"):
        make(path)
    assert make(path, overwrite=True) == content_hash(path) != older


def test_shards_of_a_finished_dump_are_not_taken_for_others(index):
    index.unlink()
    with pytest.raises(DumpError, match=r"holds the shards of a finished dump; --overwrite starts afresh"):
        make(index)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "dump.h5.shards").write_text("a file")
    with pytest.raises(DumpError, match=r"dump\.h5: cannot be written: .*shards: File exists"):
        make(tmp_path / "dump.h5")


# -------------------------------------------------------------------------------------------------- kills


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_generation_goes_on_from_40_random_kill_points(tmp_path, undisturbed):
    """SIGKILL before lines of code drawn at random, of the planning, the writing and the tidying up."""
    script = Path(__file__).with_name("killed_runs.py")
    result = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path, "40"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    runs = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(runs) == 40
    assert len({kill for run in runs for kill in run["kills"]}) >= 40
    for run in runs:
        assert run["kills"]
        assert run["hash"] == undisturbed
        left = ["killed.h5", *(f"killed.h5.shards/shard-{number:06}.h5" for number in range(6))]
        left.insert(1, "killed.h5.shards")
        assert run["left"] == (left if run["shards"] else left[:1])


def test_a_run_that_was_killed_before_it_had_a_plan_is_resumed(tmp_path, undisturbed):
    path = tmp_path / "dump.h5"
    shards_folder(path).mkdir()
    for name in ("lock", ".plan.json.partial"):
        (shards_folder(path) / name).touch()
    assert make(path) == undisturbed
    assert [file.name for file in tmp_path.iterdir()] == ["dump.h5"]


def test_the_folder_of_a_run_killed_while_it_tidied_up_goes_with_the_next_run(tmp_path):
    path = tmp_path / "dump.h5"
    make(path)
    shards_folder(path).mkdir()
    (shards_folder(path) / "lock").touch()
    with pytest.raises(DumpError, match=r"dump.h5 exists; --overwrite replaces it"):
        make(path)
    assert [file.name for file in tmp_path.iterdir()] == ["dump.h5"]


def start(path):
    """`priors generate` with two workers, as a process group of its own, once it has made some shards."""
    command = [sys.executable, "-m", "priors", "generate", path, "--num-datasets", "4800"]
    command += ["--shard-size", "32", "--workers", "2", *SETTINGS]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    seen = len(list(shards_folder(path).glob("shard-*")))
    wait_for(lambda: len(list(shards_folder(path).glob("shard-*"))) > seen + 2 or process.poll() is not None)
    return process


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.01)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(process):
    """The ids of its loky workers: those of its descendants that were started as such."""
    found, pending = [], [process.pid]
    while pending:
        pending += children(pid := pending.pop())
        if b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.append(pid)
    return found


@pytest.fixture
def interruptible():
    """Processes that are started obey SIGINT, also where the tests run under nohup or a script's `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@on_linux
@pytest.mark.usefixtures("interruptible")
def test_two_workers_killed_stopped_and_interrupted_end_in_the_undisturbed_dump(tmp_path):
    path, rng = tmp_path / "dump.h5", random.Random(0)

    process = start(path)  # the whole run, as the machine's end would do it
    time.sleep(rng.uniform(0, 0.2))
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()

    process = start(path)  # the command alone, and then the workers that it leaves
    orphans = workers_of(process)
    assert len(orphans) == 2
    process.kill()
    process.wait()
    for pid in orphans:  # they would end by themselves, after some minutes without work
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()

    for stop in (
        lambda process: process.terminate(),
        lambda process: os.killpg(process.pid, signal.SIGINT),
        lambda process: os.kill(workers_of(process)[0], signal.SIGKILL),
    ):
        process = start(path)
        stop(process)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 1, errors
        assert output == ""
        assert errors.strip().splitlines()[-1].endswith("the same command resumes it")
        assert errors.strip().splitlines()[-1].startswith("Error: ")
        assert "Traceback" not in errors
        assert not path.exists()
        assert not list(shards_folder(path).glob("joined*"))

    arguments = ["--num-datasets", "4800", "--shard-size", "32", *SETTINGS]
    assert CliRunner().invoke(main, ["generate", str(path), *arguments]).exit_code == 0
    assert CliRunner().invoke(main, ["generate", str(tmp_path / "other.h5"), *arguments]).exit_code == 0
    assert content_hash(path) == content_hash(tmp_path / "other.h5")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dump.h5", "other.h5"]


# ------------------------------------------------------------------------------ one writer, and full disks


def test_a_second_writer_is_refused_and_damages_nothing(tmp_path, undisturbed):
    path = tmp_path / "dump.h5"
    refused = []

    def intrude(_):
        arguments = ["--num-datasets", str(COUNT), *SETTINGS, "--overwrite"]
        command = [sys.executable, "-m", "priors", "generate", path, *arguments]
        if not refused:
            refused.append(subprocess.run(command, capture_output=True, text=True, check=False))
            with pytest.raises(DumpError, match="another process is writing it"):
                make(path)

    assert make(path, on_shard=intrude) == undisturbed == content_hash(path)
    assert refused[0].returncode == 2
    assert refused[0].stderr.strip() == f"Error: {path}: another process is writing it"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder]
    if (
        os.name != "posix"
        or os.geteuid()
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("may not mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing_under_the_name(small_disk):
    path = small_disk / "dump.h5"
    arguments = ["generate", str(path), "--num-datasets", "6000", "--shard-size", "512"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert "cannot be written: the disk is full" in line
    assert not path.exists()
    assert not list(small_disk.rglob("*.partial"))


def test_a_disk_that_fills_up_in_the_end_loses_no_shard(tmp_path, monkeypatch, undisturbed):
    path = tmp_path / "dump.h5"
    with monkeypatch.context() as patches:
        usage = shutil.disk_usage(tmp_path)
        full = lambda folder: usage._replace(free=0) if list(Path(folder).glob(".joined*")) else usage  # noqa: E731
        patches.setattr("priors.dumps.files.shutil.disk_usage", full)
        with pytest.raises(DumpError, match="the disk is full"):
            make(path)
    assert not path.exists()
    assert len(list(shards_folder(path).glob("*.h5"))) == 6
    assert make(path) == undisturbed
