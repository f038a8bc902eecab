"""Compares what priors draw with what their configs declare, setting by setting, over many datasets.

python scripts/marginals.py default mixed --num-datasets 200000 --write docs/prior.md
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from math import ceil, log
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from page_parts import write_part
from scipy import stats
from tqdm import tqdm

from priors.config import PriorConfig
from priors.dataset import Dataset
from priors.distributions import Choice, LogUniform
from priors.families.categories import CONVERTERS
from priors.families.mechanisms import MECHANISMS, aggregate, drifting
from priors.families.noise import NOISE_KINDS, NOISES
from priors.presets import PRESETS
from priors.sampling.blocks import shared_in_block
from priors.sampling.dataset import sample_with_model
from priors.sampling.random_scm import RandomSCM
from priors.streams import DATASET, stream

NODES = 10
"""First key of the stream that chooses the nodes of a dataset whose settings are recorded."""

Drawn = dict[str, list[Any]]
"""Setting -> the values drawn: of a dataset, of a block, or of one node of each dataset."""


class Row(NamedTuple):
    """One setting: what is declared, what was drawn, and how far the two are apart."""

    setting: str
    declared: str
    num: int
    found: str
    """Shares of the names or numbers or, of a real range, of its tenths."""
    difference: float
    """Largest difference of a share, or of the distribution functions."""
    test: str
    p: float


@click.command()
@click.argument("presets", nargs=-1, type=click.Choice(list(PRESETS)), required=True)
@click.option("--num-datasets", type=click.IntRange(min=1), default=200_000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--write",
    "page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A page that gets the tables, between the lines <!-- marginals: PRESET --> and <!-- end -->.",
)
def main(presets: tuple[str, ...], num_datasets: int, seed: int, page: Path | None) -> None:
    """Print a table for each of PRESETS: every setting with its declaration, and a test of the difference."""
    for preset in presets:
        drawn = draw(PRESETS[preset], num_datasets, seed, preset)
        text = table(preset, rows_of(PRESETS[preset], drawn), num_datasets, seed)
        click.echo(text)
        if page:
            try:
                write_part(page, f"<!-- marginals: {preset} -->", "<!-- end -->", text)
            except ValueError as error:
                raise click.ClickException(f"{page}: {error}") from error


def draw(config: PriorConfig, num_datasets: int, seed: int, name: str) -> Drawn:
    """The settings of the first datasets of (config, seed).

    Of each dataset one root, one node with parents and one category are recorded, so that values of one
    setting are independent of each other.
    """
    drawn: Drawn = defaultdict(list)
    for index in tqdm(range(num_datasets), desc=name, unit="dataset", disable=None):
        if index % config.block_size == 0:
            of_block, single_eval_pos = shared_in_block(config, seed, index // config.block_size)
            drawn["num_features"].append(of_block.num_features[0])
            drawn["single_eval_pos"].append(single_eval_pos)
        dataset, _, model = sample_with_model(of_block, stream(seed, DATASET, index), single_eval_pos)
        record(drawn, dataset, model, stream(seed, NODES, index))
    return drawn


def record(drawn: Drawn, dataset: Dataset, model: RandomSCM, rng: np.random.Generator) -> None:
    """Append the settings of a dataset, and of one of its nodes of each kind."""
    for name in ("graph", "num_classes", "num_nodes"):
        drawn[name].append(dataset.properties[name])
    scm, uniforms = model.scm, rng.random(3).tolist()
    roots = [node for node in scm.nodes if node not in scm.mechanisms]
    drawn["roots"].append(name_of(scm.noises[_one_of(roots, uniforms[0])], NOISES))
    node = _one_of([*scm.mechanisms], uniforms[1])
    noise, scale = scm.noises[node].args
    drawn["noises"].append(name_of(noise, NOISES))
    drawn["noise_scale"].append(scale)
    kind = scm.noise_kinds.get(node)
    drawn["noise_kinds"].append("additive" if kind is None else name_of(kind, NOISE_KINDS))
    mechanism, aggregation = scm.mechanisms[node], "joint"
    while isinstance(mechanism, partial) and mechanism.func in (drifting, aggregate):
        aggregation = mechanism.args[0] if mechanism.func is aggregate else aggregation
        mechanism = mechanism.args[-1]
    if len(scm.parents[node]) > 1:  # a single parent is joined with nothing
        drawn["aggregations"].append(aggregation)
    _record_family(drawn, "mechanisms", mechanism, MECHANISMS)
    categories = [node for node in scm.nodes if node in model.categorical]
    if categories:
        _record_family(drawn, "converters", scm.converters[_one_of(categories, uniforms[2])], CONVERTERS)


def _one_of(nodes: Sequence[Any], uniform: float) -> Any:
    return nodes[int(uniform * len(nodes))]


def _record_family(drawn: Drawn, setting: str, family: Any, registry: dict[str, Any]) -> None:
    name = name_of(family, registry)
    drawn[setting].append(name)
    for parameter, value in getattr(family, "keywords", {}).items():
        drawn[f"parameters.{name}.{parameter}"].append(value)


def name_of(family: Any, registry: dict[str, Any]) -> str:
    """The name of a family, whose parameters may be set already."""
    function = family.func if isinstance(family, partial) else family
    return next(name for name, known in registry.items() if known is function)


def rows_of(config: PriorConfig, drawn: Drawn) -> list[Row]:
    """A row for each setting that leaves something open and was drawn."""
    rows = []
    for setting in ("graph", "mechanisms", "aggregations", "roots", "noises", "noise_kinds", "converters"):
        weights = getattr(config, "graphs" if setting == "graph" else setting)
        if drawn[setting] and sum(weight > 0 for weight in weights.values()) > 1:
            total = sum(weights.values())
            shares = {name: weight / total for name, weight in sorted(weights.items()) if weight > 0}
            rows.append(discrete(setting, "weights", drawn[setting], shares))
    for setting, values in (("num_classes", config.num_classes), ("num_features", config.num_features)):
        rows += _of_range(setting, values, drawn[setting])
    rows += _of_range("single_eval_pos", config.split_range, drawn["single_eval_pos"])
    if config.num_features[0] == config.num_features[1]:
        expected = shares_of_num_nodes(config)
        rows.append(discrete("num_nodes", "num_nodes and hidden_fraction", drawn["num_nodes"], expected))
    rows += _of_range("noise_scale", config.noise_scale, drawn["noise_scale"])
    for name, ranges in config.parameters.items():
        for parameter, values in ranges.items():
            setting = f"parameters.{name}.{parameter}"
            rows += _of_range(setting, values, drawn[setting])
    return rows


def _of_range(setting: str, values: Sequence[Any], found: list[Any]) -> list[Row]:
    """The row of a range or list; none if nothing is open or was drawn."""
    if not found or len(set(values)) == 1:
        return []
    if isinstance(values[0], str):
        return [discrete(setting, "equal", found, dict.fromkeys(values, 1 / len(values)))]
    low, high = values
    is_log = isinstance(values, LogUniform)
    if isinstance(values, Choice):
        total = sum(values.weights.values())
        shares = {number: weight / total for number, weight in values.weights.items()}
        return [discrete(setting, "weights", found, shares)]
    if isinstance(low, int):
        numbers = np.arange(low, high + 1)
        lengths = np.log((numbers + 1) / numbers) if is_log else np.ones(len(numbers))
        shares = dict(zip(numbers.tolist(), (lengths / lengths.sum()).tolist(), strict=True))
        return [discrete(setting, f"{'log-uniform ' * is_log}integers {low} to {high}", found, shares)]
    return [continuous(setting, f"{'log-' * is_log}uniform {low:g} to {high:g}", found, low, high, is_log)]


def shares_of_num_nodes(config: PriorConfig) -> dict[int, float]:
    """The distribution that two declared ranges give: of the drawn number, and of the hidden share."""
    low, high = config.num_nodes
    least, most = config.hidden_fraction
    shares: dict[int, float] = defaultdict(float)
    steps = 2000
    for step in range(steps):
        hidden = least + (step + 0.5) / steps * (most - least)
        needed = ceil((config.num_features[0] + 1) / (1 - hidden))
        for number in range(low, high + 1):
            shares[max(number, needed)] += 1 / steps / (high - low + 1)
    return dict(sorted(shares.items()))


def discrete(setting: str, declared: str, found: list[Any], shares: dict[Any, float]) -> Row:
    """A chi-square test of names or integers.

    >>> discrete("mix", "weights", ["a"] * 30 + ["b"] * 10, {"a": 0.75, "b": 0.25}).p
    1.0
    """
    counts = np.array([found.count(value) for value in shares])
    expected = np.array([*shares.values()])
    test = stats.chisquare(counts, expected * counts.sum())
    names = [str(value) for value in shares]
    share = counts / counts.sum()
    pairs = zip(names, share, expected, strict=True)
    if len(names) <= 10:
        text = ", ".join(f"{name} {of:.4f} ({wanted:.4f})" for name, of, wanted in pairs)
    else:
        text = f"{len(names)} values, shares {share.min():.4f} to {share.max():.4f}"
    difference = float(np.abs(share - expected).max())
    return Row(
        setting,
        declared,
        len(found),
        text,
        difference,
        f"chi2({len(names) - 1}) {test.statistic:.1f}",
        float(test.pvalue),
    )


def continuous(
    setting: str, declared: str, found: list[float], low: float, high: float, is_log: bool = False
) -> Row:
    """A Kolmogorov-Smirnov test of real numbers, uniform in their range or in its logarithm.

    >>> round(continuous("rate", "uniform 0 to 1", [0.125, 0.375, 0.625, 0.875], 0, 1).difference, 3)
    0.125
    """
    values = np.array(found)
    place = np.log(values / low) / log(high / low) if is_log else (values - low) / (high - low)
    test = stats.kstest(place, "uniform")
    tenths = np.histogram(place, bins=10, range=(0, 1))[0] / len(values)
    text = " ".join(f"{share:.3f}".lstrip("0") for share in tenths)
    return Row(
        setting,
        declared,
        len(found),
        text,
        float(test.statistic),
        f"KS {test.statistic:.4f}",
        float(test.pvalue),
    )


def table(preset: str, rows: Sequence[Row], num_datasets: int, seed: int) -> str:
    """The rows as Markdown."""
    lowest = min(row.p for row in rows)
    lines = [
        f"`{preset}`, {num_datasets:,} datasets of seed {seed}; the lowest p of {len(rows)} settings is "
        f"{lowest:.2g}:",
        "",
        "| setting | declared | draws | found (declared), or shares of tenths of the range "
        "| largest difference | test | p |",
        "|---|---|--:|---|--:|---|--:|",
    ]
    for row in rows:
        numbers = f"{row.difference:.4f} | {row.test} | {row.p:.3g}"
        lines.append(f"| `{row.setting}` | {row.declared} | {row.num:,} | {row.found} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
