"""How tests call the two commands, and what a refusal looks like."""

from click.testing import CliRunner

import nanotabpfn.cli.main
import priors.cli.main

TINY_MODEL = ["--embedding-size", 8, "--heads", 2, "--hidden", 8, "--layers", 1, "--device", "cpu"]


def run_priors(*arguments):
    return CliRunner().invoke(priors.cli.main.main, [str(argument) for argument in arguments])


def run_nanotabpfn(*arguments):
    return CliRunner().invoke(nanotabpfn.cli.main.main, [str(argument) for argument in arguments])


def train_tiny(dump, out, *more):
    sizes = ["--batch-size", 4, "--steps", 6, *TINY_MODEL]
    return run_nanotabpfn("train", "--dump", dump, "--out", out, *sizes, *more)


def assert_refused(result, *words):
    """A usage error: one or two plain lines that hold `words`, exit code 2, no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 2, result.stderr
    assert lines[0].startswith("Error: ")
    for word in words:
        assert str(word) in result.stderr
