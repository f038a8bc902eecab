"""Audits as text: the summary by hand, the table, shares in words."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from priors.audit.audit import Audit
from priors.audit.measure import LEVELS, Measures
from priors.audit.report import describe_audit, in_words, markdown_table


def test_summary_by_hand():
    rows = [
        # record, rows, features, classes, forest, linear, smallest, correlation, constant, repeated, missing
        Measures(0, 100, 2, 2, 0.55, 0.49, 0.5, 0.1, 0.5, 0.0, 0.0),
        Measures(1, 100, 8, 2, 0.99, 1.0, 0.3, 0.9, 0.0, 0.25, 0.5),
        Measures(2, 100, 2, 3, math.nan, math.nan, 0.1, math.nan, 0.0, 0.0, 0.0),
        Measures(3, 100, 8, 2, 0.75, 0.85, 0.2, 0.2, 0.0, 0.0, 0.0),
    ]
    found = Audit("by hand", "classification", 4, (), (), "half", 0, tuple(rows))
    summary = found.summary()
    assert summary["scored"] == 3
    assert summary["at_chance"] == summary["trivial"] == pytest.approx(1 / 3)
    assert summary["beats_linear"] == summary["loses_to_linear"] == pytest.approx(1 / 3)
    assert summary["uncorrelated"] == pytest.approx(1 / 3)
    assert (summary["constant"], summary["repeated"], summary["missing"]) == (1 / 20, 2 / 20, 4 / 20)
    assert summary["with_constant"] == summary["with_repeated"] == 1 / 4
    assert summary["quantiles"]["forest"] == pytest.approx(np.quantile([0.55, 0.99, 0.75], LEVELS))
    assert summary["quantiles"]["smallest_class"][2] == pytest.approx(0.25)
    text = describe_audit(found)
    assert "100 rows, 2 to 8 features, 2 to 3 classes" in text
    assert "1 could not be scored" in text
    assert "constant columns: 5%, in 25% of the datasets" in text
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["datasets"]["forest"] == [0.55, 0.99, None, 0.75]
    assert plain["summary"]["scored"] == 3
    [header, rule, row] = markdown_table([found]).splitlines()
    assert header.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| by hand | 0.57 / 0.65 / 0.75 / 0.87 / 0.97 | 0.85 | 33% | 33% | 33%, 33% |")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "none"), (1, "all"), (0.5, "half"), (0.002, "1 in 500"), (0.03, "1 in 30"), (0.0061, "1 in 160"),
        (0.07, "1 in 14"), (0.11, "1 in 10"), (0.38, "4 in 10"), (0.52, "about half"), (0.94, "9 in 10"),
        (0.97, "nearly all"),
    ],
)  # fmt: skip
def test_shares_in_words(share, words):
    assert in_words(share) == words


@given(st.floats(1e-6, 0.949))
@example(0.006723056036398667)  # 1 / 148.7
@example(1 / 149.99)
@example(1 / 250)
@example(0.15)
def test_the_words_are_never_far_from_the_share(share):
    numerator, _, denominator = in_words(share).partition(" in ")
    if denominator:
        said = int(numerator) / int(denominator.replace(",", ""))
        # "1 in 200" is said of shares down to 1 in 250; "1 in 10" of shares up to 0.15.
        assert said == pytest.approx(share, rel=0.26 if share < 0.095 else 0.34)
    else:
        assert "half" in numerator
        assert share == pytest.approx(0.5, abs=0.05)
