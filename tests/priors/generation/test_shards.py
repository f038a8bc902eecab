"""Shards: a run that was stopped goes on to the same dump, one writer at a time, and an index of shards."""

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
import numpy as np
import pytest
from click.testing import CliRunner

from priors.cli.main import main
from priors.config import ConfigError, PriorConfig
from priors.dumps.dump import MAX_INDEXED_SHARDS, DumpError, content_hash, join_shards, open_dump
from priors.generation.generate import generate_dump, write_shard
from priors.generation.shards import Plan, default_shard_size, shard_path, shards_folder

TINY = PriorConfig(
    num_datapoints=12, num_features=(2, 3), num_nodes=(4, 5), train_fraction=(0.4, 0.6), block_size=2
)
COUNT, SEED, SIZE = 21, 3, 4
SETTINGS = ["--set", "num_datapoints=12", "--set", "num_features=[2, 3]", "--set", "num_nodes=[4, 5]"]
SETTINGS += ["--set", "train_fraction=[0.4, 0.6]"]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def make(path, **changes):
    arguments = {"config": TINY, "num_datasets": COUNT, "seed": SEED, "shard_size": SIZE, "overwrite": False}
    return generate_dump(path, **(arguments | changes))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The content hash of the dump that all of these tests make."""
    return make(tmp_path_factory.mktemp("undisturbed") / "dump.h5", shard_size=64)


def stop_after(path, num_shards, **changes):
    """Make a part of the dump `path`."""

    def stop(_):
        nonlocal num_shards
        num_shards -= 1
        if not num_shards:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(path, on_shard=stop, **changes)


# --------------------------------------------------------------------------------------- one file or many


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("shard_size", [2, 6, 20, 22, None])
def test_the_dump_does_not_depend_on_how_it_is_cut(tmp_path, undisturbed, shard_size, num_workers):
    path = tmp_path / "dump.h5"
    finished = []
    made = make(path, shard_size=shard_size, num_workers=num_workers, on_shard=finished.append)
    assert made == undisturbed == content_hash(path)
    assert sum(finished) == COUNT
    assert list(tmp_path.iterdir()) == [path]


def test_a_joined_dump_is_stored_like_one_that_was_never_cut(tmp_path):
    make(tmp_path / "whole.h5", shard_size=64)
    make(tmp_path / "joined.h5")
    with open_dump(tmp_path / "whole.h5") as whole, open_dump(tmp_path / "joined.h5") as joined:
        assert joined.arrays.keys() == whole.arrays.keys()
        for name, array in whole.arrays.items():
            other = joined.arrays[name]
            assert (other.chunks, other.dtype, other.compression, other.shuffle, other.fletcher32) == (
                (array.chunks, array.dtype, array.compression, array.shuffle, array.fletcher32)
            )
        assert joined.attributes | {"created": 0} == whole.attributes | {"created": 0}


def test_an_index_of_shards_opens_as_one_dump(tmp_path, undisturbed):
    path = tmp_path / "index.h5"
    assert make(path, keep_shards=True) == undisturbed == content_hash(path)
    assert sorted(file.name for file in shards_folder(path).iterdir()) == [
        f"shard-{number:06}.h5" for number in range(6)
    ]
    make(tmp_path / "whole.h5")
    records = [20, 3, 4, 3]
    with open_dump(path) as index, open_dump(tmp_path / "whole.h5") as whole:
        for mine, theirs in zip(index.read_records(records), whole.read_records(records), strict=True):
            assert (mine == theirs).all()
        assert index.attributes["first_dataset"] == 0
    for number, first in enumerate(range(0, COUNT, SIZE)):
        with open_dump(shard_path(shards_folder(path), number)) as shard:
            assert shard.attributes["first_dataset"] == first
    # By a reader that knows nothing of shards, through a link and from another folder.
    (tmp_path / "link.h5").symlink_to(path)
    with h5py.File(path) as plain, h5py.File(tmp_path / "whole.h5") as whole:
        assert (plain["X"][3:9] == whole["X"][3:9]).all()
    with open_dump(tmp_path / "link.h5") as index:
        assert len(index) == COUNT


def test_an_index_can_be_replaced_by_one_file_and_back(tmp_path, undisturbed):
    path = tmp_path / "dump.h5"
    for keep_shards in (True, False, True):
        assert make(path, keep_shards=keep_shards, overwrite=True) == undisturbed == content_hash(path)
        assert shards_folder(path).exists() == keep_shards


def test_too_many_shards_for_an_index_are_refused_before_the_work(tmp_path):
    message = f"at most {MAX_INDEXED_SHARDS} shards for an index of them, got 2, which makes 513"
    with pytest.raises(ConfigError, match=message):
        make(
            tmp_path / "dump.h5",
            num_datasets=2 * MAX_INDEXED_SHARDS + 1,
            shard_size=2,
            keep_shards=True,
            on_shard=lambda _: pytest.fail("work was done"),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("num_datasets", "shard_size"),
    [(1, 1024), (10**5, 1024), (300_000, 1184), (10**7, 39_072), (10**9, 65_536)],
)
def test_default_shards_are_whole_blocks_of_seconds_to_minutes(num_datasets, shard_size):
    assert default_shard_size(num_datasets, 32) == shard_size


@pytest.mark.parametrize("shard_size", [-2, 0, 3])
def test_shards_of_broken_blocks_are_refused(tmp_path, shard_size):
    with pytest.raises(ConfigError, match=f"shard_size must be a multiple of block_size=2, got {shard_size}"):
        make(tmp_path / "dump.h5", shard_size=shard_size)


def test_shards_of_two_dumps_are_not_joined(tmp_path):
    plans = [Plan(TINY, 8, seed, 4) for seed in (0, 1)]
    for number, plan in enumerate(plans):
        write_shard(plan, number, tmp_path / f"{number}.h5")
    write_shard(plans[0], 1, tmp_path / "1 of the first.h5")
    first, other, second = (tmp_path / name for name in ("0.h5", "1.h5", "1 of the first.h5"))
    for shards in ([first, other], [second, first], [first, first], [first, second, second]):
        with pytest.raises(DumpError, match="does not continue"):
            join_shards(tmp_path / "out.h5", shards, 8)
    with pytest.raises(DumpError, match="must hold 8 datasets, got 4"):
        join_shards(tmp_path / "out.h5", [first], 8)
    assert not (tmp_path / "out.h5").exists()


# -------------------------------------------------------------------------------- an index is not trusted


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.h5"
    make(path, keep_shards=True)
    return path


def point_elsewhere(path, sources, shape=(COUNT, 12, 3)):
    """Replace X of the index: sources are (file name, key, first record, number of records)."""
    layout = h5py.VirtualLayout(shape, np.float32)
    for name, key, first, count in sources:
        layout[first : first + count] = h5py.VirtualSource(name, key, (count, *shape[1:]))
    with h5py.File(path, "r+") as file:
        del file["X"]
        file.create_virtual_dataset("X", layout, fillvalue=np.nan)


def shards(folder="index.h5.shards", key="X", numbers=range(6)):
    return [
        (f"{folder}/shard-{number:06}.h5", key, place * SIZE, min(SIZE, COUNT - number * SIZE))
        for place, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    "sources",
    [
        shards("../index.h5.shards"),
        shards("./index.h5.shards"),
        shards("index.h5.shards/../index.h5.shards"),
        shards("index.h5.shards/"),
        shards("other.h5.shards"),
        shards(key="y"),
        shards(key="/X"),
        shards(numbers=[0, 1, 2, 3, 4]),
        shards(numbers=[1, 0, 2, 3, 4, 5])[1:],
        [("secret.h5", "X", 0, COUNT)],
        [("index.h5.shards/secret.h5", "X", 0, COUNT)],
        [("index.h5.shards/shard-000000.h5", "X", 0, COUNT)],
        [(".", "X", 0, COUNT)],
    ],
    ids=lambda sources: f"{sources[0][0]}:{sources[0][1]}x{len(sources)}",
)
def test_an_index_that_leads_elsewhere_is_refused(index, sources):
    for folder in (index.parent, shards_folder(index)):
        with h5py.File(folder / "secret.h5", "w") as file:
            file["X"] = np.full((COUNT, 12, 3), 7, np.float32)
    shutil.copytree(shards_folder(index), index.with_name("other.h5.shards"))
    point_elsewhere(index, sources)
    with pytest.raises(DumpError, match=r"index\.h5: "):
        open_dump(index)


def test_an_absolute_name_is_refused(index):
    point_elsewhere(index, shards(str(shards_folder(index))))
    with pytest.raises(DumpError, match="stored in other files"):
        open_dump(index)


def test_an_untouched_copy_of_the_sources_is_accepted(index, undisturbed):
    point_elsewhere(index, shards())
    assert content_hash(index) == undisturbed


def test_links_in_the_place_of_shards_are_refused(index):
    shard, folder = shard_path(shards_folder(index), 2), shards_folder(index)
    aside = index.with_name("aside.h5")
    shard.rename(aside)
    shard.symlink_to(aside)
    with pytest.raises(DumpError, match="is not a regular file"):
        open_dump(index)
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(DumpError, match="is not a regular file"):
        open_dump(index)
    shard.unlink()
    aside.rename(shard)
    folder.rename(index.with_name("aside"))
    folder.symlink_to(index.with_name("aside"))
    with pytest.raises(DumpError, match="there is no folder"):
        open_dump(index)


@pytest.mark.parametrize("kind", ["external link", "virtual", "external storage"])
def test_a_shard_that_leads_on_is_refused(index, tmp_path, kind):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["X"] = np.full((SIZE, 12, 3), 7, np.float32)
    with h5py.File(shard_path(shards_folder(index), 2), "r+") as file:
        del file["X"]
        if kind == "external link":
            file["X"] = h5py.ExternalLink(str(secret), "/X")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((SIZE, 12, 3), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "X", (SIZE, 12, 3))
            file.create_virtual_dataset("X", layout)
        else:
            file.create_dataset("X", (SIZE, 12, 3), np.float32, external=[(str(secret), 0, SIZE * 144)])
    with pytest.raises(DumpError, match=r"shard-000002\.h5: X is "):
        open_dump(index)


def test_only_x_and_y_of_an_index_may_lie_in_shards(index):
    layout = h5py.VirtualLayout((COUNT,), np.int32)
    with h5py.File(index, "r+") as file:
        del file["num_features"]
        file.create_virtual_dataset("num_features", layout)
    with pytest.raises(DumpError, match="num_features is stored in other files"):
        open_dump(index)


def test_a_missing_shard_is_named_and_one_that_goes_later_is_no_data(index):
    with open_dump(index) as opened:
        shard_path(shards_folder(index), 2).unlink()
        with pytest.raises(DumpError, match=r"X: record 8: its shard cannot be opened any more"):
            opened.read(6, 12)
    with pytest.raises(DumpError, match=r"shard-000002\.h5 is not there"):
        open_dump(index)


def test_an_index_under_another_name_is_refused(index):
    moved = index.rename(index.with_name("moved.h5"))
    with pytest.raises(DumpError, match=r"there is no folder moved\.h5\.shards beside it"):
        open_dump(moved)


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
    for text in ("", "[]", '{"plan": 1}', '{"plan": {}, "replaces": false}'):
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
        assert errors.strip().splitlines()[-1].endswith("the same command goes on where it was")
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
        patches.setattr("priors.dumps.dump.shutil.disk_usage", full)
        with pytest.raises(DumpError, match="the disk is full"):
            make(path)
    assert not path.exists()
    assert len(list(shards_folder(path).glob("*.h5"))) == 6
    assert make(path) == undisturbed
