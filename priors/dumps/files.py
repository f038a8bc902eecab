"""Output files: the place is checked before any work, and a file takes its name when it is complete."""

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py

from priors.dumps.schema import DumpError, as_dump_error

SPARE_BYTES = 2**23
"""Bytes of the disk that are left free: more than HDF5 keeps in memory until the file is closed."""

# HDF5 1.10 (2016) and later read it. In older formats the file's own structure has no checksums, and one
# flipped byte there can make HDF5 crash or hang.
LIBRARY_VERSIONS = ("v110", "v110")


def check_target(path: Path) -> None:
    """Stop before any work if no file of that name can be written.

    Raises:
        DumpError: `path` is a folder, or its folder does not exist.

    Examples:
        >>> check_target(Path("absent/mine.h5"))
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: absent/mine.h5: cannot be written: there is no folder absent
    """
    if path.is_dir():
        raise DumpError(f"{path}: cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise DumpError(f"{path}: cannot be written: there is no folder {path.parent}")


def file_hash(path: Path) -> str:
    """The sha256 of a file's bytes.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "notes.txt"
        ...     _ = path.write_bytes(b"all of it")
        ...     file_hash(path)[:8]
        '07630777'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replaced_when_done(path: Path) -> Iterator[Path]:
    """The name of a temporary file in the folder of `path`: renamed to `path` at the end, removed on errors.

    A process that is killed leaves its temporary file. The next one that writes `path` removes it.

    Raises:
        DumpError: as `check_target`, or the file cannot be renamed.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "notes.txt"
        ...     with replaced_when_done(path) as partial:
        ...         _ = partial.write_text("all of it")
        ...         path.exists()
        ...     path.read_text()
        False
        'all of it'
    """
    check_target(path)
    # Host and process are in the name: two machines may write one shard in a folder that they share.
    begin = f".{path.name}.{socket.gethostname()}."
    partial = path.with_name(f"{begin}{os.getpid()}.partial")
    with as_dump_error(path, "cannot be written"):
        for file in _left_by_the_dead(path.parent, begin):
            file.unlink(missing_ok=True)
    try:
        yield partial
        with as_dump_error(path, "cannot be written"):
            os.replace(partial, path)
    finally:
        with suppress(OSError):  # it was renamed, or the exception that is raised says what went wrong
            partial.unlink()


def _left_by_the_dead(folder: Path, begin: str) -> list[Path]:
    """The temporary files whose names are `begin`, a process that does not run, and `.partial`."""
    found = []
    for file in folder.iterdir():
        process = file.name.removeprefix(begin).removesuffix(".partial")
        is_ours = file.name == f"{begin}{process}.partial" and process.isascii() and process.isdecimal()
        if is_ours and (int(process) == os.getpid() or not _is_alive(int(process))):
            found.append(file)
    return found


def _is_alive(process: int) -> bool:
    """Whether a process of this machine is running; True where the system cannot tell."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file that is renamed to `path` if all goes well; otherwise nothing is left of it.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "mine.h5"
        ...     with new_hdf5(path) as file:
        ...         file["seed"] = 7
        ...         path.exists()
        ...     path.exists()
        False
        True
    """
    with replaced_when_done(path) as partial:
        with as_dump_error(path, "cannot be written"):
            file = h5py.File(partial, "w", libver=LIBRARY_VERSIONS)
        try:
            yield file
        finally:
            with as_dump_error(path, "cannot be written"):
                file.close()


def check_space(path: Path, num_bytes: int) -> None:
    """Stop before the disk is full: HDF5 may end the whole process after a write that the disk refused.

    Raises:
        DumpError: less than `num_bytes` and SPARE_BYTES are free.

    Examples:
        >>> check_space(Path("mine.h5"), 2**80)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: mine.h5: cannot be written: the disk is full (... MiB left)
    """
    free = shutil.disk_usage(path.parent).free
    if free < num_bytes + SPARE_BYTES:
        raise DumpError(f"{path}: cannot be written: the disk is full ({free // 2**20} MiB left)")
