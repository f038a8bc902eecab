"""docs/own-graph.md: all of it runs as shown, only smaller, from a graph to a scored model."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner

import nanotabpfn.cli.main
import priors.cli.main
from priors import PriorConfig, read_graph
from priors.own_graph import ATTRIBUTES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-graph.md").read_text(encoding="utf-8")
GROUPS = {"priors": priors.cli.main.main, "nanotabpfn": nanotabpfn.cli.main.main}
SMALLER = {
    "--num-datasets 10000": "--num-datasets 96",
    "--num-datasets 1000 ": "--num-datasets 8 ",
    "--steps 200 --held-out 256": "--steps 2 --held-out 32",
    "generate(config, 200, seed=1)": "generate(config, 3, seed=1)",
    "people = 10_000": "people = 200",
    "range(100)": "range(18)",
    "over 100 models": "over 18 models",
}


def blocks(language):
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    for shown, smaller in SMALLER.items():
        found = [block.replace(shown, smaller) for block in found]
    return found


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    assert all(shown in PAGE for shown in SMALLER)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    pages = []
    for block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            group, *words = shlex.split(line)
            if group not in GROUPS:
                subprocess.run(["sh", "-c", line], check=True)
                continue
            with torch.random.fork_rng():
                result = CliRunner().invoke(GROUPS[group], words)
            assert result.exit_code == 0, result.output
            pages.append(result.output)
    for line in ("target    default", "features  age, education, employment, income, savings, loan"):
        assert any(line in page for page in pages)
        assert line in PAGE

    namespace = {}
    for block in blocks("python"):
        exec(compile(block, "own-graph.md", "exec"), namespace)
    output = capsys.readouterr().out
    scores = [float(score) for score in re.findall(r"mean ROC AUC (\d\.\d+)", output)]
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores)
    assert output.count("observed") == 3
    assert "['load', 'heat', 'coolant'] (150, 3)" in output
    assert (namespace["effects"][:, 1] < 0).mean() > 0.5


def test_the_page_shows_what_the_last_lines_print():
    """Known equations, integrated."""
    rng = np.random.default_rng(0)
    load = rng.uniform(0, 100, 1_000_000)
    without, best = (np.mean(0.01 * (20 + 0.8 * load - 5 * level) * load) for level in (0, 2))
    shown = int(re.search(r"the best coolant saves (\d+)% of the wear", PAGE)[1])
    assert abs(shown - 100 * (1 - best / without)) < 1


def test_the_page_shows_the_weights_of_the_file():
    graph = PriorConfig(graph=read_graph(ROOT / "docs" / "credit.graphml")).graph
    shown = {}
    for effect, causes in re.findall(r"^(\w+) = (.*\d .*)$", PAGE, re.MULTILINE):
        for sign, weight, cause in re.findall(r"(-?) ?(\d\.\d) (\w+)", causes):
            shown[cause, effect] = float(sign + weight)
    assert shown == {(cause, effect): weights[0] for cause, effect, *weights in graph.edges if weights}
    assert graph.target_name == "default"
    assert set(graph.nodes) - set(graph.feature_names) == {"default", "thrift"}


def test_the_page_lists_every_attribute():
    assert tuple(re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE)) == ATTRIBUTES
