"""What the tests of studies share: two small suites of tables."""

import pytest
from small_study import add_toy_suites


@pytest.fixture(autouse=True)
def toy_suites(monkeypatch):
    add_toy_suites(monkeypatch)
