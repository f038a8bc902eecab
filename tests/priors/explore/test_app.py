"""The page: all its cells run, with first values and with moved ones, and the command serves it."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from commands import assert_refused
from commands import run_priors as run

from priors.cli import explore as command
from priors.config import PriorConfig
from priors.explore import sections
from priors.explore.app import app
from priors.explore.controls import controls_of
from priors.explore.turned import Turned
from priors.explore.views import VIEWS
from priors.explore.widgets import clickable, elements_of, message, panel
from priors.plots.sampled_datasets import sample_in_block
from priors.presets import PRESETS
from priors.sampling.dataset import NoDatasetError

SMALL = PriorConfig(num_datapoints=30, num_features=2, num_nodes=(5, 5))
NO_EDGES = {"erdos_renyi": {"mean_parents": (0, 0)}}
NONE = PriorConfig(graphs="erdos_renyi", relevant_fraction=1, parameters=NO_EDGES)  # of unrelated nodes


class Chosen:
    """In place of an element of the page: only its value counts."""

    def __init__(self, value):
        self.value = value


def page(view, priors, wrong=(), presets=("default", "mixed"), seed=0, place=-1):
    """The text of all cells that show something, for one view of some priors."""
    shown = {
        "start": None,
        "seed": Chosen(seed),
        "compare": Chosen(len(priors) > 1),
        "which": Chosen("B"),
        "preset_a": Chosen(presets[0]),
        "preset_b": Chosen(presets[1]),
        "view": Chosen(view),
        "shown": dict.fromkeys(VIEWS[view], 1),
        "number": Chosen(0),
        "quantile": Chosen(0.9),
    }
    of_priors = {"presets": dict(zip("AB", presets, strict=True)), "priors": priors, "wrong": list(wrong)}
    outputs, _ = app.run(defs=shown | start_cells() | of_priors)
    return " ".join(output.text for output in outputs if hasattr(output, "text"))


def start_cells():
    """What the cells of the settings define, for two small priors."""
    cells = {}
    for name in "ab":
        controls = controls_of(SMALL)
        cells |= {
            f"start_{name}": SMALL,
            f"controls_{name}": controls,
            f"elements_{name}": elements_of(controls),
            f"text_{name}": Chosen(""),
            f"turned_{name}": Turned(SMALL, {}),
        }
    return cells


def test_all_cells_run_as_the_page_opens():
    outputs, defined = app.run()
    assert defined["priors"] == {"A": PRESETS["default"]}
    assert defined["wrong"] == []
    text = " ".join(output.text for output in outputs if hasattr(output, "text"))
    assert text.count("<svg viewBox") == 3  # graphs; that to click is drawn by the browser
    assert text.count("data:image/png") == 2
    for words in ("Causal graphs", "Intervention", "Properties of tables", "datasets of prior A"):
        assert words in text


COUNTS = {
    "Overview": (2, 3),
    "Graphs": (2, 0),
    "Datasets": (0, 2),
    "Properties": (0, 1),
    "Mechanisms": (0, 2),
    "Learnability": (0, 1),
    "Intervention": (0, 0),
    "Copy": (0, 0),
    "Everything": (2, 6),
}


def test_every_part_of_the_page_is_in_a_view_of_its_own_and_in_the_one_of_all():
    assert COUNTS.keys() == VIEWS.keys()
    parts = {part for view in VIEWS.values() for part in view}
    assert {part for view in VIEWS.values() if len(view) == 1 for part in view} == parts
    assert VIEWS["Everything"].keys() == parts


@pytest.mark.parametrize(("view", "counts"), COUNTS.items(), ids=list(COUNTS))
def test_each_view_shows_its_part_of_two_priors(view, counts):
    text = page(view, {"A": SMALL, "B": PriorConfig(num_datapoints=30, mechanisms="linear")})
    assert (text.count("<svg viewBox"), text.count("data:image/png")) == counts
    assert ("--set mechanisms=linear" in text) == ("copy" in VIEWS[view])


def test_classification_and_regression_have_pictures_of_their_own():
    regression = PriorConfig(num_datapoints=30, problem_type="regression")
    assert page("Properties", {"A": SMALL, "B": regression}).count("data:image/png") == 2


def test_settings_that_are_not_valid_are_shown_in_place_of_pictures():
    text = page("Everything", {}, wrong=["prior A: clip: must be at least 1"])
    assert "prior A: clip: must be at least 1" in text
    assert "data:image/png" not in text


def test_a_prior_of_which_no_dataset_can_be_drawn_says_why():
    found = sections.drawn(NONE, 0, 0)
    assert isinstance(found, NoDatasetError)
    for part in (
        sections.graphs({"A": NONE, "B": SMALL}, 0, 1),
        sections.pictures("datasets", {"A": NONE, "B": SMALL}, 0, 1),
        sections.properties({"A": NONE, "B": SMALL}, 0, 1, ("skewness",), "Few"),
        sections.intervention(None, found, 0, 0.5),
    ):
        assert "widen relevant_fraction" in part.text
    priors, [wrong] = sections.usable({"A": Turned(NONE, {}), "B": Turned(SMALL, {})}, 0)
    assert priors == {"B": SMALL}
    assert wrong.startswith("prior A: all of ")


def test_a_click_on_a_node_draws_the_graph_again_and_shows_the_columns():
    sampled = sample_in_block(SMALL, 0, 0)
    graph = clickable(sampled)
    assert "No node is set" in sections.intervention(graph, sampled, -1, 0.9).text
    before = graph.widget.svg
    text = sections.intervention(graph, sampled, 0, 0.9).text
    assert graph.widget.svg != before
    assert ">set<" in graph.widget.svg
    assert text.count("<code>") == 3


def test_messages_stand_below_their_controls_and_are_escaped():
    controls = controls_of(SMALL)
    shown = panel(
        controls, elements_of(controls), SMALL, {"clip": "clip: <b>", "parameters": "parameters: x"}
    )
    assert shown.text.count("clip: &amp;lt;b&amp;gt;") + shown.text.count("clip: &lt;b&gt;") == 1
    assert "parameters: x" in shown.text
    assert "<script>" not in message("<script>").text


def test_parameters_are_shown_of_the_families_that_the_prior_draws():
    controls = controls_of(SMALL)
    elements = elements_of(controls)
    assert "mlp.width" in panel(controls, elements, SMALL, {}).text
    linear = PriorConfig(mechanisms="linear")
    assert "mlp.width" not in panel(controls, elements, linear, {}).text


def read_when_it_listens(address, server):
    """The page at an address that marimo may print before it listens there."""
    while server.poll() is None:
        with suppress(urllib.error.URLError), urllib.request.urlopen(address) as answer:
            return answer.read().decode()
        time.sleep(0.1)
    raise AssertionError("the server ended")


def test_the_command_serves_the_page(tmp_path):
    server = subprocess.Popen(
        [sys.executable, "-m", "priors", "explore", "--no-browser", "--preset", "linear", "--seed", "3"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "no_proxy": "*"},
    )
    try:
        address = next(line.split()[-1] for line in server.stdout if "URL:" in line)
        text = read_when_it_listens(address, server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate()
    assert "<title>priors explore</title>" in text
    assert server.returncode == 0


def test_mistakes_are_found_before_anything_is_served(monkeypatch):
    monkeypatch.setattr(command.subprocess, "Popen", lambda *_: pytest.fail("served"))
    assert_refused(run("explore", "--set", "num_features=0"), "num_features: needs at least 1 feature")
    assert_refused(run("explore", "--preset", "defualt"), "defualt")
    assert_refused(run("explore", "--port", "0"), "--port")
    assert_refused(run("explore", "--seed", "3000000000"), "--seed", "at most 2147483647")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "marimo" else name)
    assert_refused(run("explore"), "marimo", "pip install 'nanotabpfn-priors[explore]'")
