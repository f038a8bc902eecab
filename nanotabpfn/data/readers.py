"""Datasets by their numbers, read from a dump or sampled from a prior, and their batch.

`loaders.py` gives a reader to PyTorch's `DataLoader`, which may run it in a worker process.

Axis letters: B datasets in a batch, R rows, F features.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from traceback import format_exception
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import get_worker_info

from priors.config import PriorConfig
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import DumpError, finite_records
from priors.registry import ConfigError
from priors.sampling.blocks import sample_block
from priors.sampling.dataset import NoDatasetError

DEFAULT_BLOCK_SIZE = 32
"""Block size where the file does not hold it: the published dump's."""


class PriorError(Exception):
    """A prior from which no dataset can be sampled."""


class Record(NamedTuple):
    """One dataset of a batch, without padding.

    Examples:
        >>> Record(np.zeros((4, 2), np.float32), np.zeros(4, np.float32), single_eval_pos=3, index=0).x.shape
        (4, 2)
    """

    x: np.ndarray  # (R, F) float32
    y: np.ndarray  # (R,) float32
    single_eval_pos: int
    index: int  # its number in the dump or in the prior's sequence


class MixedBatch(dict):
    """A batch in `parts`. Reading a key of a uniform batch is an error that names `parts`.

    Examples:
        >>> batch = MixedBatch(parts=[{"x": 1}, {"x": 2}], datasets=[0, 1])
        >>> [part["x"] for part in batch["parts"]]
        [1, 2]
        >>> batch["x"]
        Traceback (most recent call last):
        KeyError: 'x: the datasets of this batch differ in shape or split; see its `parts`'
    """

    def __missing__(self, key: str) -> None:
        raise KeyError(f"{key}: the datasets of this batch differ in shape or split; see its `parts`")


def collate(records: Sequence[Record], device: str | torch.device) -> dict[str, Any]:
    """The batch of some records.

    Args:
        records: at least one.
        device: where the tensors go.

    Returns:
        For records of one shape and split: `x` (B, R, F) and `y` (B, R), float32 on `device`,
        `train_test_split_index`, and `datasets`, the records' numbers. For others a `MixedBatch`: `parts`,
        such a dict for each shape and split in the order of their first records, and `datasets`, the numbers
        in the order of the parts.

    Examples:
        >>> import numpy as np
        >>> table = Record(np.zeros((4, 2), np.float32), np.zeros(4, np.float32), 3, index=0)
        >>> batch = collate([table, table._replace(index=1)], "cpu")
        >>> batch["x"].shape, batch["train_test_split_index"], batch["datasets"]
        (torch.Size([2, 4, 2]), 3, [0, 1])
        >>> mixed = collate([table, table._replace(single_eval_pos=2, index=1)], "cpu")
        >>> [part["train_test_split_index"] for part in mixed["parts"]]
        [3, 2]
    """
    kinds: dict[tuple[int, int, int], list[Record]] = {}
    for record in records:
        kinds.setdefault((*record.x.shape, record.single_eval_pos), []).append(record)
    parts = [
        {
            # Row-major, whatever the records' memory layout: the rounding of matrix products depends on it.
            "x": torch.from_numpy(np.ascontiguousarray(np.stack([record.x for record in part]))).to(device),
            "y": torch.from_numpy(np.stack([record.y for record in part])).to(device),
            "train_test_split_index": part[0].single_eval_pos,
            "datasets": [record.index for record in part],
        }
        for part in kinds.values()
    ]
    if len(parts) == 1:
        return parts[0]
    return MixedBatch(parts=parts, datasets=[index for part in parts for index in part["datasets"]])


def _as_value(error: Exception) -> Exception:
    """An error to be returned from a worker process, with its traceback, which is not sent, as a note unless
    its message is written for the user."""
    if get_worker_info() is not None and not isinstance(error, DumpError | PriorError):
        error.add_note("".join(format_exception(error)))
    return error


class DumpReader:
    """Datasets of a dump by their numbers.

    The file is opened at the first read, in the worker process if there is one: an open HDF5 file cannot be
    shared with another process.

    Args:
        filename: the dump.
        num_datasets: only the first so many are read.

    Examples:
        >>> import tempfile
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/my.h5", PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     reader = DumpReader(f"{folder}/my.h5", num_datasets=3)
        ...     records, damaged = reader[[2, 0], slice(None)]
        ...     reader.close()
        >>> [record.index for record in records], damaged
        ([2, 0], [])
    """

    def __init__(self, filename: str | Path, num_datasets: int):
        self.filename = filename
        self.num_datasets = num_datasets
        self._dump: Dump | None = None

    def close(self) -> None:
        if self._dump is not None:
            self._dump.close()
            self._dump = None

    def __getitem__(self, batch: tuple[list[int], slice]) -> tuple[list[Record], list[int]] | Exception:
        """The records of one rank's share of a batch, and the damaged indices of the whole batch.

        A damaged record is replaced by the next sound one of its block: the batch stays full and nearly
        always of one split, and later batches do not move. The whole batch is read, whatever the share: it
        lies in one chunk of the file, and all ranks then count the same damaged records. An error is
        returned: PyTorch would add a traceback to the message of one that is raised in a worker process,
        and keep that process alive at the end of the program.
        """
        indices, share = batch
        try:
            if self._dump is None:
                self._dump = open_dump(self.filename)
            records = self._read(self._dump, indices)
            damaged = [index for index, record in zip(indices, records, strict=True) if record is None]
            return [
                self._substitute(self._dump, index) if record is None else record
                for index, record in zip(indices[share], records[share], strict=True)
            ], damaged
        except Exception as error:
            return _as_value(error)

    def _read(self, dump: Dump, indices: Sequence[int]) -> list[Record | None]:
        """The records; None in place of those with cells that are not finite."""
        indices = np.asarray(indices)
        x, y = dump.read_records(indices)  # (B, max_rows, max_features), (B, max_rows)
        rows, features = dump.num_datapoints[indices], dump.num_features[indices]
        finite = finite_records(x, y, features, rows, dump.allow_missing)
        if dump.max_num_classes is not None:
            own_rows = np.arange(dump.max_rows) < rows[:, None]
            wrong = own_rows & ~np.isin(y, np.arange(dump.max_num_classes))
            mislabelled = np.flatnonzero(finite & wrong.any(axis=1))
            if mislabelled.size:
                raise DumpError(
                    f"{self.filename}: y: record {indices[mislabelled[0]]} has labels that are not 0 to "
                    f"{dump.max_num_classes - 1} (max_num_classes is {dump.max_num_classes})"
                )
        splits = dump.single_eval_pos[indices]
        return [
            Record(x[i, : rows[i], : features[i]], y[i, : rows[i]], int(splits[i]), int(indices[i]))
            if finite[i]
            else None
            for i in range(len(indices))
        ]

    def _substitute(self, dump: Dump, index: int) -> Record:
        """The next sound record of the block of `index`, read as a ring; if none, of the blocks after."""
        size = dump.block_size or DEFAULT_BLOCK_SIZE
        first = index - index % size
        last = min(first + size, self.num_datasets)
        for start, stop in [(index + 1, last), (first, index), (last, self.num_datasets), (0, first)]:
            for low in range(start, stop, DEFAULT_BLOCK_SIZE):
                for record in self._read(dump, range(low, min(low + DEFAULT_BLOCK_SIZE, stop))):
                    if record is not None:
                        return record
        raise DumpError(f"{self.filename}: every record holds cells that are not finite")

    def sound(self, start: int, stop: int) -> list[Record]:
        """The records from `start` to `stop` that are not damaged, held out or not."""
        with open_dump(self.filename) as dump:
            return [record for record in self._read(dump, range(start, stop)) if record is not None]


class PriorReader:
    """Datasets of (config, seed) by their numbers, sampled when they are read.

    Examples:
        >>> reader = PriorReader(PriorConfig(num_datapoints=20), seed=0)
        >>> [(record.index, record.x.shape) for record in reader.read([0, 1])]
        [(0, (20, 5)), (1, (20, 5))]
    """

    def __init__(self, config: PriorConfig, seed: int):
        self.config = config
        self.seed = seed

    def close(self) -> None:
        pass

    def __getitem__(self, batch: tuple[list[int], slice]) -> tuple[list[Record], list[int]] | Exception:
        """As `DumpReader` returns it: the records of a share of a batch, none damaged; or an error."""
        indices, share = batch
        try:
            return self.read(indices[share]), []
        except Exception as error:
            return _as_value(error)

    def read(self, indices: Sequence[int]) -> list[Record]:
        """The records of `indices`, block by block; others of their blocks are not sampled.

        Raises:
            PriorError: all draws of a dataset were refused, or a family of the user's own is wrong.
        """
        size = self.config.block_size
        records = []
        for block, own in groupby(indices, lambda index: index // size):
            numbers = list(own)
            try:
                datasets = sample_block(self.config, self.seed, block, len(numbers), numbers[0] % size)
            except (ConfigError, NoDatasetError) as error:
                raise PriorError(str(error)) from error
            records += [
                Record(dataset.x, dataset.y.astype(np.float32), dataset.single_eval_pos, index)
                for index, dataset in zip(numbers, datasets, strict=True)
            ]
        return records
