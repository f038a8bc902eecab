"""Training by several processes at once, one for each device, as `torchrun` starts them.

Each has the whole model and takes its share of every batch (see `loaders.py`). The gradients are summed over
all ranks before each update, which is then the same on all. So N processes train as one does, up to rounding.

The model is small: its gradients, 1.4 MB, are sent in one piece after the backward pass. That works for
uneven shares and for batches in several passes too. `DistributedDataParallel` averages over ranks, whatever
their shares; its strength, sending large gradients during the backward pass, is not needed.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn

import torch
from torch import distributed, nn

TIMEOUT = timedelta(minutes=30)
"""How long ranks wait for another one, such as the one that evaluates. A dead one is noticed at once."""


class RankError(Exception):
    """Processes cannot train together; the message says why."""


class RankLostError(Exception):
    """Another rank has ended, or does not answer."""


class Ranks:
    """The processes that train together, as one of them sees them.

    Attributes:
        rank: number of this process, from 0; rank 0 writes the files.
        size: number of processes.
        device: of this process.

    Examples:
        >>> ranks = Ranks()  # one process alone
        >>> ranks.rank, ranks.size, ranks.any(True)
        (0, 1, True)
    """

    def __init__(self, rank: int = 0, size: int = 1, device: str | torch.device = "cpu"):
        self.rank = rank
        self.size = size
        self.device = device

    def share_weights(self, model: nn.Module) -> None:
        """Copy the weights of rank 0 to all ranks."""
        if self.size > 1:
            for weight in model.state_dict().values():
                self._together(distributed.broadcast, weight, 0)

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Sum the parameters' gradients over all ranks, in place; returns the sum of `loss`, a number."""
        if self.size == 1:
            return loss
        owners = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in owners]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.reshape(1)])
        self._together(distributed.all_reduce, flat)
        *sums, total = flat.split([*(gradient.numel() for gradient in gradients), 1])
        for parameter, summed in zip(owners, sums, strict=True):
            parameter.grad = summed.view_as(parameter)
        return total.reshape(())

    def sum(self, number: float) -> float:
        """The sum of a number over all ranks."""
        if self.size == 1:
            return number
        total = torch.tensor(number, device=self.device)
        self._together(distributed.all_reduce, total)
        return total.item()

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on any rank."""
        if self.size == 1:
            return flag
        count = torch.tensor(float(flag), device=self.device)
        self._together(distributed.all_reduce, count)
        return count.item() > 0

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        self.any(False)

    def _together(self, operation: Callable, *arguments: object) -> None:
        try:
            operation(*arguments)
        except RuntimeError as error:
            raise RankLostError(
                f"rank {self.rank} of {self.size} has lost another one: {str(error).splitlines()[0]}"
            ) from error


ALONE = Ranks()


def is_rank() -> bool:
    """Whether `torchrun` (or the like) started this process as one of several.

    Examples:
        >>> is_rank()
        False
    """
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def join_ranks(device: str, timeout: timedelta = TIMEOUT) -> Iterator[Ranks]:
    """This process as a rank of those that `torchrun` started, or alone without `torchrun`.

    Args:
        device: `cpu`, `cuda` (each process gets the GPU of its number on the machine) or `mps`.
        timeout: for each operation that ranks do together.

    Raises:
        RankError: there is no GPU for this process, or the other ranks cannot be reached.

    Examples:
        >>> with join_ranks("cpu") as ranks:
        ...     ranks.rank, ranks.size
        (0, 1)
    """
    if not is_rank():
        yield Ranks(device=device)
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "mps":
        raise RankError("device must be cpu or cuda where several processes train together, got mps")
    if device == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise RankError(
                f"rank {rank} has no GPU of its own: this machine has {torch.cuda.device_count()}; "
                "start as many processes as GPUs"
            )
        device = f"cuda:{local_rank}"
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    try:
        distributed.init_process_group(backend, timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise RankError(f"rank {rank} of {size} cannot reach the others: {error}") from error
    ranks = Ranks(rank, size, device)
    try:
        yield ranks
        with suppress(RankLostError):  # the work is done
            ranks.wait()  # no rank closes its connections while another one still uses them
    finally:
        distributed.destroy_process_group()


def exit_rank(code: int | None) -> NoReturn:
    """End the process of a rank, after everything that it writes was closed.

    Threads of the process group may still be running when Python finalizes the interpreter. One that asks
    for the interpreter then is ended by force, which aborts the process ("terminate called without an active
    exception", pytorch/pytorch#38228). So the interpreter of a rank is not finalized.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
