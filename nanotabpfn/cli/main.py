"""The command `nanotabpfn`: train on a dump, evaluate on real tables, draw the run."""

import click

from nanotabpfn.cli.evaluate import evaluate_command
from nanotabpfn.cli.plot import plot_command
from nanotabpfn.cli.predict import predict_command
from nanotabpfn.cli.study import study_group
from nanotabpfn.cli.train import train_command
from nanotabpfn.data.readers import PriorError
from nanotabpfn.evaluation.openml_tables import OpenMLError
from nanotabpfn.model.checkpoint import CheckpointError
from nanotabpfn.training.curves import ReportError
from nanotabpfn.training.distributed import RankError
from nanotabpfn.training.run import RunError
from nanotabpfn.training.tracking import TrackingError
from priors.config import ConfigError
from priors.console import PlainGroup
from priors.dumps.schema import DumpError

ERRORS = (
    CheckpointError,
    ConfigError,
    DumpError,
    ModuleNotFoundError,
    OpenMLError,
    PriorError,
    RankError,
    ReportError,
    RunError,
    TrackingError,
)


@click.group("nanotabpfn", cls=PlainGroup, errors=ERRORS)
@click.version_option(package_name="nanotabpfn-priors", prog_name="nanotabpfn")
def main() -> None:
    """Train nanoTabPFN on a prior dump, and measure it on real tables.

    \b
    nanotabpfn train --dump mine.h5 --out runs/mine                 # learn
    nanotabpfn evaluate --model runs/mine --suite open --baselines  # measure
    nanotabpfn plot runs/mine                                       # look
    """


for command in (train_command, evaluate_command, predict_command, plot_command, study_group):
    main.add_command(command)


if __name__ == "__main__":
    main()
