"""The study file: its fields, and the errors of wrong ones."""

from pathlib import Path

import pytest
import yaml
from study_files import TWO_ARMS, write

import nanotabpfn.cli.study
import nanotabpfn.studies
from nanotabpfn.studies.arms import cells_of, reference_of, resolve_arms
from nanotabpfn.studies.spec import CONTROLS, Ropes, StudyError
from nanotabpfn.studies.study_file import load_study

EXAMPLE = Path(nanotabpfn.studies.__file__).with_name(nanotabpfn.cli.study.EXAMPLE)


def test_the_example_is_a_study():
    study = load_study(EXAMPLE)
    assert study.name == "example"
    assert reference_of(study) == "linear"
    assert [arm.name for arm in resolve_arms(study)] == ["linear", "trees", *CONTROLS]
    assert len(cells_of(study)) == 5 * 2 * 3
    assert study.eval_steps == [96, 192, 288, 384]


def test_the_study_that_ships_is_one():
    study = load_study(Path(__file__).parents[3] / "docs" / "studies" / "mechanisms.yaml")
    assert len(resolve_arms(study)) == 7 + len(CONTROLS)
    assert len(cells_of(study)) == 90


def test_the_example_shows_every_field_and_its_default():
    shown = yaml.safe_load(EXAMPLE.read_text())
    defaults = type(load_study(EXAMPLE)).model_fields
    assert set(shown) == set(defaults) - {"name"}
    for field in (
        "steps",
        "batch_size",
        "recipe",
        "lr",
        "precision",
        "eval_every",
        "held_out",
        "metric",
        "level",
    ):
        assert shown[field] == defaults[field].default
    assert Ropes(**shown["rope"]) == Ropes()
    for field in ("suites", "baselines", "controls", "data_seeds", "model_seeds"):
        assert tuple(shown[field]) == defaults[field].default


def test_yaml_and_json_are_the_same(tmp_path):
    as_json = load_study(write(tmp_path, TWO_ARMS, "study.json"))
    assert as_json == load_study(write(tmp_path, TWO_ARMS))


def test_a_number_with_an_exponent_is_one(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("arms: {a: {preset: linear}}\nlr: 4e-3\n")
    assert load_study(path).lr == 0.004


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {}}, "arms: dictionary should have at least 1 item"),
        ({"arms": {"a": {}}}, "arms.a: needs exactly one of preset, config and dump, got none"),
        ({"arms": {"a": {"preset": "gp", "config": "x"}}}, "got preset and config"),
        ({"arms": {"a": {"preset": "gpp"}}}, "arms.a.preset: unknown preset 'gpp'; did you mean gp?"),
        ({"arms": {"a": {"preset": "gp", "sett": {}}}}, "unknown field 'arms.a.sett'; did you mean set"),
        (
            {"arms": {"a": {"preset": "gp", "set": {"nodes": 1}}}},
            "arms.a: unknown field 'nodes'; did you mean",
        ),
        (
            {"arms": {"a": {"preset": "gp", "vary": {"num_nodes": []}}}},
            "arms.a: vary.num_nodes: needs at least one value",
        ),
        ({"arms": {"a": {"preset": "gp", "vary": {"num_nodes": [[9, 3]]}}}}, "low must not exceed high"),
        ({"arms": {"a": {"preset": "gp", "set": {"mechanisms": "cubic"}}}}, "unknown family 'cubic'"),
        ({"arms": {"a": {"dump": "none.h5"}}}, "arms.a: dump: there is no file"),
        ({"arms": {"a": {"config": "none.json"}}}, "none.json: cannot be read"),
        ({"arms": {"a": {"dump": "x.h5", "set": {"num_nodes": [2, 3]}}}}, "a dump cannot be changed"),
        ({"arms": {"untrained": {"preset": "gp"}}}, "'untrained' is the name of a control"),
        ({"arms": {"decision tree": {"preset": "gp"}}}, "'decision tree' is the name of a control or a base"),
        ({"arms": {"a\n": {"preset": "gp"}}}, "names must be printable"),
        ({"arms": {"a": {"preset": "gp", "set": {"missing_fraction": [0, 0.1]}}}}, "takes no missing cells"),
        ({"arms": {"a": {"preset": "gp", "set": {"problem_type": "regression"}}}}, "must be classification"),
        ({"reference": "c"}, "reference: must be one of the arms a, b; got 'c'"),
        ({"controls": ["placebo"]}, "controls.0: input should be 'untrained', 'scrambled' or 'repeated'"),
        ({"steps": 0}, "steps: input should be greater than or equal to 1, got 0"),
        ({"step": 1}, "unknown field 'step'; did you mean steps"),
        ({"wat": 1}, "unknown field 'wat'; known: name, question, arms"),
        ({"model": {"layers": 2}}, "unknown field 'model.layers'; did you mean num_layers?"),
        ({"model_seeds": [1, 1]}, "model_seeds: values must differ, got 1 more than once"),
        ({"data_seeds": [-1]}, "data_seeds.0: input should be greater than or equal to 0"),
        ({"suites": ["open", "closed"]}, "suites: unknown suite 'closed'; known: builtin, open"),
        ({"baselines": ["oracle"]}, "baselines: unknown baseline 'oracle'; known: random_forest"),
        ({"metric": "auc"}, "metric: input should be 'roc_auc', 'accuracy'"),
        ({"level": 95}, "level: input should be less than 1, got 95"),
        ({"lr": float("inf")}, "lr: input should be a finite number"),
        ({"recipe": "secret"}, "recipe: input should be 'published', 'warm-up'"),
        ({"precision": "float16"}, "precision: input should be 'float32' or 'bfloat16'"),
        ({"batch_size": 0}, "batch_size: input should be greater than or equal to 1"),
        ({"model": {"embedding_size": 10}}, "must be a multiple of num_attention_heads, got 10 and 4"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    path = write(tmp_path, TWO_ARMS | changes)
    with pytest.raises(StudyError) as raised:
        load_study(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.yaml", "arms: [", "is not valid YAML"),
        ("s.json", "{", "is not valid JSON"),
        ("s.yaml", "just words", "must hold the fields of a study"),
        ("s.yaml", "arms:\n  a: {preset: gp}\n  a: {preset: linear}\n", "the key 'a' is given 2 times"),
        ("s.json", '{"steps": 1, "steps": 2}', "the key 'steps' is given 2 times"),
        ("s.yaml", "arms: !!python/object/apply:os.abort []", "is not valid YAML"),
        ("s.yaml", "1: 2", "must be text"),
    ],
)
def test_files_that_are_no_study(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", "[" * 50_000, "nested more than 30 deep"),
        ("s.yaml", "[" * 50_000, "nested more than 30 deep"),
        ("s.yaml", "\n".join(f"{'-' * 1}{' -' * 60} x" for _ in range(2)), "nested more than 30 deep"),
        ("s.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "aliases .* are not read"),
        ("s.yaml", "x" * 1_000_001, "at most 1,000,000 bytes"),
    ],
)
def test_a_file_cannot_hang_or_exhaust_the_reader(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(tmp_path / name)


def test_brackets_in_text_are_not_nesting(tmp_path):
    path = write(tmp_path, TWO_ARMS | {"question": "[" * 60 + '"'}, "s.json")
    assert load_study(path).question == "[" * 60 + '"'


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")


def test_the_race_is_a_study_of_presets_and_dumps(tmp_path, tiny_dump):
    text = (Path(__file__).parents[3] / "docs" / "race.yaml").read_text()
    for arm in yaml.safe_load(text)["arms"].values():
        if "dump" in arm:
            (tmp_path / arm["dump"]).symlink_to(tiny_dump)
    (tmp_path / "race.yaml").write_text(text)
    arms = resolve_arms(load_study(tmp_path / "race.yaml"))
    assert [arm.name for arm in arms if arm.dump] == ["tabicl-mix-scm", "tabicl-graph-scm", "ticl-mlp"]
    assert len(arms) == 6 + 2


def test_a_rope_is_given_for_each_metric(tmp_path):
    with pytest.raises(
        StudyError, match=r"rope: .*is given for each metric, such as {log_loss: 0.01}, got 0.01"
    ):
        load_study(write(tmp_path, TWO_ARMS | {"rope": 0.01}))
    with pytest.raises(StudyError, match=r"unknown field 'rope.auc'"):
        load_study(write(tmp_path, TWO_ARMS | {"rope": {"auc": 0.01}}))
    study = load_study(write(tmp_path, TWO_ARMS | {"rope": {"roc_auc": 0.003}}))
    assert [study.rope_of(metric) for metric in ("roc_auc", "log_loss")] == [0.003, 0.015]
