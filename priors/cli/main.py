"""The command `priors`: make dumps, inspect, check, rearrange, convert, audit, draw and download them."""

import click

from priors.console import Errors, Lazy, PlainGroup

COMMANDS = {
    "presets": Lazy(
        "priors.cli.generate:presets", "List the named priors, or print the whole config of one as JSON."
    ),
    "schema": Lazy(
        "priors.cli.schema:schema",
        "Print the JSON Schema of a prior's config, with which an editor completes and checks a file.",
    ),
    "generate": Lazy(
        "priors.cli.generate:generate", "Sample datasets and write them to OUT, an HDF5 prior dump."
    ),
    "inspect": Lazy("priors.cli.generate:inspect_dump", "Show what a dump holds."),
    "diff": Lazy(
        "priors.cli.diff:diff",
        "Show in what A and B differ, each a preset, the JSON file of a config, or a dump.",
    ),
    "validate": Lazy("priors.cli.checks:validate", "Check a DUMP."),
    "verify": Lazy("priors.cli.checks:verify", "Make records of a DUMP again from its own config and seed."),
    "audit": Lazy("priors.cli.audit:audit", "Report how much there is to learn from a DUMP."),
    "plot": Lazy("priors.cli.plot:plot", "Draw what a prior samples, or what a dump holds."),
    "explore": Lazy(
        "priors.cli.explore:explore",
        "Turn a prior by hand on a page in the browser: its settings are sliders, its pictures follow.",
    ),
    "merge": Lazy("priors.cli.arrange:merge", "Join two or more DUMPS, one after the other."),
    "split": Lazy("priors.cli.arrange:split", "Cut a DUMP into consecutive parts."),
    "shuffle": Lazy(
        "priors.cli.arrange:shuffle", "Write the blocks of a DUMP in an order drawn from the seed."
    ),
    "convert": Lazy("priors.cli.arrange:convert", "Write the datasets of SOURCE to OUT."),
    "card": Lazy(
        "priors.cli.arrange:card", "Write README.md and croissant.json for dumps that are to be published."
    ),
    "download": Lazy("priors.cli.download:download", "Fetch a published dump."),
}


def errors_for_users() -> Errors:
    """The exceptions whose messages are written for the user."""
    from priors.dumps.download import DownloadError
    from priors.dumps.recorded_prior import UnverifiableError
    from priors.dumps.schema import DumpError
    from priors.generation.engines import EngineError
    from priors.plots.style import PlotError
    from priors.registry import ConfigError
    from priors.sampling.dataset import NoDatasetError

    return (
        ConfigError,
        DownloadError,
        DumpError,
        EngineError,
        NoDatasetError,
        PlotError,
        UnverifiableError,
    )


@click.group("priors", cls=PlainGroup, errors=errors_for_users, lazy=COMMANDS)
@click.version_option(package_name="nanotabpfn-priors", prog_name="priors")
def main() -> None:
    """Sample datasets from structural causal models and write them as HDF5 prior dumps.

    \b
    priors presets                                      # which priors there are
    priors generate mine.h5 --num-datasets 20000        # sample from one
    priors inspect mine.h5                              # what the file holds
    priors validate mine.h5                             # whether it is complete and keeps the rules
    priors audit mine.h5                                # how much there is to learn from it
    nanotabpfn train --dump mine.h5 --out runs/mine     # train on it
    """


if __name__ == "__main__":
    main()
