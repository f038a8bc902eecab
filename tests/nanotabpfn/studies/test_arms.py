"""Arms and cells: which priors and trainings a study stands for."""

import sys
from dataclasses import replace

import pytest
from study_files import TWO_ARMS, write

from nanotabpfn.studies.arms import architecture, cells_of, dose_series, resolve_arms
from nanotabpfn.studies.spec import CONTROLS, Study, StudyError
from nanotabpfn.studies.study_file import load_study
from nanotabpfn.training.recipes import RECIPES
from priors.config import PriorConfig
from priors.presets import PRESETS


@pytest.fixture
def resolved(tmp_path):
    """The arms of a study with some fields changed, by name."""
    return lambda **changes: {
        arm.name: arm for arm in resolve_arms(load_study(write(tmp_path, TWO_ARMS | changes)))
    }


def test_paths_of_configs_and_dumps_are_relative_to_the_file(tmp_path, tiny_dump):
    (tmp_path / "mine.json").write_text(PRESETS["gp"].to_json())
    (tmp_path / "mine.h5").symlink_to(tiny_dump)
    arms = {"config": {"config": "mine.json", "set": {"num_nodes": [6, 7]}}, "dump": {"dump": "mine.h5"}}
    config, dump, *_ = resolve_arms(load_study(write(tmp_path, {"arms": arms})))
    assert config.config.num_nodes == (6, 7)
    assert config.config.mechanisms == PRESETS["gp"].mechanisms
    assert dump.dump == tmp_path / "mine.h5"
    assert dump.config is None


def test_families_of_ones_own_are_found_in_the_folder_of_the_file(tmp_path, monkeypatch):
    module = "def wave(parents, rng):\n    return parents.sum(axis=1)\n"
    (tmp_path / "waves_of_a_study.py").write_text(module)
    (tmp_path / "networkx.py").write_text("raise ImportError('an installed module was replaced')\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    arm = {"preset": "linear", "set": {"mechanisms": "waves_of_a_study:wave"}}
    study = load_study(write(tmp_path, {"arms": {"a": arm, "b": {"preset": "gp"}}}))
    assert resolve_arms(study)[0].config.mechanisms == {"waves_of_a_study:wave": 1}
    assert sys.path[-1] == str(tmp_path)


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


def test_doses_are_arms_in_the_order_of_the_setting(resolved):
    arm = {"preset": "linear", "vary": {"label_noise": [[0.2, 0.4], 0, [0.1, 0.1]]}, "design": "doses"}
    arms = resolved(arms={"a": arm}, controls=[])
    assert list(arms) == ["a label_noise=0.2-0.4", "a label_noise=0", "a label_noise=0.1-0.1"]
    [series] = dose_series(Study(name="s", arms={"a": arm, "b": {"preset": "gp"}}))
    assert (series.name, series.field) == ("a", "label_noise")
    assert list(series.doses.values()) == pytest.approx([0, 0.1, 0.3])
    assert set(series.doses) == set(arms)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({}, "needs one field in vary, got 0"),
        ({"label_noise": [0, 0.1, 0.2], "num_nodes": [4, 5, 6]}, "needs one field in vary, got 2"),
        ({"label_noise": [0, 0.1]}, "at least 3 numbers or ranges"),
        ({"label_noise": [0.1, [0, 0.2], 0.3]}, "with different middles in vary.label_noise"),
        ({"mechanisms": ["linear", "mlp", "gp"]}, "at least 3 numbers or ranges"),
    ],
)
def test_doses_must_be_numbers_of_one_field(vary, message):
    with pytest.raises(ValueError, match=message):
        Study(name="s", arms={"a": {"preset": "linear", "vary": vary, "design": "doses"}})


def test_variants_of_one_name_are_refused(resolved):
    vary = {"mechanisms": [{"linear": 1, "mlp": 2}, ["linear", "mlp"]]}
    with pytest.raises(StudyError, match=r"got 2 arms called 'a mechanisms=linear\+mlp'"):
        resolved(arms={"a": {"preset": "default", "vary": vary}})


def test_the_controls_are_made_of_the_reference(resolved):
    arms = resolved(reference="b", data_seeds=[0, 7], seed_design="crossed")
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
    seeds = {"controls": [], "data_seeds": [0, 1], "model_seeds": [5, 6, 7], "seed_design": "crossed"}
    study = load_study(write(tmp_path, TWO_ARMS | seeds))
    labels = [(cell.data_seed, cell.model_seed, cell.arm.name) for cell in cells_of(study)]
    assert labels[:4] == [(0, 5, "a"), (0, 5, "b"), (0, 6, "a"), (0, 6, "b")]
    assert len(labels) == 2 * 2 * 3


def test_paired_seeds_are_as_many_as_either(tmp_path):
    seeds = {"controls": [], "data_seeds": [0, 1, 2], "model_seeds": [5, 6, 7]}
    study = load_study(write(tmp_path, TWO_ARMS | seeds))
    labels = [(cell.data_seed, cell.model_seed, cell.arm.name) for cell in cells_of(study)]
    assert labels[:3] == [(0, 5, "a"), (0, 5, "b"), (1, 6, "a")]
    assert len(labels) == 2 * 3
    with pytest.raises(StudyError, match="as many model_seeds as data_seeds, got 3 and 2"):
        load_study(write(tmp_path, TWO_ARMS | seeds | {"data_seeds": [0, 1]}))


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
    with_noise = arms["a"]._replace(config=replace(arms["a"].config, label_noise=(0.3, 0.3)))
    assert "label_noise 0.3;" in f"{with_noise.describe()};"
    assert arms["untrained"].describe() == "no training"
