"""The race: cells that survive a kill, arms that start alike, and what the report says of known scores."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock
from scipy import stats

from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.evaluation.suites import Table
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.training.loop import train
from priors.config import PriorConfig

SCRIPT = Path(__file__).parents[2] / "scripts" / "race.py"


def load_script():
    spec = importlib.util.spec_from_file_location("race", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["race"] = module
    spec.loader.exec_module(module)
    return module


race = load_script()

SMALL = PriorConfig(
    num_datapoints=16, num_features=(2, 2), num_nodes=(4, 6), train_fraction=(0.4, 0.6), block_size=32
)


def small_tables(name):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 2))
    return [Table("even", x, np.arange(30) % 2), Table("sign", x, (x[:, 0] > 0).astype(int))]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Two small tables, a smaller model, the cheapest baselines."""
    monkeypatch.setattr(race, "load_suite", small_tables)
    monkeypatch.setattr(race, "NanoTabPFNModel", small_model)
    cheap = {name: race.BASELINES[name] for name in ("decision_tree", "logistic_regression")}
    monkeypatch.setattr(race, "BASELINES", cheap)


def small_model():
    return NanoTabPFNModel(8, 1, 8, 1)


@pytest.fixture
def peers(tmp_path):
    """A folder with one peer's file, in the peers' layout: 96 datasets, X as float16, number 5 damaged."""
    folder = tmp_path / "peers"
    folder.mkdir()
    rng = np.random.default_rng(1)
    x = rng.standard_normal((96, 16, 2)).astype(np.float16)
    x[5, 3, 1] = np.inf
    with h5py.File(folder / "their-scm_96_16x2_2.h5", "w") as file:
        file["X"] = x
        file["y"] = np.tile(np.arange(16, dtype=np.uint8) % 2, (96, 1))
        file["num_features"] = np.full(96, 2, np.int32)
        file["num_datapoints"] = np.full(96, 16, np.int32)
        file["single_eval_pos"] = np.repeat([6, 8, 10], 32).astype(np.int32)
        file["max_num_classes"] = np.array([2])
    return folder


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(SMALL.to_json(), encoding="utf-8")
    return path


def invoke(*words):
    return CliRunner().invoke(race.main, [str(word) for word in words])


def run(work, peers, config, *words):
    arms = ("--peers", peers, "--arm", "their-scm", "--arm", f"default={config}")
    seeds = () if "--model-seed" in words else ("--model-seed", 0, "--model-seed", 1)
    return invoke("run", "--work", work, *arms, *seeds, "--steps", 2, "--eval-every", 1, *words)


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_cell_is_the_published_training_from_the_seed_on_that_dump(tmp_path, peers, config):
    result = run(tmp_path / "work", peers, config)
    assert result.exit_code == 0, result.output
    names = {path.parent.name for path in tmp_path.glob("work/*/settings.json")}
    assert names == {"their-scm-0", "their-scm-1", "default-0", "default-1"}
    [sampled] = (tmp_path / "work" / "dumps").glob("*.h5")
    for arm, dump in [("their-scm", next(peers.glob("*.h5"))), ("default", sampled)]:
        torch.manual_seed(1)
        model, losses = small_model(), []
        loader = PriorDumpDataLoader(dump, 2, 32, "cpu", seed=1)
        train(
            model, loader, lr=4e-3, device="cpu", on_step=lambda record, to=losses: to.append(record["loss"])
        )
        folder = tmp_path / "work" / f"{arm}-1"
        assert [record["loss"] for record in history(folder)] == losses
        for got, wanted in zip(load_model(folder).parameters(), model.parameters(), strict=True):
            assert torch.equal(got, wanted)


def test_a_cell_trains_in_the_precision_asked_for(tmp_path, peers, config):
    result = run(tmp_path / "work", peers, config, "--precision", "bfloat16", "--model-seed", 1)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "work" / "their-scm-1"
    assert json.loads((folder / "settings.json").read_text())["precision"] == "bfloat16"
    losses = []
    torch.manual_seed(1)
    train(
        small_model(),
        PriorDumpDataLoader(next(peers.glob("*.h5")), 2, 32, "cpu", seed=1),
        lr=4e-3,
        device="cpu",
        on_step=lambda record: losses.append(record["loss"]),
        precision="bfloat16",
    )
    assert [record["loss"] for record in history(folder)] == losses


def test_scores_are_of_each_table_on_the_way_and_at_the_end(tmp_path, peers, config):
    run(tmp_path, peers, config, "--steps", 3, "--eval-every", 2, "--model-seed", 0)
    records = history(tmp_path / "default-0")
    assert [record["step"] for record in records if "roc_auc" in record] == [2, 3]
    scores = json.loads((tmp_path / "default-0" / "scores.json").read_text())
    assert {score["table"]: score["roc_auc"] for score in scores} == records[-1]["tables"]
    assert records[-1]["roc_auc"] == np.mean([score["roc_auc"] for score in scores])
    classifier = race.NanoTabPFNClassifier(load_model(tmp_path / "default-0"), "cpu")
    assert race.score_table(classifier, small_tables("")[1]) == records[-1]["tables"]["sign"]


def test_a_second_run_does_nothing_and_says_so(tmp_path, peers, config):
    run(tmp_path, peers, config)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = run(tmp_path, peers, config)
    assert result.output == f"{tmp_path}: 4 of 4 cells are there\n"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_repetition_and_damaged_datasets_are_told(tmp_path, peers, config):
    result = run(tmp_path, peers, config, "--steps", 6, "--model-seed", 0)
    assert "their-scm-0: 6 steps on their-scm_96_16x2_2.h5, repeated 2 times" in result.output
    assert "1 damaged datasets skipped" in result.output
    assert "default-0: 6 steps" in result.output
    assert result.output.count("repeated") == 1
    settings = json.loads((tmp_path / "their-scm-0" / "settings.json").read_text())
    assert (settings["passes"], settings["num_skipped"]) == (2, 1)
    result = invoke("report", "--work", tmp_path, "--out", tmp_path / "race.md")
    assert "| their-scm (1 damaged datasets skipped) | 2 | 1 |" in (tmp_path / "race.md").read_text()


def test_lines_are_logged_where_there_is_no_terminal(tmp_path, peers, config, monkeypatch):
    monkeypatch.setattr(race, "STEPS_PER_LINE", 2)
    result = run(tmp_path, peers, config, "--steps", 4, "--model-seed", 0)
    assert "their-scm-0: step 2 of 4, loss 0." in result.output
    assert "their-scm-0: step 4 of 4, loss 0." in result.output
    assert "step 3" not in result.output


KILLED = """
import os, sys
import pytest
sys.path.insert(0, {tests!r})
import test_race as t
t.race.load_suite, t.race.NanoTabPFNModel = t.small_tables, t.small_model
calls = []
def mortal(*args):
    calls.append(args)
    if len(calls) == {fatal}:
        os.kill(os.getpid(), 9)
    return save(*args)
save, t.race.{function} = t.race.{function}, mortal
t.race.main({words!r})
"""


# The fourth score is the second table's after the second step; what is read first is the history of a cell
# that has all its steps.
@pytest.mark.parametrize(
    ("function", "fatal", "step"), [("score_table", 4, "1"), ("_read", 1, "2")], ids=["training", "writing"]
)
def test_a_killed_run_leaves_no_cell_and_goes_on(tmp_path, peers, function, fatal, step):
    work = tmp_path / "work"
    words = ["run", "--work", work, "--peers", peers, "--arm", "their-scm", "--model-seed", 0, "--steps", 2]
    words = [str(word) for word in [*words, "--eval-every", 1]]
    code = KILLED.format(tests=str(Path(__file__).parent), fatal=fatal, function=function, words=words)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert not (work / "their-scm-0").exists()
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert f"on from step {step}" in result.output
    expected = tmp_path / "expected"
    invoke(*[str(expected) if word == str(work) else word for word in words])
    assert {path.name for path in (work / "their-scm-0").iterdir()} == {
        path.name for path in (expected / "their-scm-0").iterdir()
    }
    for name in ("scores.json", "settings.json"):
        found, wanted = (folder / "their-scm-0" / name for folder in (work, expected))
        assert json.loads(found.read_text()) == json.loads(wanted.read_text())
    losses = [[line["loss"] for line in history(folder / "their-scm-0")] for folder in (work, expected)]
    assert losses[0] == losses[1]
    assert not list(work.glob(".*.partial"))


def test_ctrl_c_leaves_no_cell(tmp_path, peers, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(race, "score_table", interrupted)
    result = invoke(
        "run", "--work", tmp_path, "--peers", peers, "--arm", "their-scm", "--steps", 3, "--eval-every", 2
    )
    assert result.exit_code == 1
    assert not (tmp_path / "their-scm-0").exists()


def test_a_cell_that_another_process_is_at_is_left_to_it(tmp_path, peers, config):
    (tmp_path / "locks").mkdir()
    with FileLock(tmp_path / "locks" / "their-scm-0.lock"):
        result = run(tmp_path, peers, config, "--model-seed", 0)
    assert "their-scm-0: another process is at it" in result.output
    assert (tmp_path / "default-0").exists()
    assert not (tmp_path / "their-scm-0").exists()


def test_a_cell_of_other_data_or_steps_is_never_taken_for_this_one(tmp_path, peers, config):
    run(tmp_path, peers, config, "--model-seed", 0)
    result = run(tmp_path, peers, config, "--model-seed", 0, "--steps", 3)
    assert result.exit_code == 2
    assert "their-scm-0 was made with another steps" in result.output
    config.write_text(json.dumps({**json.loads(SMALL.to_json()), "num_nodes": [4, 7]}), encoding="utf-8")
    result = run(tmp_path, peers, config, "--model-seed", 0)
    assert result.exit_code == 2
    assert "default-0 was made with another prior" in result.output


def test_the_fingerprint_follows_config_seed_and_code(monkeypatch):
    first = race.prior_fingerprint(SMALL, 0)
    assert race.prior_fingerprint(SMALL, 0) == first
    assert race.prior_fingerprint(SMALL, 1) != first
    sample_block = race.sample_block

    def changed(*args):
        return [dataset._replace(x=dataset.x + 1) for dataset in sample_block(*args)]

    monkeypatch.setattr(race, "sample_block", changed)
    assert race.prior_fingerprint(SMALL, 0) != first


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing", "'nothing' is no dump (.h5), no config (.json) and none of their-scm, default"),
        ("bad/name=gp", "NAME must be letters"),
        ("mine=missing.h5", "missing.h5: no such file"),
        ("mine=missing.json", "missing.json"),
        ("mine=three.json", "2 classes, mine has 3"),
    ],
)
def test_a_wrong_arm_is_told_before_any_work(tmp_path, peers, monkeypatch, word, message):
    monkeypatch.chdir(tmp_path)
    Path("three.json").write_text('{"num_classes": [3, 3]}', encoding="utf-8")
    result = invoke("run", "--peers", peers, "--work", "work", "--arm", "their-scm", "--arm", word)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not Path("work").exists()


def test_arms_need_names_of_their_own(tmp_path, peers):
    result = invoke("run", "--work", tmp_path, "--arm", "gp", "--arm", "gp=linear")
    assert result.exit_code == 2
    assert "a name of its own, got gp, gp" in result.output


def test_a_folder_without_dumps_is_told(tmp_path):
    result = invoke("run", "--work", tmp_path / "work", "--peers", tmp_path)
    assert result.exit_code == 2
    assert "holds no dump" in result.output


# ----------------------------------------------------------------------------------------------- report


def test_paired_differences_against_numbers_worked_out_by_hand():
    theirs = np.full((2, 4), 0.5)
    ours = np.array([[0.6, 0.7, 0.5004, 0.4], [0.8, 0.7, 0.5004, 0.4]])
    found = race.paired_difference(ours, theirs)
    np.testing.assert_allclose(found.tables, [0.2, 0.2, 0.0004, -0.1], atol=1e-12)
    np.testing.assert_allclose(found.table_errors, [0.1, 0, 0, 0], atol=1e-12)  # 0.1 and 0.3: 0.1414 / sqrt 2
    assert found.mean == pytest.approx(0.0751)
    # Deviations 0.1249, 0.1249, -0.0747, -0.1751; their squares sum to 0.06744; over 3 and 4, and its root.
    assert found.error == pytest.approx(np.sqrt(0.06744012 / 12))
    # Student's t with 3 degrees of freedom: 3.1824.
    assert found.interval == pytest.approx((0.0751 - 3.182446 * found.error, 0.0751 + 3.182446 * found.error))
    # The seeds' means are 0.0501 and 0.1001.
    assert found.seed_error == pytest.approx(0.025)
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)


def test_the_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(2)
    ours, theirs = rng.random((3, 13)), rng.random((3, 13))
    found = race.paired_difference(ours, theirs)
    test = stats.ttest_rel(ours.mean(axis=0), theirs.mean(axis=0))
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
    mirrored = race.paired_difference(theirs, ours)
    assert mirrored.mean == pytest.approx(-found.mean)
    assert (mirrored.wins, mirrored.losses) == (found.losses, found.wins)


def test_one_model_seed_has_no_error_over_seeds():
    found = race.paired_difference(np.array([[0.8, 0.6]]), np.array([[0.5, 0.5]]))
    assert np.isnan(found.seed_error)
    assert np.isnan(found.table_errors).all()
    assert found.mean == pytest.approx(0.2)


def write_cell(work, arm, seed, scores, **changes):
    settings = {
        "arm": arm, "model_seed": seed, "steps": 2, "eval_every": 1, "suite": "open", "lr": 4e-3,
        "precision": "float32", "batch_size": 32, "fingerprint": arm, "passes": 1.0,
        "num_skipped": 0, **changes,
    }  # fmt: skip
    folder = work / f"{arm}-{seed}"
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    rows = [{"table": table, "roc_auc": score} for table, score in scores.items()]
    (folder / "scores.json").write_text(json.dumps(rows))
    lines = [{"step": step, "loss": 0.6, "roc_auc": 0.7} for step in (1, 2)]
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))


def test_the_report_compares_shared_seeds_alone_and_keeps_the_text_above(tmp_path):
    work, out = tmp_path / "work", tmp_path / "race.md"
    write_cell(work, "default", 0, {"even": 0.7, "sign": 0.9})
    write_cell(work, "default", 1, {"even": 0.8, "sign": 0.9})
    write_cell(work, "default", 2, {"even": 0.0, "sign": 0.0})
    write_cell(work, "theirs", 0, {"even": 0.6, "sign": 0.9})
    write_cell(work, "theirs", 1, {"even": 0.5, "sign": 0.9})
    write_cell(work, "apart", 5, {"even": 0.5, "sign": 0.9})
    result = invoke("report", "--work", work, "--out", out)
    assert result.exit_code == 0, result.output
    page = out.read_text()
    assert "| theirs | 1 | 2 | 0.7250 | 0.7000 to 0.7500 |" in page
    # Tables: 0.2 and 0; seeds: 0.05 and 0.15; Student's t with one degree of freedom is 12.7062.
    assert "| theirs | +0.1000 | 0.1000 | -1.1706 to +1.3706 | 0.0500 | 1, 1, 0 |" in page
    assert "| even | +0.200 ± 0.100 |" in page
    assert "| apart | no model seed in common |" in page
    tree, *_ = [line for line in page.splitlines() if line.startswith("| *decision tree")]
    task = race.prepare(small_tables("")[0])
    even = race.score_table(race.BASELINES["decision_tree"](), task)
    sign = race.score_table(race.BASELINES["decision_tree"](), race.prepare(small_tables("")[1]))
    assert f"{(even + sign) / 2:.4f}" in tree
    assert (tmp_path / "race.png").read_bytes().startswith(b"\x89PNG")

    out.write_text(page.replace("# The race\n", "# The race\n\nWhat it says.\n"))
    invoke("report", "--work", work, "--out", out)
    assert out.read_text() == page.replace("# The race\n", "# The race\n\nWhat it says.\n")
    out.write_text("A page of one's own.")
    result = invoke("report", "--work", work, "--out", out)
    assert result.exit_code == 2
    assert out.read_text() == "A page of one's own."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 3}, "differ in steps"),
        ({"fingerprint": "other"}, "learned from different datasets"),
        ({"precision": "bfloat16"}, "learned in different precisions"),
    ],
)
def test_cells_of_different_races_are_not_mixed(tmp_path, changes, message):
    write_cell(tmp_path, "default", 0, {"even": 0.7, "sign": 0.9})
    write_cell(tmp_path, "default", 1, {"even": 0.7, "sign": 0.9}, **changes)
    result = invoke("report", "--work", tmp_path, "--out", tmp_path / "race.md")
    assert result.exit_code == 2
    assert message in result.output


def test_an_arm_in_another_precision_than_the_reference_is_named_so(tmp_path):
    work, out = tmp_path / "work", tmp_path / "race.md"
    write_cell(work, "default", 0, {"even": 0.7, "sign": 0.9})
    write_cell(work, "half", 0, {"even": 0.6, "sign": 0.9}, precision="bfloat16")
    result = invoke("report", "--work", work, "--out", out)
    assert result.exit_code == 0, result.output
    page = out.read_text()
    assert "in float32; ROC AUC" in page
    assert "| half (in bfloat16) | 1 | 1 | 0.7500 |" in page


def test_a_report_needs_cells_of_the_reference(tmp_path):
    result = invoke("report", "--work", tmp_path, "--out", tmp_path / "race.md")
    assert "holds no finished cell" in result.output
    write_cell(tmp_path, "gp", 0, {"even": 0.7, "sign": 0.9})
    result = invoke("report", "--work", tmp_path, "--out", tmp_path / "race.md")
    assert result.exit_code == 2
    assert "there are gp" in result.output
    (tmp_path / "gp-0" / "scores.json").write_text("{")
    result = invoke("report", "--work", tmp_path, "--reference", "gp", "--out", tmp_path / "race.md")
    assert result.exit_code == 2
    assert "scores.json: cannot be read" in result.output
    assert not (tmp_path / "race.md").exists()


def test_figures_have_a_line_for_each_arm_and_labels_that_do_not_touch(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **options: kept.append(figure))
    arms = {}
    for arm, loss in [("default", 0.5), ("theirs", 0.5), ("other", 0.6)]:
        write_cell(tmp_path, arm, 0, {"even": 0.7, "sign": 0.9})
        lines = [{"step": step, "loss": loss, "roc_auc": 0.7} for step in range(1, 41)]
        (tmp_path / f"{arm}-0" / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arms = race.read_cells(tmp_path)
    race.draw(arms, {"decision_tree": {"even": 0.6, "sign": 0.8}}, tmp_path / "race.png")
    loss_axes, score_axes = kept[0].axes
    assert len(loss_axes.lines) == 3
    assert len(score_axes.lines) == 4
    assert loss_axes.lines[0].get_xdata()[0] == 32  # the mean of the first 32 steps
    for axes in (loss_axes, score_axes):
        heights = sorted(text.xyann[1] for text in axes.texts)
        low, high = axes.get_ylim()
        assert np.all(np.diff(heights) >= (high - low) / 30)
    assert {text.get_text() for text in score_axes.texts} == {*arms, "decision tree"}
