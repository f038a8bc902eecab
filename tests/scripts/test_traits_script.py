"""scripts/traits.py: known traits of made tables, and the table in docs/prior.md."""

import numpy as np
import pytest
import traits
from click.testing import CliRunner

Y = np.arange(200) % 2
NORMAL = np.random.default_rng(0).normal(size=(200, 4))
HALF = NORMAL.copy()
HALF[100:] = HALF[:100]
COUNTS = np.column_stack([NORMAL[:, 0], np.arange(200) % 5, np.arange(200) // 199, np.arange(200) // 100])


@pytest.mark.parametrize(
    ("trait", "x", "expected"),
    [
        (traits.repeats, NORMAL, 0),
        (traits.repeats, HALF, 0.5),
        (traits.few_values, COUNTS, 0.75),
        (traits.rare_values, COUNTS, 1 / 3),
        (traits.rare_values, NORMAL, 0),
        (traits.skewed, np.column_stack([NORMAL[:, :3], np.exp(NORMAL[:, 3])]), 0.25),
        (traits.far_cells, COUNTS, 0.25),
        (traits.skewed, np.ones((200, 2)) * np.array([1, 0]) + NORMAL[:, :1], 0),
    ],
)
def test_known_traits(trait, x, expected):
    assert trait(x, Y) == pytest.approx(expected)


def test_the_features_that_explain_a_target():
    of_one = NORMAL.copy()
    of_one[:, 0] = 10 * Y + NORMAL[:, 0]
    assert traits.used_features(of_one, Y) < 0.5 < 0.9 < traits.used_features(NORMAL, Y)


def test_the_page_gets_a_row_for_each_trait(tmp_path, monkeypatch):
    monkeypatch.setattr(traits, "real_tables", lambda: [(COUNTS, Y)] * 3)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{traits.BEGIN}\n{traits.END}\nafter\n")
    result = CliRunner().invoke(traits.main, ["--page", str(page)])
    assert result.exit_code == 0, result.output
    assert "Share of the columns with at most 20 distinct values | 0.75 (0.75 to 0.75)" in page.read_text()
    shown = traits.PAGE.read_text(encoding="utf-8").partition(traits.BEGIN)[2].partition(traits.END)[0]
    for trait, settings in traits.TRAITS.items():
        assert trait.__doc__.rstrip(".") in shown
        assert settings in shown
