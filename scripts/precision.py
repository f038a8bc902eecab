"""How far bfloat16 is from float32 in one training step, and how long both take: python scripts/precision.py

The model has the published size, the batch the published shape: 32 datasets of 150 rows and 5 features.
"""

import time

import click
import numpy as np
import torch
from torch import nn

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.precision import autocast

NUM_TRAIN = 100
DATASETS, ROWS, FEATURES = 32, 150, 5


def gradient(model: nn.Module, x: torch.Tensor, y: torch.Tensor, precision: str) -> torch.Tensor:
    """The gradient of the loss, in one piece."""
    model.zero_grad()
    with autocast(x.device, precision):
        logits = model((x, y[:, :NUM_TRAIN]), train_test_split_index=NUM_TRAIN)
    nn.functional.cross_entropy(logits.flatten(0, 1), y[:, NUM_TRAIN:].flatten().long()).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=5, show_default=True, help="Timed.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(seeds: int, steps: int, threads: int, device: str) -> None:
    """Print the relative error of the gradient, and CPU seconds of a forward and backward pass."""
    torch.set_num_threads(threads)
    errors, seconds = [], {"float32": [], "bfloat16": []}
    for seed in range(seeds):
        torch.manual_seed(seed)
        model = NanoTabPFNModel().to(device)
        x = torch.randn(DATASETS, ROWS, FEATURES, device=device)
        y = (x[:, :, 0] + x[:, :, 1] > 0).float()
        exact, rounded = (gradient(model, x, y, precision) for precision in seconds)
        errors.append(((rounded - exact).norm() / exact.norm()).item())
    for _ in range(steps):  # in turn, so that other work on the machine slows both alike
        for precision, found in seconds.items():
            began = time.process_time()
            gradient(model, x, y, precision)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            found.append(time.process_time() - began)
    click.echo(f"gradient in bfloat16: relative error {np.mean(errors):.4f} (mean of {seeds} seeds)")
    for precision, found in seconds.items():
        click.echo(f"{precision}: {np.median(found):.3f} CPU seconds (median of {steps}, {threads} threads)")


if __name__ == "__main__":
    main()
