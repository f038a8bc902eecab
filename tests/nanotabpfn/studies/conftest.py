"""What the tests of studies share: two small suites of tables, small forests."""

import pytest
from small_study import WHOLE_FORESTS, make_studies_small, set_forests


@pytest.fixture(autouse=True)
def small_studies(monkeypatch):
    make_studies_small(monkeypatch)


@pytest.fixture
def whole_forests(small_studies, monkeypatch):
    """For tests that compare with other processes, whose forests are not small."""
    set_forests(monkeypatch, WHOLE_FORESTS)
