"""What one rank of two does in test_distributed.py, which starts them: a step, and then one does not answer.

Usage: python ranks.py FOLDER
"""

import sys
import time
from datetime import timedelta
from pathlib import Path

import torch

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.training.distributed import RankLostError, join_ranks
from nanotabpfn.training.step import Passes, update

SHAPES = [(5, 20, 3, 12), (3, 9, 2, 4)]
"""Datasets, rows, features, split of the parts of the batch."""


def parts():
    generator = torch.Generator().manual_seed(0)
    made = []
    for size, rows, features, split in SHAPES:
        x = torch.randn(size, rows, features, generator=generator).double()
        y = (x[:, :, 0] > 0).double()
        made.append({"x": x, "y": y, "train_test_split_index": split})
    return made


def share_of(rank, size):
    """Datasets 0 to 7 dealt out unevenly: rank 0 has all of the second part and 2 of the first."""
    first, second = parts()
    if size == 1:
        return {"parts": [first, second]}
    own = slice(0, 2) if rank == 0 else slice(2, 5)
    first = first | {"x": first["x"][own], "y": first["y"][own]}
    return {"parts": [second, first] if rank == 0 else [first], "num_datasets": 8}


def gradients(ranks, grad_accumulation=1):
    """Loss, norm and gradients of one step, from the same weights on all ranks."""
    torch.manual_seed(ranks.rank)  # each its own, until they are shared
    model = NanoTabPFNModel(8, 2, 8, 2, 2).double()
    ranks.share_weights(model)
    found = {}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    optimizer.register_step_pre_hook(
        lambda *_: found.update({name: p.grad.clone() for name, p in model.named_parameters()})
    )
    batch = share_of(ranks.rank, ranks.size)
    found["loss"], found["norm"] = update(
        model, optimizer, batch, 1, Passes("cpu", "float32", grad_accumulation), ranks
    )
    return found


def main(folder):
    torch.set_num_threads(1)
    with join_ranks("cpu", timedelta(seconds=15)) as ranks:
        found = gradients(ranks)
        found["any"] = torch.tensor([ranks.any(ranks.rank == 1), ranks.any(False)])
        torch.save(found, folder / f"{ranks.rank}.pt")
        if ranks.rank:
            time.sleep(600)
        try:
            ranks.wait()
        except RankLostError as error:
            print(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
