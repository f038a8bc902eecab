"""docs/dump-format.md: its tables name what a dump holds, and its example makes a valid dump."""

import re
from pathlib import Path

import h5py

from priors import validate
from priors.dumps.schema import FORMAT_VERSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dump-format.md").read_text(encoding="utf-8")


def test_the_example_runs_and_makes_a_valid_dump(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    known = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        exec(code, known)
    assert capsys.readouterr().out == "2 (30, 4)\n"
    assert validate("tiny.h5").findings == []
    assert known["x_train"].shape == (20, 4)
    assert known["y_test"].shape == (10,)


def test_the_tables_name_all_that_a_dump_holds(tiny_dump):
    assert f"version {FORMAT_VERSION} of the format" in PAGE
    named = set(re.findall(r"`(\w+)`", "".join(line.split(" | ")[0] for line in PAGE.splitlines())))
    with h5py.File(tiny_dump) as file:
        assert set(file) - {"properties"} <= named
        assert set(file.attrs) <= named
