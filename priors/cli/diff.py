"""`priors diff`: the settings in which two priors differ, and the properties in which two dumps do."""

from pathlib import Path
from typing import Any, NamedTuple

import click

from priors.cli.options import complete_sources
from priors.config import load_config
from priors.console import PlainError, json_option, printable, report
from priors.dumps.provenance import prior_version
from priors.dumps.read import Dump, open_dump
from priors.dumps.recorded_prior import settings_in
from priors.presets import PRESETS
from priors.registry import nearest_or_all
from priors.settings import differences, write_setting

SHOWN = 0.05
"""Properties with a smaller adjusted p-value differ."""


class Side(NamedTuple):
    """One of the two that are compared."""

    source: str
    settings: dict[str, Any] | None
    """The config as plain values; None for a dump that does not hold its config."""
    dump: Dump | None

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"source": self.source, "has_config": self.settings is not None}
        if self.dump is not None:
            seed = self.dump.attributes.get("seed")
            found |= {"num_datasets": len(self.dump), "seed": None if seed is None else str(seed)}
            found |= {"prior_version": prior_version(self.dump)} if self.settings is not None else {}
        return found

    def describe(self) -> str:
        if self.dump is None:
            return self.source
        found = self.document()
        parts = [f"{found['num_datasets']:,} datasets"]
        parts += [f"seed {found['seed']}"] if found["seed"] is not None else []
        parts += [f"version {found['prior_version']} of the prior"] if "prior_version" in found else []
        return f"{self.source} ({', '.join(parts)})"


@click.command()
@click.argument("first", metavar="A", shell_complete=complete_sources)
@click.argument("second", metavar="B", shell_complete=complete_sources)
@json_option
def diff(first: str, second: str, as_json: bool) -> None:
    """Show in what A and B differ, each a preset, the JSON file of a config, or a dump.

    Of two priors, every setting with both values. A dump has the settings that it was made with. Of two dumps
    also the properties of their datasets: two-sample Kolmogorov-Smirnov tests, chi-squared tests of names,
    with p-values adjusted for their number (Holm). The distance is the largest difference of the two
    cumulative distributions, from 0 to 1: in large dumps, small differences are significant too.

    \b
    priors diff default mixed
    priors diff default mine.json
    priors diff mine.h5 theirs.h5
    priors diff mine.h5 default --json
    """
    sides = _open(first), _open(second)
    try:
        settings = None
        if all(side.settings is not None for side in sides):
            settings = differences(sides[0].settings, sides[1].settings)
        tests = None
        if all(side.dump is not None for side in sides):
            from priors.audit.compare import compare_dumps  # scipy.stats takes a while to import

            tests = compare_dumps(sides[0].dump, sides[1].dump)
        text = [
            f"A  {sides[0].describe()}",
            f"B  {sides[1].describe()}",
            *_describe_settings(sides, settings),
        ]
        text += _describe_tests(tests)
        document = {"a": sides[0].document(), "b": sides[1].document()}
        document["settings"] = settings and {path: {"a": a, "b": b} for path, (a, b) in settings.items()}
        document["properties"] = tests and [test._asdict() for test in tests]
        report(as_json, printable("\n".join(text)), document)
    finally:
        for side in sides:
            if side.dump is not None:
                side.dump.close()


def _open(source: str) -> Side:
    """A preset, a config or a dump by its name; a file goes before a preset."""
    path = Path(source)
    if source in PRESETS and not path.exists():
        return Side(source, PRESETS[source].plain(), None)
    if not path.exists():
        raise PlainError(f"{source}: no such file, and no preset; {nearest_or_all(source, PRESETS)}")
    if path.suffix == ".json":
        return Side(source, load_config(path).plain(), None)
    dump = open_dump(path)
    return Side(source, settings_in(dump), dump)


def _describe_settings(sides: tuple[Side, Side], found: dict[str, tuple[Any, Any]] | None) -> list[str]:
    if found is None:
        without = " and ".join(side.source for side in sides if side.settings is None)
        return ["", f"Settings: not compared, {without} does not say with which it was made."]
    if not found:
        return ["", "Settings: the same."]
    lines = ["", f"Settings: {len(found)} differ."]
    for path, values in found.items():
        lines += [f"  {name}  {write_setting(path, value)}" for name, value in zip("AB", values, strict=True)]
    return lines


def _describe_tests(tests: list | None) -> list[str]:
    if tests is None:
        return []
    differing = [test for test in tests if test.adjusted < SHOWN]
    lines = ["", f"Properties: {len(differing)} of {len(tests)} differ (adjusted p below {SHOWN})."]
    width = max((len(test.name) for test in differing), default=0)
    for test in differing:
        p_value = f"p {test.adjusted:.2g}" if test.adjusted >= 1e-12 else "p < 1e-12"
        lines.append(f"  {test.name:<{width}}  distance {test.distance:.3f}, {p_value}")
        lines += [
            f"    {name}  {_values(test, values)}" for name, values in zip("AB", test.values, strict=True)
        ]
    same = [test.name for test in tests if test.adjusted >= SHOWN]
    return lines + ([f"  not shown to differ: {', '.join(same)}"] if same else [])


def _values(test: Any, values: dict[str, float]) -> str:
    if test.test == "chi-squared":
        return ", ".join(f"{name} {share:.1%}" for name, share in values.items() if share)
    low, middle, high = values.values()
    return f"median {middle:.4g}, 5% {low:.4g}, 95% {high:.4g}"
