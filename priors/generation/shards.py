"""The folder OUT.shards in which a dump is made: its plan, its shards, its lock.

A run writes shards (ordinary dumps of whole blocks, each under its name only when it is complete) and joins
them at the end. If it was stopped or killed, the same run started again finds the plan and the shards, and
resumes from them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from priors.config import ConfigError, PriorConfig
from priors.dumps.files import check_target
from priors.dumps.hash import content_hash
from priors.dumps.provenance import generator_name
from priors.dumps.read import open_dump
from priors.dumps.schema import MOST_DATASETS, SHARD_NAME, SHARDS_SUFFIX, DumpError
from priors.streams import PRIOR_VERSION

PLAN_NAME, LOCK_NAME, JOINED_NAME = "plan.json", "lock", "joined.h5"
NUM_SHARDS = 256
SHARD_SIZES = (1024, 65_536)
"""By default a dump has 256 shards, of at least and at most so many datasets: seconds to minutes of work."""


@dataclass(frozen=True)
class Plan:
    """The contents of a dump, and how they are cut into shards of `shard_size` datasets.

    Raises:
        ConfigError: fewer than one dataset, or shards that are not of whole blocks.

    Examples:
        >>> plan = Plan(PriorConfig(), num_datasets=100, seed=0, shard_size=64)
        >>> [plan.shard(number) for number in range(plan.num_shards)]
        [(0, 64), (64, 36)]
    """

    config: PriorConfig
    num_datasets: int
    seed: int
    shard_size: int

    def __post_init__(self) -> None:
        if not 1 <= self.num_datasets <= MOST_DATASETS:
            raise ConfigError(
                f"num_datasets must be at least 1 and at most {MOST_DATASETS:,}, which a file may hold; "
                f"got {self.num_datasets:,}"
            )
        if self.shard_size < 1 or self.shard_size % self.config.block_size:
            raise ConfigError(
                f"shard_size must be a multiple of block_size={self.config.block_size}, got {self.shard_size}"
            )

    @property
    def num_shards(self) -> int:
        return -(-self.num_datasets // self.shard_size)

    def shard(self, number: int) -> tuple[int, int]:
        """(first dataset, number of datasets) of a shard."""
        first = number * self.shard_size
        return first, min(self.shard_size, self.num_datasets - first)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, with this package's version and the prior's: others draw others."""
        versions = {"generator": generator_name(), "prior_version": PRIOR_VERSION}
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**versions, **own, "config": json.loads(self.config.to_json())}


def default_shard_size(num_datasets: int, block_size: int) -> int:
    """Datasets in a shard, whole blocks.

    It follows from the dump alone, so that a run can be resumed with another number of workers.

    Examples:
        >>> default_shard_size(num_datasets=1_000_000, block_size=32)
        3936
    """
    low, high = SHARD_SIZES
    size = min(max(num_datasets // NUM_SHARDS, low), high)
    return -(-size // block_size) * block_size


def shards_folder(path: Path) -> Path:
    """The folder of the shards of the dump `path`.

    Examples:
        >>> shards_folder(Path("runs/my.h5")).name
        'my.h5.shards'
    """
    return path.with_name(path.name + SHARDS_SUFFIX)


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard.

    Examples:
        >>> shard_path(Path("my.h5.shards"), 3).name
        'shard-000003.h5'
    """
    return folder / f"shard-{number:06}.h5"


def is_whole(path: Path, plan: Plan, first: int, num_datasets: int) -> bool:
    """Whether `path` is an undamaged dump of `num_datasets` datasets of `plan`, from number `first` on.

    Its content hash is computed anew.

    Examples:
        >>> plan = Plan(PriorConfig(), num_datasets=64, seed=0, shard_size=32)
        >>> is_whole(Path("absent.h5"), plan, first=0, num_datasets=32)
        False
    """
    try:
        with open_dump(path) as dump:
            found = {"first_dataset": 0, **dump.attributes, "num_datasets": len(dump)}
        expected = {
            "generator": generator_name(),
            "prior_version": PRIOR_VERSION,
            "config": plan.config.to_json(),
            "seed": str(plan.seed),
            "first_dataset": first,
            "num_datasets": num_datasets,
        }
        if any(found.get(name) != value for name, value in expected.items()):
            return False
        return content_hash(path) == found.get("content_hash")
    except DumpError:
        return False


@contextmanager
def shards_of(path: Path, plan: Plan, overwrite: bool) -> Iterator[tuple[Path, bool]]:
    """Lock the folder in which the shards of the dump `path` are made, for this process alone.

    The folder holds what an earlier run of the same plan has made. If an exception leaves it without a single
    shard, it is removed.

    Args:
        path: the dump.
        plan: its contents.
        overwrite: whether to discard an older dump of that name, and the shards of another plan. Those of the
            same plan are kept, so a run that was started with --overwrite is resumed by the same command.

    Yields:
        The folder, and whether the dump is finished already: a run was killed after its last step, and only
        the folder must be removed.

    Raises:
        DumpError: the dump exists, another process is writing it, the folder holds the work of another plan
            (the message says what differs), or the place cannot be written.
    """
    check_target(path)
    folder = shards_folder(path)
    if path.exists() and not overwrite and not (folder / PLAN_NAME).exists():
        if folder.exists():  # left by a run that was killed while it removed the folder, its plan first
            with _locked(path, folder):
                clear(folder, keep_shards=True)
        raise DumpError(f"{path} exists; --overwrite replaces it")
    with _locked(path, folder):
        finished = _take_over(path, folder, plan, overwrite)
        try:
            yield folder, finished
        except BaseException:
            if not any(_files(folder, shards=True)):
                clear(folder)
            raise


def clear(folder: Path, keep_shards: bool = False) -> None:
    """Remove the files of a run from its folder, and the folder if nothing else is in it.

    The plan and the lock are removed last: if the run is killed here, the next one still finds them.
    """
    with suppress(FileNotFoundError):
        for file in _files(folder, shards=not keep_shards):
            file.unlink(missing_ok=True)
        (folder / PLAN_NAME).unlink(missing_ok=True)
        (folder / LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):  # not empty: shards that are kept, or files of others
            folder.rmdir()


def _files(folder: Path, shards: bool) -> Iterator[Path]:
    """The files of writers in the folder: unfinished ones, the joined one and, if asked for, shards."""
    for file in folder.iterdir():
        begun = file.name.startswith(".") and file.name.endswith(".partial")
        if begun or file.name == JOINED_NAME or (shards and SHARD_NAME.fullmatch(file.name)):
            yield file


@contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    """Hold the lock of the folder, which is made if needed. The lock ends with its process, killed or not."""
    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise DumpError(f"{path}: another process is writing it") from None
    except OSError as error:
        raise DumpError(f"{path}: cannot be written: {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _take_over(path: Path, folder: Path, plan: Plan, overwrite: bool) -> bool:
    """Make the folder that of `plan`: as it is, or emptied if that is allowed.

    Returns:
        Whether the dump is finished.
    """
    try:
        noted = json.loads((folder / PLAN_NAME).read_text(encoding="utf-8"))
        old, replaces = noted["plan"], noted["replaces"]
    except FileNotFoundError:
        old, replaces = None, False
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        old, replaces = {}, False
    if old == plan.to_dict():
        for file in _files(folder, shards=False):
            file.unlink()
        # If there was no dump when the run began, then this one is its own.
        if path.exists() and not replaces and is_whole(path, plan, 0, plan.num_datasets):
            return True
    else:
        begun = old is not None or any(SHARD_NAME.fullmatch(file.name) for file in folder.iterdir())
        if begun and not overwrite:
            raise DumpError(f"{folder} holds {_difference(old, plan)}; --overwrite starts afresh")
        if overwrite and _is_index(path):
            path.unlink()  # since its shards are removed
        for file in _files(folder, shards=True):
            file.unlink()
        _note(path, folder / PLAN_NAME, plan)
    if path.exists() and not overwrite:
        raise DumpError(f"{path} exists; --overwrite replaces it")
    return False


def _note(path: Path, note: Path, plan: Plan) -> None:
    begun = note.with_name(f".{note.name}.partial")
    try:
        begun.write_text(json.dumps({"plan": plan.to_dict(), "replaces": path.exists()}, indent=2), "utf-8")
        begun.replace(note)
    except OSError as error:
        raise DumpError(f"{path}: cannot be written: {note}: {error.strerror}") from error


def _is_index(path: Path) -> bool:
    try:
        with open_dump(path) as dump:
            return dump.is_index
    except DumpError:
        return False


def _difference(old: dict[str, Any] | None, plan: Plan) -> str:
    """How the plan of the folder differs from `plan`, in the words of the command line."""
    if old is None:
        return "the shards of a finished dump"
    new = plan.to_dict()
    new |= new.pop("config")
    config = old.get("config")
    old = old | config if isinstance(config, dict) else old
    changes = [
        f"{name}={json.dumps(old.get(name))} (now {json.dumps(value)})"
        for name, value in new.items()
        if old.get(name) != value
    ]
    return f"an unfinished run with {', '.join(changes)}"
