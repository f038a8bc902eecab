"""docs/notebooks: each runs from start to end, and is stored as scripts/notebooks.py stores it."""

import re
from pathlib import Path

import nbformat
import notebooks
import pytest
from click.testing import CliRunner
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

STORED = {name: nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4) for name in notebooks.NAMES}


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words(output):
    """The text of an output without its numbers, which differ from machine to machine; and its kinds."""
    data = output.get("data", {})
    text = data.get("text/markdown") or output.get("text") or data.get("text/plain", "")
    text = re.sub(r"[+-]?\d[\d.,]*", "#", text).replace("# min", "# s")
    return [output.output_type, *sorted(data), *text.split()]


def outline(notebook):
    """For each code cell, its source and the words of its outputs."""
    return [(cell.source, [words(output) for output in cell.outputs]) for cell in code_cells(notebook)]


def test_all_notebooks_are_known_and_on_the_site():
    assert {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == set(notebooks.NAMES)
    nav = (notebooks.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f"notebooks/{name}.md" in nav for name in notebooks.NAMES)


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_it_runs_from_start_to_end_without_a_warning(name, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = notebooks.executed(STORED[name])
    assert outline(found) == outline(STORED[name]), (
        f"python scripts/notebooks.py {name} stores the outputs anew"
    )
    streams = [
        output for cell in code_cells(found) for output in cell.outputs if output.output_type == "stream"
    ]
    assert [output.text for output in streams if output.name == "stderr"] == []


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_it_is_stored_with_its_outputs_and_nothing_of_the_machine(name):
    path = notebooks.FOLDER / f"{name}.ipynb"
    text = path.read_text(encoding="utf-8")
    assert notebooks.plain(STORED[name]) == STORED[name]
    assert len(text) < 300_000
    assert any(
        "image/png" in output.get("data", {}) for cell in code_cells(STORED[name]) for output in cell.outputs
    )
    assert "/tmp/" not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_it_begins_with_a_question_and_how_to_install_and_ends_with_what_was_learned(name):
    cells = STORED[name].cells
    assert "**Question: " in cells[0].source
    assert 'pip install -e ".[notebooks]"' in cells[0].source
    assert cells[-1].source.startswith("## What was learned\n")
    assert 8 <= len(code_cells(STORED[name])) <= 15
    assert max(len(cell.source.splitlines()) for cell in code_cells(STORED[name])) <= 24


def test_a_notebook_is_stored_with_what_it_prints_and_the_same_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    path = tmp_path / "own-prior.ipynb"
    source = "import os\nopen('mine.txt', 'w').close()\nprint(os.listdir())\n1 + 1"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Sum"), new_code_cell(source)]), path)
    texts = []
    for _ in range(2):
        result = CliRunner().invoke(notebooks.main, ["own-prior"], catch_exceptions=False)
        assert result.output == "own-prior.ipynb: 1 kB\n"
        texts.append(path.read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    stored = nbformat.read(path, as_version=4).cells[1]
    assert [output.get("text") or output.data for output in stored.outputs] == [
        "['mine.txt']\n",
        {"text/plain": "2"},
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_a_cell_with_an_error_ends_the_run():
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.executed(new_notebook(cells=[new_code_cell("1 / 0")]))
