"""The card of a model: a header that the Hub reads, and what the model and its run record."""

import json
import re

import pytest
from commands import assert_refused, run_nanotabpfn, train_tiny
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from nanotabpfn import CheckpointError, NanoTabPFNModel, load_model, save_model, write_model_card
from nanotabpfn.hub.card import CARD, metrics_of, model_card, read_model
from nanotabpfn.model.architecture import TrainedRange
from nanotabpfn.model.bins import standard_edges
from nanotabpfn.training.run import RunError
from priors import PriorConfig, open_dump
from priors.dumps.licenses import LICENSES


@pytest.fixture(scope="module")
def trained(tiny_dump, tmp_path_factory):
    """A run of 6 steps, scored on held-out datasets at the last."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    held_out = ["--held-out", 4, "--eval-every", 6, "--suite", "none"]
    result = train_tiny(tiny_dump, folder, *held_out)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of that run."""
    for file in (*trained.glob("*.*"), *trained.glob("checkpoints/*")):
        copy = tmp_path / "mine" / file.relative_to(trained)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return tmp_path / "mine"


def rewrite_settings(run, change):
    settings = json.loads((run / "config.json").read_text())
    change(settings)
    (run / "config.json").write_text(json.dumps(settings))


def test_the_hubs_own_reader_finds_the_header(run):
    card = ModelCard.load(write_model_card(run, "Small tables", "mit"))
    assert card.data.license == "mit"
    assert card.data.library_name == "nanotabpfn-priors"
    assert card.data.pipeline_tag == "tabular-classification"
    assert {"tabular", "nanotabpfn"} <= set(card.data.tags)
    assert card.data.metrics == ["accuracy", "roc_auc"]
    assert card.text.strip().startswith("# Small tables\n")


def test_the_card_says_what_the_run_records(run, tiny_dump):
    text = write_model_card(run, "Small tables").read_text()
    model, last = load_model(run), json.loads((run / "history.jsonl").read_text().splitlines()[-1])
    assert "embedding_size 8, num_attention_heads 2, mlp_hidden_size 8, num_layers 1, num_outputs 2" in text
    assert f"{sum(weights.numel() for weights in model.parameters()):,} parameters" in text
    low, high = model.trained_range.rows
    assert f"| trained range | {low} to {high} training rows, 3 features, 2 classes |" in text
    assert "| trained | 6 of `6` steps, `4` datasets in each |" in text
    assert "optimizer `adamw`, lr `0.004`, precision `float32`, seed `0`" in text
    assert f"loss {last['held_out_loss']:.4f}" in text
    assert "after 6 steps, on `4` datasets of each prior" in text
    assert "`nanotabpfn-priors " in text
    with open_dump(tiny_dump) as dump:
        [config] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        assert PriorConfig.from_json(config) == PriorConfig.from_json(dump.attributes["config"])
        assert (
            f"The dump `tiny.h5`, weight `1.0`, with the content hash `{dump.attributes['content_hash']}`"
            in text
        )
        assert "from the seed `0` and this config" in text
    assert str(tiny_dump.parent) not in text  # where it lay on the disk


def test_the_example_of_the_card_runs(run, monkeypatch):
    text = write_model_card(run, "Small tables").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(run)
    x = [[float(i % 2), float(i % 3), float(i % 5)] for i in range(12)]
    known = {"X_train": x, "y_train": [0, 1] * 6, "X_test": x[:2]}
    exec(code, known)
    assert known["classifier"].predict(x[:2]).shape == (2,)


def test_a_prior_that_was_sampled_while_training_has_its_config_and_seed(tmp_path):
    settings = {
        "data": [{"prior": "a/b/mine.json", "weight": 0.5, "config": {"num_datapoints": 20}}],
        "training": {"seed": 7, "steps": 10},
    }
    text = model_card(NanoTabPFNModel(8, 2, 8, 1), "Tiny", settings=settings)
    assert "The prior `mine.json`, weight `0.5`: sampled during the training, from the seed `7` and" in text
    assert '```json\n{\n  "num_datapoints": 20\n}\n```' in text
    assert "`10` steps planned" in text


def test_a_curriculum_is_described_as_one():
    records = [{"step": 10, "loss": 0.6, "held_out_loss": 0.5}]
    settings = {
        "data": [{"prior": "linear", "until": 4, "config": {}}, {"prior": "default", "config": {}}],
        "training": {"seed": 7, "steps": 10, "held_out": 32},
    }
    text = model_card(NanoTabPFNModel(8, 2, 8, 1), "Tiny", settings=settings, records=records)
    assert "one after the other" in text
    assert "The prior `linear`, up to step `4`" in text
    assert "The prior `default`, up to the end" in text
    assert "weight" not in text.split("## ", 1)[1].replace("weights", "")
    assert "on `32` datasets of the last prior" in text


def test_a_file_alone_is_described_by_what_it_holds(tmp_path):
    model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=20, bin_edges=standard_edges(20))
    model.trained_range = TrainedRange(rows=(10, 20), features=(2, 4))
    file = save_model(model, tmp_path / "mine.safetensors")
    text = write_model_card(file, "Prices").read_text()
    card = ModelCard(text)
    assert (card.data.pipeline_tag, card.data.metrics) == ("tabular-regression", None)
    assert "| trained range | 10 to 20 training rows, 2 to 4 features |" in text
    assert "bin_edges" not in text
    assert "regressor = NanoTabPFNRegressor(" in text
    assert "The file of the model does not say it." in text


def test_records_after_the_models_step_are_left_out(run):
    with (run / "history.jsonl").open("a") as file:  # training is ahead of its last checkpoint
        file.write(json.dumps({"step": 7, "loss": 0.0, "held_out_loss": 9.0}) + "\n")
    _, _, records = read_model(run)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert "9.0" not in write_model_card(run, "Tiny").read_text().partition("## How")[0]


def test_the_model_kept_by_patience_is_that_of_its_step(run):
    best = load_model(run)
    for weights in best.parameters():
        weights.data += 1
    (run / "best").mkdir()
    save_model(best, run / "best" / "step-00000003.safetensors")
    assert len(read_model(run)[2]) == 6
    save_model(best, run)
    assert [record["step"] for record in read_model(run)[2]] == [1, 2, 3]
    (run / "history.jsonl").unlink()
    assert read_model(run)[2] == []


def test_other_models_in_the_folder_of_a_run_are_not_that_run(run):
    file = save_model(NanoTabPFNModel(8, 2, 8, 1), run / "other.safetensors")
    assert read_model(file)[1] is None
    assert read_model(run / "model.safetensors")[1] is not None


def test_texts_of_a_file_stay_text(run):
    hostile = "[a](javascript:x)`<img src=x>`\n---\n# Hello | ```"

    def change(settings):
        settings["training"] |= {"recipe": hostile, "seed": [hostile], "held_out": hostile}
        settings["versions"] = {hostile: hostile}
        [source] = settings["data"]
        source |= {"dump": hostile, "weight": hostile, "content_hash": hostile}
        source["attributes"] = {"config": f'{{"a": {json.dumps(hostile)}}}', "generator": hostile}

    plain = write_model_card(run, "Tiny").read_text()
    rewrite_settings(run, change)
    text = write_model_card(run, "Tiny").read_text()
    assert ModelCard(text).data.to_dict() == ModelCard(plain).data.to_dict()
    assert re.findall("^#.*$", text, re.MULTILINE) == re.findall("^#.*$", plain, re.MULTILINE)
    assert text.count("```") == plain.count("```")
    outside = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    assert "img" not in outside
    assert "javascript" not in outside
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}


@pytest.mark.parametrize("name", ["pre_norm", "mean_pooling", "trained_range"])
def test_a_model_whose_settings_are_texts_is_no_model(run, name):
    """They would be shown as they are."""
    file = run / "model.safetensors"
    model = load_model(file)
    config = model.config | ({} if name == "trained_range" else {name: "<img src=x>"})
    ranges = {"rows": ["<img", "<img"], "features": [1, 1]}
    metadata = {"config": json.dumps(config)}
    if name == "trained_range":
        metadata["trained_range"] = json.dumps(ranges)
    save_file(load_file(file), file, metadata)
    with pytest.raises(CheckpointError, match=name):
        write_model_card(run, "Tiny")


@pytest.mark.parametrize(
    "change",
    [
        lambda settings: settings.update(training=[1]),
        lambda settings: settings.update(versions="none"),
        lambda settings: settings.update(data=[3]),
        lambda settings: settings.update(data=[{"dump": "a.h5", "attributes": 3}]),
    ],
)
def test_settings_of_something_else_are_refused_and_nothing_is_written(run, change):
    rewrite_settings(run, change)
    with pytest.raises(RunError, match="holds no settings or history of one"):
        write_model_card(run, "Tiny")
    assert not (run / CARD).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Tiny", "gpl"), f"license_name must be one of {', '.join(LICENSES)}, got 'gpl'"),
        ((" ",), "title must be a line of text, got ' '"),
        (("two\nlines",), "title must be a line of text"),
    ],
)
def test_what_is_wrong_is_refused(run, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_model_card(run, *arguments)
    assert not (run / CARD).exists()


def test_metrics_are_those_of_the_history():
    assert metrics_of([]) == []
    assert metrics_of([{"step": 1, "held_out_loss": 1.0, "held_out_r2": 0.5}]) == ["r_squared"]


def test_the_command_writes_a_card_and_keeps_what_is_there(run):
    result = run_nanotabpfn("card", run, "--title", "Tiny")
    assert (result.exit_code, result.stdout) == (0, f"{run / CARD}\n")
    (run / CARD).write_text("mine")
    assert_refused(run_nanotabpfn("card", run, "--title", "Tiny"), "--overwrite replaces it")
    assert (run / CARD).read_text() == "mine"
    assert run_nanotabpfn("card", run, "--title", "Tiny", "--overwrite").exit_code == 0
    assert (run / CARD).read_text().startswith("---\n")


def test_the_command_refuses_in_a_line_what_is_no_model(tmp_path):
    assert_refused(run_nanotabpfn("card", tmp_path, "--title", "Tiny"), "model.safetensors: no such file")
    assert_refused(run_nanotabpfn("card", tmp_path, "--title", " "), "--title must be a line of text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "task"), [("classifier", "tabular-classification"), ("regressor", "tabular-regression")]
)
def test_the_pages_of_the_shipped_models_are_cards(name, task, request):
    card = ModelCard.load(request.config.rootpath / "nanotabpfn" / "shipped" / f"{name}.md")
    assert (card.data.pipeline_tag, card.data.license) == (task, "apache-2.0")
    assert card.data.metrics


def test_the_card_of_a_branch_says_what_it_was_trained_on_before():
    earlier = {
        "data": [{"prior": "mixed", "weight": 1, "config": {"num_datapoints": 33}}],
        "training": {"seed": 1},
    }
    start = {"path": "/x/step-00002500.safetensors", "step": 2500, "weights": "ab12", "settings": earlier}
    settings = {
        "data": [{"prior": "linear", "weight": 1, "config": {}}],
        "training": {"seed": 7, "steps": 10},
        "from": start,
    }
    model = NanoTabPFNModel(8, 2, 8, 1)
    text = model_card(model, "Tiny", settings=settings)
    assert "a branch of `step-00002500.safetensors`, step `2500`, with the hash of the weights `ab12`" in text
    assert text.index("The prior `mixed`") < text.index("In the branch:") < text.index("The prior `linear`")
    start["settings"] = None
    assert "What that was trained on is not known." in model_card(model, "Tiny", settings=settings)
