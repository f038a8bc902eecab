"""The study file: what it says, what it refuses, and which arms and cells come of it."""

import json
from pathlib import Path

import networkx as nx
import pytest
import yaml

import nanotabpfn.cli.study
import nanotabpfn.studies
from nanotabpfn.studies.study import (
    CONTROLS,
    StudyError,
    architecture,
    cells_of,
    load_study,
    reference_of,
    resolve_arms,
    sample_graphs,
)
from nanotabpfn.training.recipes import RECIPES
from priors.config import PriorConfig
from priors.presets import PRESETS

EXAMPLE = Path(nanotabpfn.studies.__file__).with_name(nanotabpfn.cli.study.EXAMPLE)
TWO_ARMS = {"arms": {"a": {"preset": "linear"}, "b": {"preset": "gp"}}}


def write(tmp_path, values, name="study.yaml"):
    path = tmp_path / name
    path.write_text(json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture
def resolved(tmp_path):
    """The arms of a study with some fields changed, by name."""
    return lambda **changes: {
        arm.name: arm for arm in resolve_arms(load_study(write(tmp_path, TWO_ARMS | changes)))
    }


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
        "rope",
    ):
        assert shown[field] == defaults[field].default
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
        ({"arms": {"a": {"preset": "gpp"}}}, "arms.a.preset: unknown preset 'gpp'; known: default"),
        ({"arms": {"a": {"preset": "gp", "sett": {}}}}, "arms.a.sett: extra inputs are not permitted"),
        ({"arms": {"a": {"preset": "gp", "set": {"nodes": 1}}}}, "arms.a: unknown field 'nodes'; a PriorC"),
        ({"arms": {"a": {"preset": "gp", "vary": {"num_nodes": []}}}}, "arms.a.vary.num_nodes: list should"),
        ({"arms": {"a": {"preset": "gp", "vary": {"num_nodes": [[9, 3]]}}}}, "low must not exceed high"),
        ({"arms": {"a": {"preset": "gp", "set": {"mechanisms": "cubic"}}}}, "unknown family 'cubic'"),
        ({"arms": {"a": {"dump": "none.h5"}}}, "arms.a: dump: there is no file"),
        ({"arms": {"a": {"config": "none.json"}}}, "none.json: cannot be read"),
        ({"arms": {"a": {"dump": "x.h5", "set": {"num_nodes": [2, 3]}}}}, "a dump is what it is"),
        ({"arms": {"untrained": {"preset": "gp"}}}, "'untrained' is the name of a control"),
        ({"arms": {"a\n": {"preset": "gp"}}}, "names must be printable"),
        ({"arms": {"a": {"preset": "gp", "set": {"missing_fraction": [0, 0.1]}}}}, "takes no missing cells"),
        ({"arms": {"a": {"preset": "gp", "set": {"problem_type": "regression"}}}}, "must be classification"),
        ({"reference": "c"}, "reference: must be one of the arms a, b; got 'c'"),
        ({"controls": ["placebo"]}, "controls.0: input should be 'untrained', 'scrambled' or 'repeated'"),
        ({"steps": 0}, "steps: input should be greater than or equal to 1, got 0"),
        ({"step": 1}, "step: extra inputs are not permitted"),
        ({"model_seeds": [1, 1]}, "model_seeds: each only once, got 1 more often"),
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
        ("s.yaml", "arms: [", "is not YAML as it should be"),
        ("s.json", "{", "is not JSON as it should be"),
        ("s.yaml", "just words", "must hold the fields of a study"),
        ("s.yaml", "arms:\n  a: {preset: gp}\n  a: {preset: linear}\n", "the key 'a' stands there 2 times"),
        ("s.json", '{"steps": 1, "steps": 2}', "the key 'steps' stands there 2 times"),
        ("s.yaml", "arms: !!python/object/apply:os.abort []", "is not YAML as it should be"),
        ("s.yaml", "1: 2", "must be text"),
    ],
)
def test_files_that_are_no_study(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")


def test_configs_and_dumps_are_looked_for_beside_the_file(tmp_path, tiny_dump):
    (tmp_path / "mine.json").write_text(PRESETS["gp"].to_json())
    (tmp_path / "mine.h5").symlink_to(tiny_dump)
    arms = {"config": {"config": "mine.json", "set": {"num_nodes": [6, 7]}}, "dump": {"dump": "mine.h5"}}
    config, dump, *_ = resolve_arms(load_study(write(tmp_path, {"arms": arms})))
    assert config.config.num_nodes == (6, 7)
    assert config.config.mechanisms == PRESETS["gp"].mechanisms
    assert dump.dump == tmp_path / "mine.h5"
    assert dump.config is None


def test_names_stand_for_equal_weights(resolved):
    arm = {"preset": "default", "set": {"mechanisms": ["linear", "mlp"], "graphs": "layered"}}
    config = resolved(arms={"a": arm})["a"].config
    assert config.mechanisms == {"linear": 1, "mlp": 1}
    assert config.graphs == {"layered": 1}
    assert config.noise_scale == PriorConfig().noise_scale


def test_a_factorial_has_every_combination(resolved):
    vary = {"num_nodes": [[6, 7], [8, 9]], "mechanisms": ["linear", {"linear": 1, "mlp": 2}]}
    arms = resolved(arms={"a": {"preset": "default", "vary": vary}}, controls=[])
    found = {name: (arm.config.num_nodes, arm.config.mechanisms) for name, arm in arms.items()}
    assert found == {
        "a num_nodes=6-7 mechanisms=linear": ((6, 7), {"linear": 1}),
        "a num_nodes=6-7 mechanisms=linear+mlp": ((6, 7), {"linear": 1, "mlp": 2}),
        "a num_nodes=8-9 mechanisms=linear": ((8, 9), {"linear": 1}),
        "a num_nodes=8-9 mechanisms=linear+mlp": ((8, 9), {"linear": 1, "mlp": 2}),
    }


def test_one_at_a_time_changes_one_field_of_the_base(resolved):
    vary = {"num_nodes": [[6, 7], [8, 9]], "label_noise": [[0, 0.5]]}
    arm = {"preset": "linear", "vary": vary, "design": "one_at_a_time"}
    arms = resolved(arms={"a": arm}, controls=[])
    assert list(arms) == ["a", "a num_nodes=6-7", "a num_nodes=8-9", "a label_noise=0-0.5"]
    assert arms["a"].config == PRESETS["linear"]
    assert arms["a label_noise=0-0.5"].config.num_nodes == PRESETS["linear"].num_nodes


def test_variants_of_one_name_are_refused(resolved):
    vary = {"mechanisms": [{"linear": 1, "mlp": 2}, ["linear", "mlp"]]}
    with pytest.raises(StudyError, match=r"2 of them are called 'a mechanisms=linear\+mlp'"):
        resolved(arms={"a": {"preset": "default", "vary": vary}})


def test_the_controls_are_made_of_the_reference(resolved):
    arms = resolved(reference="b", data_seeds=[0, 7])
    assert {name for name, arm in arms.items() if arm.role == "control"} == set(CONTROLS)
    assert arms["untrained"].steps == 0
    assert arms["scrambled"].config.label_noise == (1, 1)
    assert arms["scrambled"].config.mechanisms == arms["b"].config.mechanisms
    assert arms["repeated"].config == arms["b"].config
    seeds = {arms["repeated"].sampling_seed(seed) for seed in (0, 7)}
    assert len(seeds) == 2
    assert not seeds & {0, 7}
    assert [arms["b"].sampling_seed(seed) for seed in (0, 7)] == [0, 7]


def test_a_dump_cannot_be_scrambled(tmp_path, tiny_dump):
    path = write(tmp_path, {"arms": {"a": {"dump": str(tiny_dump)}}})
    with pytest.raises(StudyError, match="scrambled needs a reference with a config"):
        load_study(path)
    path = write(tmp_path, {"arms": {"a": {"dump": str(tiny_dump)}}, "controls": ["untrained", "repeated"]})
    assert len(resolve_arms(load_study(path))) == 3


def test_cells_come_by_seeds_and_then_by_arms(tmp_path):
    study = load_study(write(tmp_path, TWO_ARMS | {"controls": []}))
    labels = [(cell.data_seed, cell.model_seed, cell.arm.name) for cell in cells_of(study)]
    assert labels[:4] == [(0, 0, "a"), (0, 0, "b"), (0, 1, "a"), (0, 1, "b")]
    assert len(labels) == 2 * 2 * 3


def test_outputs_are_those_that_the_arm_with_most_classes_needs(tmp_path):
    arms = {"a": {"preset": "gp"}, "b": {"preset": "gp", "set": {"num_classes": [2, 5]}}}
    assert architecture(load_study(write(tmp_path, {"arms": arms})))["num_outputs"] == 5


def test_a_recipe_changes_model_and_training(tmp_path):
    study = load_study(write(tmp_path, TWO_ARMS | {"recipe": "combined"}))
    assert architecture(study)["mean_pooling"]
    assert study.training == RECIPES["combined"].training | {"precision": "float32"}
    own = load_study(write(tmp_path, TWO_ARMS | {"recipe": "combined", "lr": 0.01}))
    assert own.training == study.training | {"lr": 0.01}
    plain = load_study(write(tmp_path, TWO_ARMS))
    assert not architecture(plain)["mean_pooling"]
    assert plain.training["lr"] == 0.004


def test_arms_say_what_they_are(resolved):
    arms = resolved()
    assert "mechanisms linear" in arms["a"].describe()
    assert arms["untrained"].describe() == "no training"


def test_graphs_for_the_gallery_are_those_of_the_prior():
    config = PriorConfig(num_nodes=(7, 9), graphs={"random_tree": 1, "layered": 1})
    graphs = sample_graphs(config, 12, seed=3)
    assert {family for family, _ in graphs} == {"random_tree", "layered"}
    assert all(7 <= len(graph) <= 9 and nx.is_directed_acyclic_graph(graph) for _, graph in graphs)
    again = sample_graphs(config, 2, seed=3)
    assert [sorted(graph.edges) for _, graph in again] == [sorted(graph.edges) for _, graph in graphs[:2]]
