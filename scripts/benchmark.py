"""What generation, storage, training and prediction cost on this machine: the tables of docs/."""

import click
from benchmarks.engine import predict, predict_once, train
from benchmarks.generation import generate, live, tasks
from benchmarks.peers import prior
from benchmarks.scoring import score
from benchmarks.storage import dump


@click.group()
def main() -> None:
    """Measure, and print the figures as a Markdown table.

    \b
    python scripts/benchmark.py dump                      # compression of dumps
    python scripts/benchmark.py generate                  # one worker against two
    python scripts/benchmark.py tasks --backend dask      # the cost of handing out a task
    python scripts/benchmark.py live                      # training that waits for a live prior
    python scripts/benchmark.py train                     # training steps, fast and plain (docs/engine.md)
    python scripts/benchmark.py predict                   # a fitted classifier: time and memory
    python scripts/benchmark.py score                     # a model on a suite, as in studies
    python scripts/benchmark.py prior                     # datasets per CPU-second, memory (docs/prior.md)
    python scripts/benchmark.py prior --peers             # and of other generators, in the same run
    """


for command in (dump, generate, tasks, live, train, predict, predict_once, score, prior):
    main.add_command(command)


if __name__ == "__main__":
    main()
