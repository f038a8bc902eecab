"""What the tests of the report share: reports without figures, since drawing takes most of the time."""

import pytest

from nanotabpfn.studies import statistics
from nanotabpfn.studies.report import priors_sections, tables_section
from nanotabpfn.studies.report.figures import Picture


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr(statistics, "NUM_RESAMPLES", 500)
    for name in ("critical_differences", "intervals", "learning_curves", "table_differences"):
        monkeypatch.setattr(tables_section, name, lambda *_: Picture("<svg/>", b"%PDF"))
    for name in ("gallery", "heat_map", "scatter"):
        monkeypatch.setattr(priors_sections, name, lambda *_: Picture("<svg/>", b"%PDF"))
