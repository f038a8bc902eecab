"""Domains: a config whose ranges leave those of a family's parameters is refused with the field."""

import pytest

from priors.config import ConfigError, PriorConfig, with_overrides
from priors.families.categories import CONVERTERS
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.registry import parameters_of

DOMAINS = [
    ("mlp", "width", (-3, 4), "1..1024"),
    ("oblivious_trees", "depth", (2, 40), "1..20"),
    ("decision_trees", "depth", (0, 4), "1..20"),
    ("layered", "dropout", (0, 2), "0..1"),
    ("nearest_prototype", "num_prototypes", (0, 4), "1..1000"),
    ("ordered_cuts", "num_categories", (1, 4), "2..1000"),
    ("random_fourier_features", "frequency", (-1, 1), "0..100"),
]


@pytest.mark.parametrize(("family", "parameter", "values", "domain"), DOMAINS)
def test_ranges_outside_of_a_family_s_domain_are_refused_with_the_field(family, parameter, values, domain):
    kind = type(parameters_of({**GRAPHS, **MECHANISMS, **CONVERTERS}[family])[parameter].default)
    shown = f"({kind(values[0])}, {kind(values[1])})"
    with pytest.raises(ConfigError) as refused:
        with_overrides(PriorConfig(), {"parameters": {family: {parameter: values}}})
    assert str(refused.value) == f"parameters: {family}: {parameter} must be in {domain}, got {shown}"


def test_every_number_of_every_family_has_a_domain_and_its_ends_can_be_drawn():
    for family in {**GRAPHS, **MECHANISMS, **CONVERTERS}.values():
        for parameter in parameters_of(family).values():
            if not isinstance(parameter.default, str):
                [domain] = parameter.annotation.__metadata__
                assert domain.low <= parameter.default <= domain.high
