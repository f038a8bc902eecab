"""What the tests of the report share: reports without figures, since drawing takes most of the time."""

import pytest

from nanotabpfn.studies import statistics
from nanotabpfn.studies.report import priors_sections, tables_section


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr(statistics, "NUM_RESAMPLES", 500)
    for name in ("critical_differences", "intervals", "learning_curves", "table_differences"):
        monkeypatch.setattr(tables_section, name, lambda *_: "<svg/>")
    for name in ("gallery", "heat_map", "scatter"):
        monkeypatch.setattr(priors_sections, name, lambda *_: "<svg/>")
