"""The commands `priors plot ...`: each draws its figure, and what it refuses."""

import re
import shlex
from pathlib import Path

import pytest
from commands import assert_refused
from commands import run_priors as run

from priors.presets import PRESETS

SMALL = ["--set", "num_datapoints=20", "--set", "train_fraction=[0.4, 0.6]", "--num", "2"]
DOCS = Path(__file__).parents[3] / "docs"
VERBS = ["graphs", "datasets", "mechanisms"]


@pytest.mark.parametrize("verb", [*VERBS, "dump"])
def test_help_teaches_by_example(verb):
    result = run("plot", verb, "--help")
    assert result.exit_code == 0
    assert f"\n  priors plot {verb} " in result.output
    assert max(map(len, result.output.splitlines())) < 110


@pytest.mark.parametrize("verb", VERBS)
def test_figures_of_a_prior(verb, tmp_path):
    config = tmp_path / "mine.json"
    config.write_text(PRESETS["gp"].to_json())
    out = tmp_path / "figure.png"
    for choice in (["--preset", "linear"], ["--config", config, "--seed", 1]):
        result = run("plot", verb, "--out", out, *choice, *SMALL, "--overwrite")
        assert result.exit_code == 0, result.output
        assert out.read_bytes().startswith(b"\x89PNG")
    assert_refused(run("plot", verb, "--out", out, *SMALL), "exists; --overwrite replaces it")


@pytest.mark.parametrize("verb", VERBS)
def test_titles_carry_the_changes(verb, texts, tmp_path):
    words = [word for change in ("mechanisms=mlp", "num_datapoints=30") for word in ("--set", change)]
    result = run("plot", verb, "--out", tmp_path / "figure.svg", *words, "--num", 1)
    assert result.exit_code == 0, result.output
    title = f"{verb} drawn from the prior default with num_datapoints=30, mechanisms=mlp (seed 0)"
    assert any(text.lower().endswith(title) for text in texts)


def test_families_and_a_graph_of_ones_own(tmp_path):
    (tmp_path / "own.txt").write_text("age income\nincome default\n")
    result = run("plot", "graphs", "--out", tmp_path / "a.svg", "--by-family", *SMALL)
    assert result.exit_code == 0, result.output
    own = ["--graph", tmp_path / "own.txt", "--target", "default"]
    result = run("plot", "graphs", "--out", tmp_path / "b.svg", *own)
    assert result.exit_code == 0, result.output
    assert "<!-- default -->" in (tmp_path / "b.svg").read_text()


def test_a_dump(published_like, tmp_path):
    out = tmp_path / "figure.pdf"
    result = run("plot", "dump", published_like, "--out", out, "--num", 3)
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["graphs"], ["--out"]),
        (["graphs", "--out", "new.jpg"], ["new.jpg: a figure must end in one of .png, .svg, .pdf"]),
        (["datasets", "--out", "nowhere/new.png"], ["there is no folder"]),
        (["datasets", "--out", "new.png", "--num", "0"], ["0"]),
        (["mechanisms", "--out", "new.png", "--preset", "none"], ["none", "default"]),
        (["mechanisms", "--out", "new.png", "--set", "nodes=4"], ["unknown field 'nodes'"]),
        (["graphs", "--out", "new.png", "--preset", "gp", "--config", "TEXT"], ["exclude each other"]),
        (["graphs", "--out", "new.png", "--target", "age"], ["--target and --features need --graph"]),
        (["dump", "TEXT", "--out", "new.png"], ["is not a whole HDF5 file"]),
        (["dump", "missing.h5", "--out", "new.png"], ["missing.h5", "does not exist"]),
        (["pie"], ["pie"]),
    ],
)
def test_bad_input_is_refused_in_plain_lines(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.h5").write_text("no dump")
    arguments = ["text.h5" if word == "TEXT" else word for word in arguments]
    assert_refused(run("plot", *arguments), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["text.h5"]


@pytest.mark.parametrize("page", ["gallery.md", "audit.md"])
def test_the_commands_of_the_docs_exist_and_their_figures_are_there(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    shell = "".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    commands = [shlex.split(line) for line in shell.splitlines() if line.startswith("priors ")]
    assert len(commands) >= 3
    for _, verb, *words in commands:
        path = [verb, words[0]] if verb == "plot" else [verb]
        described = run(*path, "--help").output
        assert described.startswith("Usage: ")
        for word in words:
            assert not word.startswith("--") or word in described, f"{path} {word}"
        made = [Path(word) for word in words if word.startswith("docs/") and word.endswith(".png")]
        for figure in made:
            assert f"]({figure.name})" in text
    for name in re.findall(r"\]\(([^)]+)\)", text):
        assert (DOCS / name).exists(), name
    for name in re.findall(r"\]\(([^)]+\.png)\)", text):
        assert (DOCS / name).stat().st_size < 250_000
