"""--json prints a result as one JSON document, and nothing else, on stdout; --quiet hides progress bars."""

import io
import json
import shlex
import sys

import click
import pytest
from click.testing import CliRunner
from commands import TINY_MODEL
from small_study import make_studies_small, write_study

import nanotabpfn.cli.main
import priors.cli.main
from priors.console import hidden_bars

GROUPS = {"priors": priors.cli.main.main, "nanotabpfn": nanotabpfn.cli.main.main}
PRINT_NO_RESULT = {
    "priors schema",  # prints JSON anyway
    "nanotabpfn study schema",
    "priors plot graphs",
    "priors plot datasets",
    "priors plot mechanisms",
    "priors plot dump",
    "priors explore",  # a page
}
TINY = "--set num_datapoints=24 --set num_features=3 --set num_nodes=[5,6] --set block_size=4"
RUN = f"--steps 4 --batch-size 4 --eval-every 2 {shlex.join(map(str, TINY_MODEL))}"

# Command -> a key of its document, or of the first in its list. They run in this order, in one folder.
COMMANDS = {
    "priors presets": "default",
    "priors presets gp": "mechanisms",
    "priors presets --explain": "num_features",
    "priors presets --explain mechanisms": "mechanisms",
    f"priors generate a.h5 --num-datasets 16 {TINY}": "content_hash",
    f"priors generate b.h5 --num-datasets 16 {TINY} --seed 1": "content_hash",
    "priors inspect a.h5": "nearest_preset",
    "priors diff a.h5 b.h5": "properties",
    "priors validate a.h5": "findings",
    "priors verify a.h5 --sample 4": "findings",
    "priors audit a.h5 --num-datasets 2": "datasets",
    "priors merge a.h5 b.h5 --out both.h5": "num_datasets",
    "priors shuffle both.h5 --out shuffled.h5 --seed 0": "num_blocks",
    "priors split both.h5 --parts 2 --out-dir parts": "num_datasets",
    "priors convert a.h5 a.npz": "bytes",
    "priors card a.h5 --title Tables": "croissant",
    "priors download 300k_150x5_2 --out downloaded.h5": "sha256",
    f"nanotabpfn train --dump a.h5 --out runs/a {RUN} --suite none --held-out 4": "step",
    "nanotabpfn train --resume runs/a": "messages",
    "nanotabpfn evaluate --model runs/a --suite toy --suite many --device cpu": "roc_auc",
    "nanotabpfn plot runs/a": "num_steps",
    "nanotabpfn predict --train t.csv --target y --test t.csv --out p.csv --model runs/a": "num_predictions",
    "nanotabpfn card runs/a --title Tiny": "card",
    "nanotabpfn convert a.h5 batches --batch-size 8": "micro_batch_size",
    "nanotabpfn study init example.yaml": "file",
    "nanotabpfn study plan s.json": "cells",
    "nanotabpfn study run s.json": "num_done",
    "nanotabpfn study report runs/s": "page",
    "nanotabpfn study compare runs/s runs/s": "rows",
}


def leaves(command, path):
    """(words, command) of each command below a group."""
    if not isinstance(command, click.Group):
        return [(" ".join(path), command)]
    context = click.Context(command)
    names = command.list_commands(context)
    return [leaf for name in names for leaf in leaves(command.get_command(context, name), (*path, name))]


ALL = dict(leaf for name, group in GROUPS.items() for leaf in leaves(group, (name,)))


def invoke(line):
    name, *words = shlex.split(line)
    return CliRunner().invoke(GROUPS[name], words)


@pytest.fixture
def folder(tmp_path, monkeypatch, server):
    from priors.dumps import download

    monkeypatch.chdir(tmp_path)
    make_studies_small(monkeypatch)
    published = download.Published(server.url, server.url, (640, 150, 5))
    monkeypatch.setitem(download.PUBLISHED, "300k_150x5_2", published)
    rows = [f"{row % 5},{row % 7},{row * row % 11},{'ab'[row % 5 > 2]}" for row in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["u,v,w,y", *rows]))
    write_study(tmp_path / "s.json")
    return tmp_path


def test_every_command_that_prints_a_result_has_json():
    with_json = {name for name, command in ALL.items() if any("--json" in p.opts for p in command.params)}
    assert with_json == ALL.keys() - PRINT_NO_RESULT
    tried = {name for name in with_json for line in COMMANDS if line.startswith(name)}
    assert tried == with_json


def test_the_result_is_one_document_on_stdout(folder):
    for line, key in COMMANDS.items():
        result = invoke(f"{line} --json")
        assert result.exit_code == 0, (line, result.output)
        document = json.loads(result.stdout)  # raises if there is anything else
        assert key in (document[0] if isinstance(document, list) else document), line


def test_findings_are_a_document_and_exit_code_1(published_like):
    result = invoke(f"priors validate {published_like} --json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert any("77" in finding for finding in found["findings"])


def test_what_is_no_number_is_null(folder):
    one = "--set num_features=1 --set num_datapoints=24 --set num_nodes=[5,6]"
    assert invoke(f"priors generate one.h5 --num-datasets 8 {one}").exit_code == 0
    [found] = json.loads(invoke("priors audit one.h5 --num-datasets 2 --json").stdout)
    assert found["datasets"]["correlation"] == [None, None]  # of a single feature


def test_errors_leave_stdout_empty():
    result = invoke("priors inspect no-such.h5 --json")
    assert (result.exit_code, result.stdout) == (2, "")


# ------------------------------------------------------------------------------------------------- --quiet

# Command -> the title of its bar. They run in this order, in one folder.
WITH_BARS = {
    f"priors generate a.h5 --num-datasets 16 {TINY}": "generate a.h5",
    "priors audit a.h5 --num-datasets 2": "then measure",
    "priors audit --preset linear --preset gp --num-datasets 1": "measure gp (2 of 2)",
    "priors plot dump a.h5 --num 2 --out a.png": "then measure",
    "priors download 300k_150x5_2 --out downloaded.h5": "download downloaded.h5",
    f"nanotabpfn train --dump a.h5 --out runs/a {RUN} --suite none": "train",
    "nanotabpfn evaluate --model runs/a --suite toy --device cpu": "nanotabpfn on easy",
    "nanotabpfn study plan s.json": "timing",
    "nanotabpfn study run s.json": "jobs left: ",
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_terminal(line, monkeypatch):
    """What a command writes to stderr if that is a terminal."""
    terminal = Terminal()
    name, *words = shlex.split(line)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        GROUPS[name].main(words, prog_name=name, standalone_mode=False)
    return terminal.getvalue()


def test_every_command_with_a_bar_can_hide_it():
    with_quiet = {name for name, command in ALL.items() if any("--quiet" in p.opts for p in command.params)}
    assert {name for name in with_quiet for line in WITH_BARS if line.startswith(name)} == with_quiet


def test_bars_are_shown_on_a_terminal(folder, monkeypatch):
    for line, title in WITH_BARS.items():
        assert title in on_a_terminal(line, monkeypatch), line


def test_quiet_hides_them(folder, monkeypatch, capsys):
    for line in WITH_BARS:
        assert on_a_terminal(f"{line} --quiet", monkeypatch) == "", line
    capsys.readouterr()
    on_a_terminal("nanotabpfn study run s.json --quiet", monkeypatch)
    assert len(capsys.readouterr().out.splitlines()) == 1  # the result


def test_quiet_keeps_warnings_and_errors(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with hidden_bars():
        click.echo("a warning", err=True)
    assert sys.stderr is terminal
    assert terminal.getvalue() == "a warning\n"
