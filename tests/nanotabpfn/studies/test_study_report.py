"""The report: what it says of simulated records, and that its page stands alone."""

import json
import re
from html.parser import HTMLParser
from itertools import product

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER, METRICS
from nanotabpfn.studies import statistics, study_report
from nanotabpfn.studies.cells import COLUMNS, plan_study
from nanotabpfn.studies.properties import DISTANCES, PROPERTIES
from nanotabpfn.studies.study import Study, StudyError
from nanotabpfn.studies.study_figures import critical_differences, gallery, heat_map, scatter
from nanotabpfn.studies.study_report import Scores, build_report, complete_seeds, to_html, to_markdown

TABLES = [f"table {number}" for number in range(13)]
TINY = {"num_datapoints": 24, "num_features": [3, 3], "num_nodes": [5, 8], "block_size": 4}
ARM = {"preset": "linear", "set": TINY}
SMALL = {
    "name": "simulated",
    "steps": 4,
    "eval_every": 2,
    "batch_size": 4,
    "held_out": 3,
    "suites": ["builtin"],
    "baselines": ["decision_tree"],
}


def study_of(arms=("good", "same"), **changes) -> Study:
    return Study(**{**SMALL, "arms": dict.fromkeys(arms, ARM), **changes})


def simulate(study: Study, means: dict[str, float], seed: int = 0) -> pd.DataFrame:
    """Records of a study in which arms reach these ROC AUCs, with the spread of tables, seeds and rest."""
    rng = np.random.default_rng(seed)
    arms = [*study.arms, *study.controls]
    of_table = rng.normal(0, 0.05, len(TABLES))
    of_data = {(arm, one): rng.normal(0, 0.004) for arm, one in product(arms, study.data_seeds)}
    of_model = {(arm, one): rng.normal(0, 0.004) for arm, one in product(arms, study.model_seeds)}
    rows = []

    def add(arm, role, data_seed, model_seed, step, is_final, target, suite, task, mean):
        for metric in METRICS:
            value = mean if metric not in LOWER_IS_BETTER else 1 - mean
            rows.append(
                [arm, role, data_seed, model_seed, step, is_final, target, suite, task, "all", metric, value]
            )

    for arm, data, model in product(arms, study.data_seeds, study.model_seeds):
        role = "control" if arm in study.controls else "arm"
        last = 0 if arm == "untrained" else study.steps
        mean = means.get(arm, 0.5 if arm in ("untrained", "scrambled") else 0.8)
        moved = of_data[arm, data] + of_model[arm, model] if mean > 0.5 else 0.0
        for step in [0] if arm == "untrained" else study.eval_steps:
            for task, effect in zip(TABLES, of_table, strict=True):
                value = mean + (effect if mean > 0.5 else 0.2 * effect) + moved + rng.normal(0, 0.01)
                add(arm, role, data, model, step, step == last, "real", "builtin", task, value)
        for suite in [name for name in arms if name != "untrained"]:
            add(
                arm, role, data, model, last, True, "prior", suite, "0", 0.5 if suite == "scrambled" else mean
            )
    for number, (arm, task) in enumerate(product([*arms, "builtin"], ["0", "1"])):
        role = "suite" if arm == "builtin" else "control" if arm in study.controls else "arm"
        for metric in PROPERTIES | DISTANCES:
            if arm != "untrained" and not (role == "suite" and metric in DISTANCES):
                suite = "builtin" if metric in DISTANCES else arm
                value = number / 100 + list(PROPERTIES | DISTANCES).index(metric)
                row = [arm, role, None, None, None, True, "properties", suite, task, "all", metric, value]
                rows.append(row)
    for task, effect in zip(TABLES, of_table, strict=True):
        add("decision_tree", "baseline", None, None, None, True, "real", "builtin", task, 0.7 + effect)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype(dict.fromkeys(["data_seed", "model_seed", "step"], "Int64"))


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Figures are drawn where a test looks at them alone: they take most of a report's time."""
    monkeypatch.setattr(statistics, "NUM_RESAMPLES", 500)
    if "page" not in request.node.name:
        for name in ("critical_differences", "gallery", "heat_map", "intervals", "learning_curves"):
            monkeypatch.setattr(study_report, name, lambda *_: "<svg/>")
        for name in ("table_differences", "scatter"):
            monkeypatch.setattr(study_report, name, lambda *_: "<svg/>")


def report(tmp_path, study, records):
    return build_report(plan_study(study), records, tmp_path)


def words_of(sections, title):
    [section] = [section for section in sections if section.title == title]
    return "\n".join(line for block in section.blocks for line in (block.text, *block.items_))


def test_an_identity_study_finds_nothing_and_a_broken_prior_is_found_worse(tmp_path):
    study = study_of(["good", "same", "broken"])
    records = simulate(study, {"broken": 0.5})
    said = words_of(report(tmp_path, study, records), "In short")
    assert "same and good: no difference was shown (" in said
    assert re.search(r"broken is worse than good by 0\.(2[89]|3)", said), said


@pytest.mark.parametrize("seed", range(5))
def test_the_repeated_control_is_reported_as_noise(tmp_path, seed):
    study = study_of()
    sections = report(tmp_path, study, simulate(study, {}, seed))
    said = words_of(sections, "Controls")
    assert "repeated and good: no difference was shown" in said
    assert "so large is noise here" in said
    assert re.search(r"scrambled: ROC AUC 0\.(49|50)", said)
    assert "no better than chance, as it should be" in said


def test_a_leak_in_the_scrambled_control_is_told(tmp_path):
    study = study_of()
    said = words_of(report(tmp_path, study, simulate(study, {"scrambled": 0.8})), "Controls")
    assert "not at chance, though its labels tell nothing" in said


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ([], "no control untrained, no control scrambled, no control repeated"),
        (["untrained", "scrambled"], "This study has no control repeated."),
    ],
)
def test_a_study_without_controls_says_so_first(tmp_path, controls, words):
    study = study_of(controls=controls)
    first = report(tmp_path, study, simulate(study, {}))[0]
    assert first.blocks[0].kind == "warning"
    assert words in first.blocks[0].text


def test_a_control_that_went_wrong_is_told_first(tmp_path):
    study = study_of()
    first = report(tmp_path, study, simulate(study, {"scrambled": 0.8, "repeated": 0.7}))[0]
    warnings = "\n".join(block.text for block in first.blocks if block.kind == "warning")
    assert "not at chance, though its labels tell nothing" in warnings
    assert "repeated is worse than good" in warnings
    assert "trust no difference of this size" in warnings


def test_what_priors_are_like_stands_beside_what_they_teach(tmp_path):
    study = study_of()
    records = simulate(study, {})
    [section] = [one for one in report(tmp_path, study, records) if one.title == "What the priors are like"]
    [block] = [block for block in section.blocks if block.kind == "table"]
    assert block.header == ("prior", "ROC AUC", *PROPERTIES.values(), *DISTANCES.values())
    rows = {row[0]: row for row in block.rows}
    assert list(rows)[:2] == ["good", "same"]
    assert "untrained" not in rows
    final = records.query("arm == 'same' and is_final and target == 'real' and metric == 'roc_auc'")
    assert rows["same"][1] == f"{final['value'].mean():.3f}"
    assert rows["same"][2:4] == ("0.025", "1.025")  # means of its two datasets
    assert rows["same"][-1] == "9.025"
    assert rows["tables of builtin"][2] == "0.105"
    assert rows["tables of builtin"][-1] == ""
    assert -1 <= float(rows["rank correlation with the score"][2]) <= 1


def test_one_seed_is_told(tmp_path):
    study = study_of(data_seeds=[3])
    assert "One data seed" in words_of(report(tmp_path, study, simulate(study, {})), "In short")


def test_less_is_better_where_it_is():
    study = study_of(["good", "broken"], metric="log_loss")
    scores = Scores(study, simulate(study, {"broken": 0.5}))
    found, _ = scores.comparisons["broken"]
    assert found.mean < -0.2
    assert "broken is worse than good" in scores.words("broken")


def test_missing_cells_leave_whole_seeds_out():
    study = study_of()
    records = simulate(study, {})
    gone = (records["arm"] == "same") & (records["data_seed"] == 1) & (records["model_seed"] == 2)
    scores = Scores(study, records[~gone])
    pair = [scores.of[arm][:, :2].mean() for arm in ("same", "good")]  # model seeds 0 and 1
    assert scores.comparisons["same"][0].mean == pytest.approx(pair[0] - pair[1])
    scores = Scores(study, records[records["arm"] != "same"])
    assert "same" not in scores.comparisons


def test_complete_seeds():
    there = np.ones((2, 3), bool)
    assert complete_seeds(there) == ([0, 1], [0, 1, 2])
    there[1, 2] = False
    assert complete_seeds(there) == ([0, 1], [0, 1])
    there[1, 1] = False
    assert complete_seeds(there) == ([0], [0, 1, 2])
    assert complete_seeds(np.eye(2, dtype=bool)) is None


def test_nothing_scored_is_no_report(tmp_path):
    study = study_of()
    with pytest.raises(StudyError, match="no cell is scored yet"):
        report(tmp_path, study, simulate(study, {}).iloc[:0])


class Page(HTMLParser):
    """What a test asks of a page: its links, tables and text; raises where tags do not fit."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.tables, self.text = [], [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("href", "src") if name in values]
        if tag == "img":
            self.images.append(values)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text += data
        if self.open and self.open[-1] in ("th", "td"):
            self.tables[-1][-1][-1] += data


def test_the_page_stands_alone(tmp_path):
    study = study_of(["good", "<b>same</b> & |other|"], question="Is *this* <i>safe</i>?")
    sections = report(tmp_path, study, simulate(study, {}))
    html = to_html("a <title>", sections)
    page = Page(html)
    figures = [block for section in sections for block in section.blocks if block.kind == "figure"]
    assert {"curves", "differences", "ranks", "tables", "priors", "prior-1"} <= {one.name for one in figures}
    assert len({one.name for one in figures}) == len(figures) == len(page.images)
    assert all(
        image["src"].startswith("data:image/svg+xml;base64,") and image["alt"] for image in page.images
    )
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert not any(
        "http" in re.sub(r'xmlns(:\w+)?="[^"]*"', "", one.text.split("<svg", 1)[1]) for one in figures
    )
    assert len(page.tables) >= 6
    for rows in page.tables:
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    assert "<b>same</b> & |other|" in page.text
    assert "Is *this* <i>safe</i>?" in page.text
    markdown = to_markdown("a <title>", sections)
    assert markdown.startswith("# a &lt;title>\n")
    assert "Is \\*this\\* &lt;i>safe&lt;/i>?" in markdown
    for one in figures:
        assert f"(figures/{one.name}.svg)" in markdown
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_the_study_stands_there_as_it_was_run(tmp_path):
    study = study_of()
    sections = report(tmp_path, study, simulate(study, {}))
    [section] = [section for section in sections if section.title == "How it was made"]
    code = [block.text for block in section.blocks if block.kind == "code"]
    assert Study(**json.loads(code[0])) == study
    assert "nanotabpfn study run study.json" in code[1]


def test_numbers_of_the_tables_are_those_of_the_records(tmp_path):
    study = study_of()
    records = simulate(study, {})
    [block] = [
        block
        for section in report(tmp_path, study, records)
        for block in section.blocks
        if block.kind == "table" and block.header[0] == "table"
    ]
    column = block.header.index("same")
    for row in block.rows:
        chosen = records.query(
            "arm == 'same' and task == @row[0] and is_final and target == 'real' and metric == 'roc_auc'"
        )
        assert row[column] == f"{chosen['value'].mean():.3f}"


def test_a_study_that_is_half_done_is_reported(tmp_path):
    study = study_of()
    records = simulate(study, {})
    half = records[~((records["model_seed"] > 0).fillna(False) & (records["arm"] != "good"))]
    said = words_of(report(tmp_path, study, half), "In short")
    assert "Not complete: 0 of 30 cells are done" in said


def test_a_figure_has_every_property_and_every_arm(texts):
    properties = {"forest": {"a": 0.6, "b": np.nan}, "coverage": {"a": 0.1, "b": 0.2}}
    assert "svg" in scatter(properties, {"a": 0.8, "b": 0.9}, {"forest": 0.8}, "ROC AUC")
    assert {"forest", "coverage", "1 a", "2 b", "ROC AUC"} <= set(texts)


def test_figures_of_the_smallest_studies():
    assert "svg" in critical_differences({"a": 1.0, "b": 2.0}, 5.0)
    assert "svg" in heat_map(["a"], ["a"], np.array([[0.5]]), 1, "ROC AUC")
    graph = nx.DiGraph([(0, 1)])
    one_feature = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    assert "svg" in gallery([("tree", graph)], [one_feature])
    assert "svg" in gallery([], [one_feature] * 2)
