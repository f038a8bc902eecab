"""scripts/starts.py: its records, what it does not train again, its table."""

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from priors.config import PriorConfig
from priors.presets import PRESETS

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "starts.py"))
GLOBALS = SCRIPT["main"].commands["train"].callback.__globals__
TINY = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)


def run(*arguments):
    return CliRunner().invoke(SCRIPT["main"], [str(argument) for argument in arguments])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    sizes = {"embedding_size": 8, "num_attention_heads": 2, "mlp_hidden_size": 8, "num_layers": 1}
    changes = {"STEPS": 4, "EVAL_EVERY": 2, "BATCH_SIZE": 4, "HELD_OUT": 4, "SIZES": sizes}
    for name, value in changes.items():
        monkeypatch.setitem(GLOBALS, name, value)


def record(loss, seed, warm_up=0, peak=0.9):
    losses = [peak] + [loss] * 299
    held_out = {str(step): {"held_out_loss": loss + 0.01} for step in (100, 200, 300)}
    return {
        "prior": {"preset": "default", "prior_version": 2},
        "warm_up": warm_up,
        "seed": seed,
        "loss": losses,
        "class_shares": [0.55] * 300,
        "held_out": held_out,
    }


def test_records_hold_every_step_and_are_not_made_again(tmp_path, small):
    arguments = ["train", "--prior", "tiny", "--warm-up", 0, "--warm-up", 2, "--seeds", 1, "--work", tmp_path]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["tiny-0-0.json", "tiny-2-0.json"]
    plain, warm = (json.loads(file.read_text()) for file in files)
    assert plain["prior"]["preset"] == "tiny"
    assert [len(plain[name]) for name in ("loss", "gradient_norm", "class_shares")] == [4, 4, 4]
    assert list(plain["held_out"]) == ["2", "4"]
    assert plain["class_shares"] == warm["class_shares"]  # the same datasets
    assert plain["loss"][0] == warm["loss"][0]  # and the same weights
    assert plain["loss"] != warm["loss"]
    before = [file.stat().st_mtime_ns for file in files]
    assert run(*arguments).exit_code == 0
    assert [file.stat().st_mtime_ns for file in files] == before


def test_the_summary_of_made_records_is_written_between_the_markers(tmp_path, small):
    assert run("train", "--prior", "tiny", "--warm-up", 2, "--seeds", 2, "--work", tmp_path).exit_code == 0
    page = tmp_path / "page.md"
    page.write_text(f"before\n{SCRIPT['BEGIN']}old\n{SCRIPT['END']}after\n")
    result = run("summary", "--work", tmp_path, "--page", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| `tiny` | 2 | 2 | 0 | 0.00 to 0.84 | not begun |" in text
    assert run("summary", "--work", tmp_path, "--page", page).exit_code == 0
    assert page.read_text() == text


def test_shares_losses_and_intervals():
    records = [record(0.56, 0), record(0.40, 1), record(0.42, 2), record(0.3, 0, warm_up=100, peak=0.7)]
    rows = [line.split(" | ") for line in SCRIPT["summary"](records).splitlines() if line.startswith("| `")]
    assert rows[0][1:6] == ["0", "3", "2", "0.09 to 0.99", "50"]  # Clopper and Pearson's interval of 2 in 3
    assert rows[0][6:9] == ["0.460 ± 0.217"] * 3  # 4.303 standard errors
    assert rows[0][9:] == ["0.470 ± 0.217", "0.90 ± 0.00 |"]
    assert rows[1] == [
        "| `default`", "100", "1", "1", "0.03 to 1.00", "50", *["0.300"] * 3, "0.310", "0.70 |",
    ]  # fmt: skip


def test_few_seeds_are_said_to_be_few():
    few = SCRIPT["summary"]([record(0.4, seed) for seed in range(15)])
    assert "Fewer than the 16 that are planned" in few
    assert "Fewer" not in SCRIPT["summary"]([record(0.4, seed) for seed in range(16)])


def test_a_folder_without_records_and_a_page_without_markers_are_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text")
    assert "holds no records" in run("summary", "--work", tmp_path, "--page", page).output
    (tmp_path / "default-0-0.json").write_text(json.dumps(record(0.5, 0)))
    result = run("summary", "--work", tmp_path, "--page", page)
    assert result.exit_code == 2
    assert "lacks the markers" in result.output
    assert page.read_text() == "text"
