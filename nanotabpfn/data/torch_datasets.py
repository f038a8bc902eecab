"""A dump as PyTorch's datasets, for training loops of one's own.

`DumpDataset` is map-style, a dataset (table) an item; `DumpBatches` is iterable, a block a batch. Give either
to `torch.utils.data.DataLoader`. The loaders of `loaders.py` are for `nanotabpfn.train`: their batches are of
any size, and their position can be saved.

Axis letters: B datasets in a batch, R rows, F features.
"""

import os
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from nanotabpfn.data.readers import DEFAULT_BLOCK_SIZE, DumpReader, Record, collate
from priors.arguments import check_integer
from priors.dumps.datasets import numbers_at
from priors.dumps.read import open_dump
from priors.streams import SHUFFLE, stream


class _OfDump:
    """What both have: the dump, which each process opens for itself, since HDF5 files cannot be shared.

    Args:
        filename: the dump.
        num_datasets: only the first so many; all by default.
    """

    def __init__(self, filename: str | Path, num_datasets: int | None = None):
        self.filename = filename
        if num_datasets is not None:
            check_integer("num_datasets", num_datasets)
        with open_dump(filename) as dump:
            if num_datasets is not None and not 1 <= num_datasets <= len(dump):
                raise ValueError(
                    f"num_datasets must be in 1..{len(dump)}, the datasets of the dump, got {num_datasets}"
                )
            self.num_datasets = num_datasets or len(dump)
            self.problem_type = dump.problem_type
            self.max_num_classes = dump.max_num_classes
            self.block_size = dump.block_size or DEFAULT_BLOCK_SIZE
        self._reader: DumpReader | None = None
        self._process = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None, "_process": None}

    def _read(self, indices: Sequence[int]) -> list[Record]:
        """Records of those numbers; a damaged one is replaced by the next sound one of its block."""
        if self._process != os.getpid():
            self._reader, self._process = DumpReader(self.filename, self.num_datasets), os.getpid()
        found = self._reader[list(indices), slice(None)]
        if isinstance(found, Exception):
            raise found
        return found[0]


class DumpDataset(_OfDump, Dataset[Record]):
    """The datasets of a dump, one by one: a `Record` each, with `x` (R, F), `y` (R,) and `single_eval_pos`.

    A batch of datasets that differ in shape or split cannot be stacked, so a `DataLoader` needs
    ``collate_fn=DumpDataset.collate``; its batches are those of `nanotabpfn.PriorDumpDataLoader`.

    Args:
        filename: the dump.
        num_datasets: only the first so many; all by default.

    Raises:
        ValueError: `num_datasets` is out of range.
        DumpError: the file cannot be opened, or is damaged where it is read.

    Examples:
        >>> import tempfile
        >>> from torch.utils.data import DataLoader
        >>> from priors import PRESETS, generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/my.h5", PRESETS["default"], num_datasets=64, seed=0)
        ...     datasets = DumpDataset(f"{folder}/my.h5")
        ...     batch = next(iter(DataLoader(datasets, batch_size=8, collate_fn=DumpDataset.collate)))
        >>> len(datasets), batch["x"].shape, batch["train_test_split_index"]
        (64, torch.Size([8, 150, 5]), 83)
    """

    def __len__(self) -> int:
        return self.num_datasets

    def __getitem__(self, index: int) -> Record:
        return self._read([numbers_at(self.num_datasets, index)])[0]

    def __getitems__(self, indices: list[int]) -> list[Record]:
        """The records of a batch, which a `DataLoader` asks for at once."""
        return self._read([numbers_at(self.num_datasets, index) for index in indices])

    @staticmethod
    def collate(records: Sequence[Record]) -> dict[str, Any]:
        """The batch of some records: `x` (B, R, F), `y` (B, R), `train_test_split_index` and `datasets`; of
        records that differ in shape or split `parts`, a list of such dicts."""
        return collate(records, "cpu")


class DumpBatches(_OfDump, IterableDataset[dict[str, Any]]):
    """The blocks of a dump, each as a batch: its datasets share their shape and split, so they stack.

    The workers of a `DataLoader` share the blocks among them; give it ``batch_size=None``.

    Args:
        filename: the dump.
        shuffle: whether the blocks come in a random order, another one for each `epoch`.
        seed: of the order.
        num_datasets: only the first so many; all by default. The last block may be shorter.

    Raises:
        ValueError: `num_datasets` is out of range.
        DumpError: the file cannot be opened, or is damaged where it is read.

    Examples:
        >>> import tempfile
        >>> from torch.utils.data import DataLoader
        >>> from priors import PRESETS, generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/my.h5", PRESETS["default"], num_datasets=80, seed=0)
        ...     batches = list(DataLoader(DumpBatches(f"{folder}/my.h5", shuffle=True), batch_size=None))
        >>> [(tuple(batch["x"].shape), batch["train_test_split_index"]) for batch in batches]
        [((32, 150, 5), 83), ((16, 150, 5), 30), ((32, 150, 5), 59)]
    """

    def __init__(
        self, filename: str | Path, shuffle: bool = False, seed: int = 0, num_datasets: int | None = None
    ):
        super().__init__(filename, num_datasets)
        self.shuffle, self.seed = shuffle, seed
        # In shared memory: workers that a DataLoader keeps (`persistent_workers`) see a new value too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """Decides the order, together with the seed: raise it by one after each pass."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return ceil(self.num_datasets / self.block_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        order = np.arange(len(self))
        if self.shuffle:
            order = stream(self.seed, SHUFFLE, self.epoch).permutation(len(self))
        worker = get_worker_info()
        mine = order if worker is None else order[worker.id :: worker.num_workers]
        for block in mine.tolist():
            start = block * self.block_size
            yield collate(self._read(range(start, min(start + self.block_size, self.num_datasets))), "cpu")
