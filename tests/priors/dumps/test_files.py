"""Output files: what killed processes left is removed, and a full disk is one line."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from priors.dumps.files import replaced_when_done
from priors.dumps.formats.convert import convert
from priors.dumps.merge import merge_dumps
from priors.dumps.schema import DumpError
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import split_dump

MAKE = {
    "merge": lambda dump, folder: merge_dumps([dump, dump], folder / "out.h5"),
    "shuffle": lambda dump, folder: shuffle_dump(dump, folder / "out.h5", 0),
    "split": lambda dump, folder: split_dump(dump, folder, [32, 32]),
    "published": lambda dump, folder: convert(dump, folder / "out.h5", "published"),
    "npz": lambda dump, folder: convert(dump, folder / "out.npz"),
    "parquet": lambda dump, folder: convert(dump, folder / "out.parquet"),
}
SCRIPT = """
import os, signal, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
from pathlib import Path
import priors.dumps.files
from test_files import MAKE
priors.dumps.files.os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
MAKE[sys.argv[2]](Path(sys.argv[3]), Path(sys.argv[4]))
"""


def partial(path, process, host=None):
    return path.with_name(f".{path.name}.{host or socket.gethostname()}.{process}.partial")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("name", MAKE)
def test_the_file_of_a_killed_process_goes_with_the_next_run(tiny_dump, tmp_path, name):
    folders = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    command = [sys.executable, "-c", SCRIPT, folders, name, tiny_dump, tmp_path]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    MAKE[name](tiny_dump, tmp_path)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name != "posix", reason="process numbers")
def test_files_of_other_processes_machines_and_names_are_kept(tmp_path):
    path = tmp_path / "out.h5"
    kept = [
        partial(path, os.getppid()),
        partial(path, 1),
        partial(path, 2**22 + 1, host="elsewhere"),
        partial(tmp_path / "out.h5.x", 2**22 + 1),
        partial(path, "mine"),
    ]
    removed = [partial(path, 2**22 + 1), partial(path, 10**30)]
    for file in kept + removed:
        file.write_text("half")
    with replaced_when_done(path) as own:
        own.write_text("all")
    assert set(tmp_path.iterdir()) == {*kept, path}  # the parent may be process 1


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path):
    path, victim = tmp_path / "out.txt", tmp_path / "victim"
    victim.write_text("mine")
    partial(path, os.getpid()).symlink_to(victim)
    with replaced_when_done(path) as own:
        own.write_text("all")
    assert victim.read_text() == "mine"
    assert path.read_text() == "all"


FULL = """
import os, resource, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
from pathlib import Path
from priors.dumps.schema import DumpError
from test_files import MAKE
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # as a disk with room for 2,000 bytes
try:
    MAKE[sys.argv[2]](Path(sys.argv[3]), Path(sys.argv[4]))
except DumpError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes")
@pytest.mark.parametrize("name", ["npz", "parquet"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_dump, tmp_path, name):
    folders = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    command = [sys.executable, "-c", FULL, folders, name, tiny_dump, tmp_path]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stderr == ""
    [line] = result.stdout.splitlines()
    assert line.startswith(f"{tmp_path / 'out'}.{name}: cannot be written: ")
    assert "File too large" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["merge", "shuffle", "split", "published"])
def test_a_full_disk_is_one_line_of_hdf5_too(tiny_dump, tmp_path, monkeypatch, name):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr("priors.dumps.files.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DumpError, match=r"cannot be written: the disk is full \(1 MiB left\)"):
        MAKE[name](tiny_dump, tmp_path)
    assert list(tmp_path.iterdir()) == []
