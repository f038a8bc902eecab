"""Random designs: balanced draws that the seed decides, their matrices, and errors before any work."""

import numpy as np
import pytest
from small_study import study_of
from study_files import write

from nanotabpfn.studies.arms import resolve_arms, varied_arms
from nanotabpfn.studies.designs import design_matrix, draw, setting_of
from nanotabpfn.studies.keys import plan_study
from nanotabpfn.studies.spec import DRAWN, Study, StudyError
from nanotabpfn.studies.study_file import load_study

VARY = {
    "label_noise": "uniform(0, 0.3)",
    "noise_scale": {"log_uniform": [0.01, 1]},
    "num_nodes": [[6, 8], [9, 16]],
    "mix": ["dataset", "node"],
    "graphs": ["layered", "random_tree", ["layered", "random_tree"]],
    "mechanisms.mlp": "uniform(0, 4)",
    "num_features": "integers(3, 5)",
}
MANY = {"preset": "default", "vary": VARY, "design": "random", "num_arms": 30}


def drawn(num_arms=30, seed=0, vary=VARY):
    settings = tuple(setting_of(*item) for item in vary.items())
    return settings, draw(settings, vary, num_arms, seed)


def test_real_numbers_and_integers_of_one_range_are_drawn_each_in_their_way():
    for distribution, kind in [("integers(2, 10)", int), ("uniform(2, 10)", float), ("integers(2, 10)", int)]:
        _, arms = drawn(num_arms=8, vary={"clip": distribution, "mix": ["dataset", "node"]})
        assert {type(arm["clip"]) for arm in arms} == {kind}


def test_settings_with_one_value_are_no_design():
    one = {"preset": "default", "vary": {"label_noise": [0.1], "num_features": [5]}}
    assert varied_arms(study_of({"a": one})) == []


def test_levels_are_balanced_and_numbers_are_stratified():
    settings, arms = drawn()
    for path in ("num_nodes", "mix", "graphs"):
        values = [str(arm[path]) for arm in arms]
        counts = [values.count(value) for value in set(values)]
        assert sum(counts) == 30
        assert max(counts) == min(counts) == 30 // len(VARY[path])
    for path, low, high in (("label_noise", 0, 0.3), ("mechanisms.mlp", 0, 4)):
        places = np.array([arm[path] for arm in arms], float) / (high - low)
        assert np.abs(np.sort(places) * 30 - np.arange(30) - 0.5).max() < 0.51  # numbers have four digits
    places = np.log([arm["noise_scale"] / 0.01 for arm in arms]) / np.log(100)
    assert np.abs(np.sort(places) * 30 - np.arange(30) - 0.5).max() < 0.51
    assert {arm["num_features"] for arm in arms} == {3, 4, 5}
    columns = design_matrix(settings, arms)
    assert np.abs(np.corrcoef(columns, rowvar=False) - np.eye(8)).max() < 0.55  # of levels of one list: -0.5
    assert columns.min() >= 0
    assert columns.max() <= 1


def test_unequal_shares_differ_by_one():
    arms = drawn(
        11, vary={"graphs": ["layered", "random_tree", "erdos_renyi"], "label_noise": "uniform(0, 1)"}
    )[1]
    values = [arm["graphs"] for arm in arms]
    assert sorted(values.count(value) for value in set(values)) == [3, 4, 4]


def test_the_seed_decides_the_draws():
    assert drawn() == drawn()
    assert drawn(seed=1)[1] != drawn()[1]
    study = Study(name="s", arms={"many": MANY | {"design_seed": 1}})
    assert list(varied_arms(study)[0].values.values()) == drawn(seed=1)[1]


def test_the_arms_have_the_drawn_priors_and_short_names():
    study = Study(name="s", arms={"base": {"preset": "default"}, "many": MANY}, controls=())
    base, *arms = resolve_arms(study)
    assert (base.role, {arm.role for arm in arms}) == ("arm", {DRAWN})
    [design] = varied_arms(study)
    assert list(design.values) == [arm.name for arm in arms] == [f"many {n:02}" for n in range(1, 31)]
    for arm in arms:
        own = design.values[arm.name]
        assert arm.config.label_noise == (own["label_noise"],) * 2
        assert arm.config.noise_scale == (own["noise_scale"],) * 2
        assert arm.config.num_nodes == tuple(own["num_nodes"])
        assert arm.config.mechanisms["mlp"] == own["mechanisms.mlp"]
        assert arm.config.num_features == (own["num_features"],) * 2


def test_a_factorial_of_two_settings_is_a_design_too():
    vary = {"num_nodes": [[6, 7], [8, 9]], "mechanisms": ["linear", "mlp"]}
    arms = {"a": {"preset": "default", "vary": vary}, "b": {"preset": "default", "vary": {"mix": ["node"]}}}
    [design] = varied_arms(Study(name="s", arms=arms))
    assert (design.name, design.design) == ("a", "factorial")
    assert list(design.values) == [arm.name for arm in resolve_arms(Study(name="s", arms=arms))][:4]
    assert design_matrix(design.settings, design.values.values()).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_arms": None}, "needs fields in vary, and num_arms"),
        ({"vary": {}}, "needs fields in vary, and num_arms"),
        ({"num_arms": 9}, "num_arms: 8 effects need at least 10 arms, got 9"),
        ({"vary": {"mix": ["node"]}}, "vary.mix: needs at least 2 values, got node"),
        ({"vary": {"mix": ["node", "node"]}}, r"vary.mix: values must differ, got \[node, node\]"),
        ({"vary": {"mix": "node"}}, "vary.mix: needs a list of values, or with design: random"),
        ({"vary": {"mix": []}}, "vary.mix: needs at least one value"),
        ({"vary": {"label_noise": "uniform(0.2, 0.2)"}}, "vary.label_noise: low must be below high"),
        ({"vary": {"label_noise": "uniform(0.2)"}}, "uniform needs two numbers"),
        ({"vary": {"label_noise": "choice([0, 1])"}}, "vary.label_noise: needs a list of values"),
        (
            {"vary": {"mechanisms": ["mlp", "linear"], "mechanisms.mlp": [1, 2]}},
            "mechanisms.mlp is a part of",
        ),
        (
            {"vary": {"mix": ["node", "dataset"]}, "num_arms": 3},
            "there are 2 combinations of the values, got 3",
        ),
        ({"design": "factorial", "num_arms": None}, "design: factorial needs a list of values"),
        ({"design": "factorial", "vary": {"mix": ["node"]}}, "num_arms needs design: random"),
    ],
)
def test_a_design_that_cannot_be_drawn_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Study(name="s", arms={"many": MANY | change})


def test_arms_that_are_equal_are_refused(tmp_path):
    vary = {"mix": ["node", "dataset"], "coherence": ["meta", "shared"], "num_nodes": [[6, 7], [8, 9]]}
    arm = MANY | {"vary": vary, "num_arms": 8}
    try:
        arms = resolve_arms(Study(name="s", arms={"many": arm}, controls=()))
    except StudyError as error:
        assert "8 random arms with so few combinations" in str(error)  # noqa: PT017
    else:
        assert len({arm.config for arm in arms}) == 8


def test_an_arm_that_is_not_valid_is_named_with_its_values(tmp_path):
    arm = MANY | {"vary": {"missing_fraction": [0, 0.1], "label_noise": "uniform(0, 0.3)"}, "num_arms": 6}
    message = (
        r"arms.many: the drawn arm 'many \d' \(missing_fraction=0\.1, label_noise=0\.\d+\) is not valid: "
        "missing_fraction: the model takes no missing cells"
    )
    with pytest.raises(StudyError, match=message):
        load_study(write(tmp_path, {"arms": {"many": arm}}))
    real = MANY | {"vary": {"num_features": "uniform(3, 9)"}, "num_arms": 6}
    with pytest.raises(StudyError, match=r"the drawn arm 'many 1' .* valid integer"):
        load_study(write(tmp_path, {"arms": {"many": real}}))


def test_drawn_arms_are_scored_on_their_own_priors_alone():
    vary = {"label_noise": "uniform(0, 0.3)"}
    small = {"preset": "linear", "set": {"num_datapoints": 24, "num_nodes": [5, 8], "block_size": 4}}
    arms = {"base": small, "many": small | {"vary": vary, "design": "random", "num_arms": 3}}
    plan = plan_study(study_of(arms, controls=["untrained"], suites=["builtin"]))
    of_arms = {
        planned.cell.arm.name: [target.name for target in plan.targets_of(planned)] for planned in plan.cells
    }
    assert of_arms["base"] == ["builtin", "base", "mixed"]
    assert of_arms["many 2"] == ["builtin", "base", "many 2", "mixed"]
    assert of_arms["untrained"] == ["builtin", "base", "many 1", "many 2", "many 3", "mixed"]
