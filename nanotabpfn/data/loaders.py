"""Batches of datasets, from a dump or sampled live from a prior.

Batch k of a loader depends on its settings and on k, and on nothing else. So the position of a loader is one
number, and any number of worker processes gives the same batches. Every batch is full.

A batch whose datasets share rows, features and split is a dict with `x`, `y`, `train_test_split_index` and
`datasets`, as published. A batch whose datasets differ has the one key `parts`, a list of such dicts, and
`datasets`: no dataset is padded, or cut to the split of another. Blocks of a dump are uniform, so nearly all
batches are too if the batch size divides the block size.

Where several processes train together, each has loaders with the same settings except its rank, and gets its
share of the datasets of every batch.

Axis letters: D datasets in a dump, B datasets in a batch, R rows, F features.
"""

import atexit
import hashlib
import json
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import DataLoader

from nanotabpfn.data.readers import DEFAULT_BLOCK_SIZE, DumpReader, PriorReader, Record, collate
from nanotabpfn.data.settings import check_settings, check_state
from nanotabpfn.model.architecture import TrainedRange
from nanotabpfn.model.device import find_device
from priors.config import PriorConfig
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import DumpError
from priors.presets import check_config
from priors.streams import TRAIN, stream

NUM_PRIOR_DATASETS = 2**32
"""Datasets of one (config, seed). Those held out are the last of them, which no training reaches."""


def prior_range(config: PriorConfig) -> TrainedRange:
    """The sizes of a prior's tables.

    Examples:
        >>> prior_range(PriorConfig(num_datapoints=100, num_features=(2, 5), train_fraction=(0.5, 0.8)))
        TrainedRange(rows=(50, 80), features=(2, 5), classes=(2, 2))
    """
    classes = config.num_classes if config.problem_type == "classification" else None
    return TrainedRange(config.split_range, config.num_features, classes)


RANGE_FIELDS = ("num_datapoints", "num_features", "num_classes", "train_fraction", "problem_type")
"""Fields of a PriorConfig that decide `prior_range`: numbers and a word, never names of code."""


def dump_range(dump: Dump, num_datasets: int) -> TrainedRange:
    """The sizes of a dump's tables: those of the prior that its attributes state, or of its datasets.

    Of the stated config only the plain numbers of RANGE_FIELDS are read, and only if they agree with the
    arrays. The file may be from an untrusted source, so no family that it names is imported.

    Args:
        dump: the file.
        num_datasets: how many of its datasets count, from the first on.

    Examples:
        >>> import tempfile
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config = PriorConfig(num_datapoints=20, train_fraction=(0.5, 0.5))
        ...     _ = generate_dump(f"{folder}/my.h5", config, num_datasets=3, seed=0)
        ...     with open_dump(f"{folder}/my.h5") as dump:
        ...         dump_range(dump, num_datasets=3)
        TrainedRange(rows=(10, 10), features=(5, 5), classes=(2, 2))
    """
    splits, features = dump.single_eval_pos[:num_datasets], dump.num_features[:num_datasets]
    found = TrainedRange(
        rows=(int(splits.min()), int(splits.max())),
        features=(int(features.min()), int(features.max())),
        classes=None if dump.max_num_classes is None else (2, max(2, dump.max_num_classes)),
    )
    stated = _stated_range(dump)
    return found if stated is None or not _agrees(stated, found, dump) else stated


def _stated_range(dump: Dump) -> TrainedRange | None:
    """The sizes that the config in the attributes states; None if it is no config of this version."""
    try:
        fields = json.loads(dump.attributes["config"])
        plain = {name: fields[name] for name in RANGE_FIELDS}
        return prior_range(PriorConfig.from_json(json.dumps(plain), trust=False))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _agrees(stated: TrainedRange, found: TrainedRange, dump: Dump) -> bool:
    """Whether a prior with these sizes can have made the datasets, and its largest fit into the arrays."""
    if (stated.classes is None) != (found.classes is None):
        return False
    if stated.classes is not None and stated.classes[1] != dump.max_num_classes:
        return False
    low, high = stated.rows
    fits = low <= found.rows[0] and found.rows[1] <= high < dump.max_rows
    low, high = stated.features
    return fits and low <= found.features[0] and found.features[1] <= high <= dump.max_features


def widest_range(ranges: Sequence[TrainedRange]) -> TrainedRange:
    """From the smallest to the largest of some ranges.

    Args:
        ranges: at least one, all of the same problem type.

    Examples:
        >>> widest_range([TrainedRange((10, 20), (2, 5)), TrainedRange((15, 90), (1, 3))])
        TrainedRange(rows=(10, 90), features=(1, 5), classes=None)
    """

    def spread(bounds: Sequence[tuple[int, int]]) -> tuple[int, int]:
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    return TrainedRange(
        spread([part.rows for part in ranges]),
        spread([part.features for part in ranges]),
        None if ranges[0].classes is None else spread([part.classes for part in ranges]),
    )


class Loader(Protocol):
    """The interface of all loaders: of a dump, of a live prior, of a mixture.

    Examples:
        >>> config = PriorConfig(num_datapoints=20, block_size=4)
        >>> loader: Loader = PriorDataLoader(config, num_steps=2, batch_size=4, device="cpu")
        >>> [tuple(batch["x"].shape) for batch in loader], loader.problem_type
        ([(4, 20, 5), (4, 20, 5)], 'classification')
    """

    problem_type: str
    max_num_classes: int | None
    has_missing: bool
    trained_range: TrainedRange
    num_skipped: int

    def __iter__(self) -> Iterator[dict[str, Any]]: ...

    def held_out_batches(self) -> list[dict[str, Any]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


_RUNNING: WeakSet[Generator[dict[str, Any], None, None]] = WeakSet()
"""Iterations of loaders that may have workers."""


@atexit.register
def _end_workers() -> None:
    """End the workers of iterations that were not finished: at its exit Python would send them SIGTERM, which
    they ignore, and wait for them without end."""
    for batches in list(_RUNNING):
        with suppress(ValueError):  # another thread is in it
            batches.close()


class _BatchLoader:
    """The shared half of the loaders of a dump and of a prior: iteration, the position and its state.

    Args:
        reader: gives the records of a share of a list of numbers.
        settings: all other settings that decide the batches, as plain values by name; part of a state.
    """

    problem_type: str
    max_num_classes: int | None
    has_missing: bool
    trained_range: TrainedRange

    def __init__(
        self,
        reader: DumpReader | PriorReader,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None,
        num_workers: int,
        held_out: int,
        rank: int,
        num_ranks: int,
        settings: dict[str, Any],
    ):
        check_settings(num_steps=num_steps, batch_size=batch_size, num_workers=num_workers)
        check_settings(held_out=held_out, seed=settings["seed"], rank=rank, num_ranks=num_ranks)
        if rank >= num_ranks:
            raise ValueError(f"rank must be below num_ranks={num_ranks}, got {rank}")
        if batch_size < num_ranks:
            raise ValueError(f"batch_size must be at least num_ranks={num_ranks}, got {batch_size}")
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.device = str(find_device(device))
        self.num_workers = num_workers
        self.held_out = held_out
        self._share = slice(rank * batch_size // num_ranks, (rank + 1) * batch_size // num_ranks)
        self._is_part = num_ranks > 1
        self._reader = reader
        self._settings = {"batch_size": batch_size, **settings}
        self._position = 0  # batches handed out
        self._skipped: set[int] = set()

    @property
    def num_skipped(self) -> int:
        """Datasets skipped so far because one of their cells is not finite."""
        return len(self._skipped)

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = self._batches()
        _RUNNING.add(batches)
        return batches

    def _batches(self) -> Generator[dict[str, Any], None, None]:
        first = self._position
        # PyTorch's loader reads ahead. Without a generator of its own it would draw from the global one.
        readings = DataLoader(
            self._reader,
            batch_size=None,
            sampler=((self._indices(step), self._share) for step in range(first, first + self.num_steps)),
            num_workers=self.num_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_ignore_signals,
            generator=torch.Generator(),
        )
        try:
            for step, reading in enumerate(readings, start=first):
                if isinstance(reading, Exception):
                    raise reading
                records, damaged = reading
                self._skipped.update(damaged)
                self._position = step + 1
                batch = collate(records, self.device)
                if self._is_part:
                    batch["num_datasets"] = self.batch_size
                yield batch
        finally:
            self._reader.close()

    def _indices(self, step: int) -> list[int]:
        """Numbers of the datasets of batch `step`, from 0."""
        first = step * self.batch_size
        return list(range(first, first + self.batch_size))

    def held_out_batches(self) -> list[dict[str, Any]]:
        """The datasets held out, in batches of at most `batch_size`, on the CPU, without damaged ones.

        Every rank gets all of them.

        Raises:
            DumpError: the file cannot be read.
            PriorError: no dataset can be sampled from the prior.
        """
        records = self._held_out_records() if self.held_out else []
        starts = range(0, len(records), self.batch_size)
        return [collate(records[start : start + self.batch_size], "cpu") for start in starts]

    def _held_out_records(self) -> list[Record]:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The position after the last batch that was given out, as plain values that JSON can hold.

        A loader of the same data, seed and batch size that loads it continues with the next batch, for
        `num_steps` batches. The number of workers and the device may differ.
        """
        return {**self._settings, "position": self._position, "skipped": sorted(self._skipped)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, from the next iteration on, at the position of the loader that gave `state`.

        Raises:
            ValueError: not a state of `state_dict`, or one of other data, another seed or batch size. Nothing
                changes then.
        """
        check_state(state, self._settings)
        skipped = state.get("skipped")
        if not isinstance(skipped, list):
            raise ValueError(f"skipped of the state must be a list, got {skipped!r}")
        self._position, self._skipped = state["position"], set(skipped)


class PriorDumpDataLoader(_BatchLoader):
    """Batches from a prior dump. Each iteration continues where the last one stopped.

    This is the published call. A pass over the dump is ceil(D / batch_size) batches; its last batch is filled
    up with the first datasets of the next pass, which follows at once. Records with cells that are not finite
    (the published dump has five) are skipped, and counted in `num_skipped`; each is replaced by the next
    sound record of its block.

    Args:
        filename: the dump, in the layout of this package or the published one.
        num_steps: batches of one iteration.
        batch_size: datasets of a batch.
        device: where the batches go; `get_default_device()` by default.
        seed: shuffles the dump in another order for each pass: batch by batch if the batch size divides the
            block size, else block by block. None: file order, as published.
        num_workers: processes that read ahead; 0 reads in this process. The batches are the same.
        held_out: the last so many datasets of the dump are not in its batches, but in `held_out_batches`.
        rank: number of this process, from 0, among those that train together.
        num_ranks: how many processes train together. If above 1, a batch is this rank's share, and its key
            `num_datasets` counts the datasets of the whole batch.

    Attributes:
        problem_type: `classification` or `regression`, as the file says; a file that does not say it is of
            classification if it has `max_num_classes`.
        max_num_classes: most classes of any dataset; None in regression.
        has_missing: whether cells may be missing (NaN), which `train` refuses.
        trained_range: the range of the prior if the file holds its config; else the range of the datasets
            that are trained on, with classes from 2, since a dump does not hold its fewest.

    Raises:
        ValueError: a number of steps or a batch size below 1, a negative seed or number of workers, no
            datasets left to train on, more ranks than datasets in a batch.
        DumpError: the file cannot be read, or is of classification without `max_num_classes`.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "dump.h5")
        ...     _ = generate_dump(file, config, 16, seed=0)
        ...     for batch in PriorDumpDataLoader(file, num_steps=2, batch_size=4, device="cpu"):
        ...         print(batch["x"].shape, batch["y"].shape, batch["datasets"])
        torch.Size([4, 20, 2]) torch.Size([4, 20]) [0, 1, 2, 3]
        torch.Size([4, 20, 2]) torch.Size([4, 20]) [4, 5, 6, 7]
    """

    def __init__(
        self,
        filename: str | Path,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None = None,
        seed: int | None = None,
        num_workers: int = 0,
        held_out: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ):
        self.filename = filename
        self.seed = seed
        with open_dump(filename) as dump:
            if dump.problem_type == "classification" and dump.max_num_classes is None:
                raise DumpError(f"{filename}: is of classification datasets, but has no max_num_classes")
            self.problem_type = dump.problem_type
            self.max_num_classes = dump.max_num_classes
            self.has_missing = dump.allow_missing
            if held_out >= dump.num_datasets:
                raise ValueError(
                    f"held_out must be below the {dump.num_datasets} datasets of {filename}, got {held_out}"
                )
            self._num_datasets = dump.num_datasets - held_out
            self.trained_range = dump_range(dump, self._num_datasets)
            block_size = dump.block_size or DEFAULT_BLOCK_SIZE
            settings = {"dump": _fingerprint(dump), "seed": seed, "held_out": held_out}
        reader = DumpReader(filename, self._num_datasets)
        super().__init__(
            reader, num_steps, batch_size, device, num_workers, held_out, rank, num_ranks, settings
        )
        self._unit = batch_size if block_size % batch_size == 0 else block_size  # what is shuffled
        self._shuffled: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def _held_out_records(self) -> list[Record]:
        return self._reader.sound(self._num_datasets, self._num_datasets + self.held_out)

    def _indices(self, step: int) -> list[int]:
        epoch, number = divmod(step, ceil(self._num_datasets / self.batch_size))
        first, indices = number * self.batch_size, []
        while len(indices) < self.batch_size:
            stop = min(first + self.batch_size - len(indices), self._num_datasets)
            positions = np.arange(first, stop)
            starts = self._unit_starts(epoch)
            indices += (starts[positions // self._unit] + positions % self._unit).tolist()
            epoch, first = epoch + 1, 0
        return indices

    def _unit_starts(self, epoch: int) -> np.ndarray:
        """The first dataset of each unit, in the order of this pass.

        A short unit, at the end of the file, stays the last: anywhere else it would shift all units after it
        against the borders of the batches.
        """
        if self._shuffled[0] != epoch:
            starts = np.arange(0, self._num_datasets, self._unit)
            if self.seed is not None:
                whole = self._num_datasets // self._unit
                starts[:whole] = stream(self.seed, TRAIN, epoch).permutation(starts[:whole])
            self._shuffled = (epoch, starts)
        return self._shuffled[1]


class PriorDataLoader(_BatchLoader):
    """Batches sampled live from a prior, equal to those of a dump of the same config and seed.

    Args:
        config: the prior.
        num_steps: batches of one iteration; the next iteration continues with the next datasets.
        batch_size: datasets of a batch.
        device: where the batches go; `get_default_device()` by default.
        seed: of the datasets.
        num_workers: processes that sample ahead; 0 samples in this process. The batches are the same.
        held_out: datasets of `held_out_batches`: the last ones that the seed has.
        rank: number of this process among those that train together; see `PriorDumpDataLoader`.
        num_ranks: how many processes train together. Each samples only its share of a batch.

    Attributes:
        problem_type: `classification` or `regression`, as in the config.
        max_num_classes: most classes of any dataset; None in regression.
        has_missing: whether cells may be missing (NaN), which `train` refuses.
        trained_range: of the prior's datasets.

    Raises:
        ValueError: a number of steps or a batch size below 1, a negative seed or number of workers, more
            ranks than datasets in a batch.

    Examples:
        >>> config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
        >>> loader = PriorDataLoader(config, num_steps=2, batch_size=4, device="cpu", seed=0)
        >>> [batch["datasets"] for batch in loader]
        [[0, 1, 2, 3], [4, 5, 6, 7]]
        >>> [batch["datasets"][0] for batch in loader]  # the second iteration continues
        [8, 12]
    """

    def __init__(
        self,
        config: PriorConfig,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None = None,
        seed: int = 0,
        num_workers: int = 0,
        held_out: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ):
        check_config(config)
        fields = json.loads(config.to_json())
        settings = {"seed": seed, **{f"config.{name}": value for name, value in fields.items()}}
        reader = PriorReader(config, seed)
        super().__init__(
            reader, num_steps, batch_size, device, num_workers, held_out, rank, num_ranks, settings
        )
        self.config = config
        self.seed = seed
        self.problem_type = config.problem_type
        self.max_num_classes = config.most_classes
        self.has_missing = config.missing_fraction[1] > 0
        self.trained_range = prior_range(config)

    def _held_out_records(self) -> list[Record]:
        return self._reader.read(range(NUM_PRIOR_DATASETS - self.held_out, NUM_PRIOR_DATASETS))


def _as_it_is(reading: Any) -> Any:
    """Replaces PyTorch's collate function, which makes tensors in shared memory. Arrays go through a pipe,
    whose size is not limited in containers."""
    return reading


def _ignore_signals(worker: int) -> None:
    """Leave Ctrl-C, SIGTERM and SIGHUP, which reach every process of a terminal or a cluster's job, to the
    process that trains. Its workers end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _fingerprint(dump: Dump) -> str:
    """Identity of a dump: its content hash, or a hash of its counts and its first record."""
    if "content_hash" in dump.attributes:
        return str(dump.attributes["content_hash"])
    digest = hashlib.sha256()
    for array in (dump.num_features, dump.num_datapoints, dump.single_eval_pos, *dump.read(0, 1)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
