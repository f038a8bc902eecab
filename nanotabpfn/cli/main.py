"""The command `nanotabpfn`: train on a dump, evaluate on real tables, draw the run."""

import os
from typing import Any

import click

from priors.console import Errors, Lazy, PlainGroup

COMMANDS = {
    "train": Lazy("nanotabpfn.cli.train:train_command", "Train a model on prior dumps, or live on priors."),
    "evaluate": Lazy("nanotabpfn.cli.evaluate:evaluate_command", "Score a model on real tables."),
    "predict": Lazy(
        "nanotabpfn.cli.predict:predict_command",
        "Learn the target of one table, and predict that of another.",
    ),
    "card": Lazy(
        "nanotabpfn.cli.card:card_command",
        "Write README.md next to a model: a card with the header that the Hugging Face Hub reads.",
    ),
    "convert": Lazy(
        "nanotabpfn.cli.convert:convert_command",
        "Write the datasets of DUMP into FOLDER as the files that TabICL trains on.",
    ),
    "plot": Lazy("nanotabpfn.cli.plot:plot_command", "Draw a run's loss and ROC AUC against training steps."),
    "study": Lazy(
        "nanotabpfn.cli.study:study_group",
        "Measure how a change of the prior changes what a model generalizes to.",
    ),
}


def errors_for_users() -> Errors:
    """The exceptions whose messages are written for the user."""
    from nanotabpfn.data.readers import PriorError
    from nanotabpfn.evaluation.openml_tables import OpenMLError
    from nanotabpfn.model.checkpoint import CheckpointError
    from nanotabpfn.training.curves import ReportError
    from nanotabpfn.training.distributed import RankError
    from nanotabpfn.training.run import RunError
    from nanotabpfn.training.tracking import TrackingError
    from priors.config import ConfigError
    from priors.dumps.schema import DumpError
    from priors.plots.style import PlotError
    from priors.sampling.dataset import NoDatasetError

    return (
        CheckpointError,
        ConfigError,
        DumpError,
        ModuleNotFoundError,
        NoDatasetError,
        OpenMLError,
        PlotError,
        PriorError,
        RankError,
        ReportError,
        RunError,
        TrackingError,
    )


class Command(PlainGroup):
    """Ends the process of a rank without finalizing the interpreter; see `exit_rank`."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except SystemExit as ended:
            if "RANK" in os.environ:  # set by torchrun
                from nanotabpfn.training.distributed import exit_rank, is_rank

                if is_rank():
                    exit_rank(ended.code)
            raise


@click.group("nanotabpfn", cls=Command, errors=errors_for_users, lazy=COMMANDS)
@click.version_option(package_name="nanotabpfn-priors", prog_name="nanotabpfn")
def main() -> None:
    """Train nanoTabPFN on a prior dump, and measure it on real tables.

    \b
    nanotabpfn train --dump mine.h5 --out runs/mine                 # train
    nanotabpfn evaluate --model runs/mine --suite open --baselines  # measure
    nanotabpfn plot runs/mine                                       # draw its curves
    """


if __name__ == "__main__":
    main()
