"""`benchmark.py score`: a row for each size of model, and equal losses."""

from benchmark import main
from click.testing import CliRunner


def test_it_compares_equal_scores():
    words = ["score", "--suite", "builtin", "--repeats", "1", "--threads", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("builtin, 4 tables, median [quartiles] of 1:\n")
    rows = [line.split("|")[1:-1] for line in result.output.splitlines()[4:]]
    assert [row[0].strip() for row in rows] == ["published", "half the width, two layers"]
    assert all(float(row[4]) < 1e-5 for row in rows)
