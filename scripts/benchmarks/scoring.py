"""`benchmark.py score`: a model scored on a suite, all folds of a table in one batch or one by one."""

import time

import click
import numpy as np

from benchmarks.measure import spread

SIZES = {
    "published": {},
    "half the width, two layers": {"embedding_size": 48, "mlp_hidden_size": 96, "num_layers": 2},
}


@click.command()
@click.option("--suite", default="open", show_default=True, help="Of real tables with two classes.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Alternating.")
@click.option("--threads", type=click.IntRange(1), help="Of PyTorch.  [default: its own choice]")
def score(suite: str, repeats: int, threads: int | None) -> None:
    """CPU-seconds to score a model on a suite: as a study does it, and fold by fold with the classifier."""
    import torch

    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
    from nanotabpfn.model.architecture import NanoTabPFNModel
    from nanotabpfn.studies.real_tables import encoded_suite, suite_tasks
    from nanotabpfn.studies.scoring import score_suite, score_tables

    if threads is not None:
        torch.set_num_threads(threads)
    tables = suite_tasks(suite)
    encoded_suite(suite)  # once in a process, for all models
    click.echo(f"{suite}, {len(tables)} tables, median [quartiles] of {repeats}:\n")
    click.echo("| model | CPU-seconds, fold by fold | CPU-seconds, in batches | times | largest difference |")
    click.echo("|---|---|---|---|---|")
    for name, sizes in SIZES.items():
        torch.manual_seed(0)
        model = NanoTabPFNModel(**sizes).eval()
        classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=1)
        seconds, difference = [], 0.0
        for _ in range(repeats):
            begun = time.process_time()
            one_by_one = list(score_tables(classifier, tables))
            between = time.process_time()
            in_batches = list(score_suite(model, suite, 1, "cpu"))
            seconds.append((between - begun, time.process_time() - between))
            losses = [
                [value for *_, metric, value in scores if metric == "log_loss"]
                for scores in (one_by_one, in_batches)
            ]
            difference = max(difference, float(np.abs(np.subtract(*losses)).max()))
        folds, batches = np.array(seconds).T
        shown = " | ".join(map(spread, (folds, batches, folds / batches)))
        click.echo(f"| {name} | {shown} | {difference:.0e} |")
