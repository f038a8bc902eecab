"""The variance components that ship with the package: measured in finished studies, and chosen for a new one.

`scripts/variances.py` writes the file from the records of studies.
"""

import json
from functools import lru_cache
from importlib.resources import files
from math import log
from typing import Any, NamedTuple

import numpy as np

from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.studies.power import Components
from nanotabpfn.studies.spec import Study

FILE = "variances.json"


class Measured(NamedTuple):
    """Components of the differences between the arms of one study, after some of its steps."""

    suite: str
    recipe: str
    steps: int
    batch_size: int
    model: dict[str, int]
    row_samples: int
    num_cells: int
    source: str  # the folder of the study
    components: dict[str, Components]  # by metric

    def of(self, study: Study, metric: str) -> Components:
        """The components of a metric with as many row samples as a study has."""
        return self.components[metric].with_row_samples(study.row_samples / self.row_samples)


@lru_cache
def measured_variances() -> tuple[Measured, ...]:
    """All components that ship.

    >>> sorted({one.suite for one in measured_variances()})
    ['nano-test', 'open']
    """
    entries = json.loads((files("nanotabpfn.studies") / FILE).read_text(encoding="utf-8"))
    return tuple(_read(entry) for entry in entries)


def _read(entry: dict[str, Any]) -> Measured:
    components = {metric: Components(**values) for metric, values in entry.pop("components").items()}
    return Measured(**entry, components=components)


def nearest_variances(study: Study) -> Measured:
    """Those of the same suite where there are any, else of the other half of its tables; then of the same
    model and recipe, and of the nearest number of steps.

    >>> nearest_variances(Study(name="s", arms={"a": {"preset": "default"}}, steps=200)).steps
    240
    """

    [suite, *_], model = study.suites, study.model.model_dump()

    def distance(one: Measured) -> tuple[bool, bool, bool, bool, float]:
        is_other = one.suite != suite, _both_halves(one.suite) != _both_halves(suite), one.model != model
        return *is_other, one.recipe != study.recipe, abs(log(one.steps / study.steps))

    return min(measured_variances(), key=distance)


def _both_halves(suite: str) -> str:
    """The suite of which another one is the half for choosing or for claims."""
    return suite.removesuffix("-dev").removesuffix("-test")


def unlike(study: Study, found: Measured) -> str:
    """What a study does not have in common with the one in which components were measured, in words; empty
    if all.

    >>> study = Study(name="s", arms={"a": {"preset": "default"}}, recipe="mean-pooling", batch_size=16)
    >>> unlike(study, nearest_variances(study))
    'steps 384, not 240'
    """
    pairs = {
        "suite": (study.suites[0], found.suite),
        "recipe": (study.recipe, found.recipe),
        "steps": (study.steps, found.steps),
        "model": (_words(study.model.model_dump()), _words(found.model)),
        "batch size": (study.batch_size, found.batch_size),
        "warm start": ("none" if study.warm_start is None else f"of {study.warm_start.steps} steps", "none"),
    }
    return ", ".join(f"{name} {own}, not {its}" for name, (own, its) in pairs.items() if own != its)


def _words(model: dict[str, int]) -> str:
    return f"with {', '.join(f'{name} {value}' for name, value in model.items())}"


def rounded(components: dict[str, Components]) -> dict[str, dict[str, float]]:
    """The components of all METRICS for the file, with three digits."""
    return {
        metric: {name: float(np.format_float_positional(value, 3, fractional=False, trim="-"))
                 for name, value in components[metric]._asdict().items()}
        for metric in METRICS
    }  # fmt: skip
