"""scripts/recipes.py: which steps it counts, what it takes up again, what it refuses."""

import json
import runpy
from pathlib import Path

from click.testing import CliRunner

from nanotabpfn.training.recipes import RECIPES

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "recipes.py"))
steps_to = SCRIPT["_steps_to"]


def run(work, *arguments):
    words = ["--work", work, "--steps", 2, "--eval-every", 1, "--recipe", "muon", "--seed", 0, *arguments]
    return CliRunner().invoke(SCRIPT["main"], [str(word) for word in words])


def test_steps_are_counted_to_the_first_loss_that_is_not_above_the_target():
    assert steps_to(0.5, [0.7, 0.5, 0.6, 0.4], 20) == 40
    assert steps_to(0.3, [0.7, 0.5, 0.6, 0.4], 20) == float("inf")


def test_the_table_has_the_published_recipe_as_the_target_and_nothing_is_trained_twice(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    cells = {file.stem: json.loads(file.read_text()) for file in tmp_path.iterdir()}
    assert set(cells) == {"published-0", "muon-0"}
    assert all(len(cell["losses"]) == 2 for cell in cells.values())
    assert cells["muon-0"]["settings"]["training"] == RECIPES["muon"].training
    assert f"Target {cells['published-0']['losses'][-1]:.4f}" in result.output
    rows = [line.split(" | ") for line in result.output.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == ["| published", "| muon"]
    assert rows[2][3] == f"{cells['muon-0']['losses'][-1]:.4f}"

    changed = {**cells["muon-0"], "losses": [0.9, 0.1234]}
    (tmp_path / "muon-0.json").write_text(json.dumps(changed))
    assert "0.1234" in run(tmp_path).output

    result = run(tmp_path, "--steps", 3)
    assert result.exit_code == 1
    assert "was made with other settings; choose another --work" in result.output


def test_hostile_options_are_refused(tmp_path):
    result = run(tmp_path, "--recipe", "magic")
    assert result.exit_code == 2
    assert "magic" in result.output
