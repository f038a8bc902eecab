"""Options and progress bars that several commands of `priors` share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click
import networkx as nx
from click.shell_completion import CompletionItem
from tqdm import tqdm

from priors.config import PriorConfig, changes_from, load_config, with_overrides
from priors.console import Choice, Seed, parse_override, printable
from priors.graph_files import read_graph
from priors.presets import PRESETS
from priors.settings import REPLACE, write_differences, write_setting, write_value

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, path_type=Path)

SET_BY_GRAPH = {"graph", "num_features", "num_nodes"}
WITHOUT_EFFECT = SET_BY_GRAPH | {
    "graphs",
    "hidden_fraction",
    "target_position",
    "allow_descendants",
    "relevant_fraction",
}
"""Fields that a graph of the user's own decides, or that choose among drawn ones."""

set_option = click.option(
    "--set",
    "overrides",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Change one setting of the prior; may be repeated: num_features=3, 'num_features=[2, 10]', "
    "mechanisms=mlp, 'parameters.mlp.width=[30, 40]' (other parameters stay; replace.parameters={} drops "
    "them).",
)
seed_option = click.option(
    "--seed", type=Seed(), default=0, show_default=True, help="Seed, from 0 to 2**128 - 1."
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")


def complete_presets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The presets that begin so, for the completion of shells."""
    return [CompletionItem(name) for name in PRESETS if name.startswith(incomplete)]


def complete_sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The presets that begin so, and files."""
    return [*complete_presets(ctx, param, incomplete), CompletionItem(incomplete, type="file")]


class Prior(NamedTuple):
    """What `prior_options` chose."""

    source: str
    """The preset or the file."""
    config: PriorConfig
    changes: dict[str, tuple[Any, Any]]
    """path -> (value, value in the source), for all that --set has changed."""

    @property
    def title(self) -> str:
        """The prior in a line: the source, and what was changed of it."""
        return titled(self.source, self.changes)

    def describe(self) -> str:
        """The prior with every value that was changed, one in a line."""
        return "\n".join(
            [f"prior: {self.source}{' with' if self.changes else ''}", *describe_changes(self.changes)]
        )


def titled(source: str, changes: dict[str, tuple[Any, Any]]) -> str:
    """A prior in a line: its source, and what was changed of it."""
    return f"{source} with {write_differences(changes)}" if changes else source


def describe_changes(changes: dict[str, tuple[Any, Any]]) -> list[str]:
    """A line for each change: the setting, and the value that it replaces."""
    return [
        f"  {write_setting(path, value)}  (instead of {write_value(old)})"
        for path, (value, old) in changes.items()
    ]


def new_values(changes: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """path -> new value, of changes."""
    return {path: new for path, (new, _) in changes.items()}


class OwnGraphOptions(NamedTuple):
    """A graph of the user's own: its file, and what is predicted and shown of it."""

    file: Path | None
    target: str | None
    features: str | None

    def changes(self) -> dict[str, Any]:
        """The fields of a PriorConfig that the graph sets.

        Raises:
            click.UsageError: a target or features without a graph; a graph without a target.
            ConfigError: the file holds no such graph.
        """
        if not self.file:
            if self.target is not None or self.features is not None:
                raise click.UsageError("--target and --features need --graph")
            return {}
        names = None
        if self.features is not None:
            names = [name.strip() for name in self.features.split(",")]
        graph = read_graph(self.file, self.target, names)
        if "target" not in nx.get_node_attributes(graph, "role").values():
            known = ", ".join(map(str, graph))
            raise click.UsageError(
                f"{self.file} names no target: --target NODE does, one of {printable(known)}"
            )
        return {"graph": graph, "num_features": (5, 5)}


def prior_options(command: Callable) -> Callable:
    """Add the options that choose a prior to a command, which gets them as one argument, `prior`."""

    @click.option("--preset", type=Choice(list(PRESETS)), help="Named prior.  [default: default]")
    @click.option(
        "--config",
        "config_file",
        type=EXISTING,
        help="Prior from a JSON file, such as `priors presets NAME` prints.",
    )
    @set_option
    @click.option(
        "--graph",
        "graph_file",
        type=EXISTING,
        help="A graph of your own for all datasets: .graphml, .dot, or .txt with a line `cause effect` per "
        "edge.",
    )
    @click.option(
        "--target",
        metavar="NODE",
        help="The node of --graph to predict.  [default: the one with role=target]",
    )
    @click.option(
        "--features",
        metavar="NODE,...",
        help="The nodes of --graph that are columns of the tables; the others are hidden.  [default: those "
        "with role=feature, or no role]",
    )
    @wraps(command)
    def with_prior(
        preset: str | None,
        config_file: Path | None,
        overrides: tuple[str, ...],
        graph_file: Path | None,
        target: str | None,
        features: str | None,
        **others: Any,
    ) -> None:
        graph = OwnGraphOptions(graph_file, target, features)
        command(prior=_chosen_prior(preset, config_file, overrides, graph), **others)

    return with_prior


def _chosen_prior(
    preset: str | None, config_file: Path | None, overrides: tuple[str, ...], graph: OwnGraphOptions
) -> Prior:
    if preset and config_file:
        raise click.UsageError("--preset and --config exclude each other")
    config = load_config(config_file) if config_file else PRESETS[preset or "default"]
    given = dict(map(parse_override, overrides))
    for path in given:
        if graph.file and path.removeprefix(REPLACE).partition(".")[0] in WITHOUT_EFFECT:
            raise click.UsageError(f"--set {path}: has no effect with --graph, which decides it")
    changed = with_overrides(config, graph.changes() | given)
    changes = changes_from(changed, config)
    if graph.file:  # it is the source, and sets the sizes
        changes = {path: change for path, change in changes.items() if path not in SET_BY_GRAPH}
    file = graph.file or config_file
    return Prior(file.name if file else preset or "default", changed, changes)


@contextmanager
def audit_progress(dump: Path, size: int, num_datasets: int, which: str = "") -> Iterator[tuple[tqdm, tqdm]]:
    """Bars for the pass over a dump of `size` records and for the measuring of a sample.

    Args:
        which: of several dumps, for the title.
    """
    with (
        tqdm(total=size, desc=f"read {dump}{which}", unit="record", disable=None) as reading,
        tqdm(total=min(size, num_datasets), desc="then measure", unit="dataset", disable=None) as measuring,
    ):
        yield reading, measuring
