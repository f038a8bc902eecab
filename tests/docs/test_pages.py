"""All pages: commands exist with their options, links and names of files lead to files."""

import importlib
import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import nbformat
import pytest

import nanotabpfn.cli.main
import priors.cli.main
from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES
from priors.presets import PRESETS

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/notebooks/*.ipynb"),
        *ROOT.glob("nanotabpfn/shipped/*.md"),
    )
    if page.name != "report.md"  # written by `nanotabpfn study report`
]
GROUPS = {"priors": priors.cli.main.main, "nanotabpfn": nanotabpfn.cli.main.main}
STARTS = re.compile(r"(?:[A-Z_]+=\S+ )?(?:priors|nanotabpfn|python scripts/\S+\.py|scripts/\S+\.sh)(?: |$)")


def text_of(page):
    """The Markdown of a page or of a notebook, whose code a test of its own runs."""
    if page.suffix == ".ipynb":
        cells = nbformat.read(page, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return page.read_text(encoding="utf-8")


def commands_of(page):
    """The words of each command in the page's shell blocks and inline code."""
    text = text_of(page)
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    lines = [line.partition(" -m ")[2] if line.startswith("torchrun") else line for line in lines]
    return [shlex.split(line.partition(" | ")[0], comments=True) for line in lines if STARTS.match(line)]


def resolve(words):
    """The click command that `words` name, and the words that follow its name."""
    while "=" in words[0]:
        words = words[1:]
    if words[0] == "python":
        script = ROOT / words[1]
        assert script.exists(), words
        command, words = importlib.import_module(script.stem).main, words[2:]
    elif words[0] in GROUPS:
        command, words = GROUPS[words[0]], words[1:]
    else:
        assert (ROOT / words[0]).exists(), words
        return None, words[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists_with_its_options(page):
    for words in commands_of(page):
        command, rest = resolve(words)
        if command is None:  # a shell script
            text = (ROOT / words[0]).read_text(encoding="utf-8")
            assert all(word in text for word in rest if word.startswith("--")), words
            continue
        if not isinstance(command, click.Command):  # a script that reads no options
            assert not rest, words
            continue
        known = {"--help", "--version"}.union(
            *(option.opts + option.secondary_opts for option in command.params)
        )
        shown = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert shown <= known, f"{shlex.join(words)}: {shown - known}"
        assert not unknown_values(command, rest), shlex.join(words)


def unknown_values(command, rest):
    """The values of options that can only be certain names, and are none of them; not placeholders: NAME."""
    choices = {
        option: parameter.type.choices
        for parameter in command.params
        for option in parameter.opts
        if isinstance(parameter.type, click.Choice)
    }
    if command.name == "train":
        choices["--prior"] = PRESETS
    values = [(option, value) for option, value in pairwise(rest) if not re.search("[A-Z|.]", value)]
    return [value for option, value in values if option in choices and value not in choices[option]]


def commands_with_help(group, *path):
    """(words, command) of each command of a group, and of its groups."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from commands_with_help(command, *path, name)
        yield [*path, name], command


@pytest.mark.parametrize("name", GROUPS)
def test_examples_in_help_use_names_that_exist(name):
    num_examples = 0
    for _, command in commands_with_help(GROUPS[name], name):
        for line in (command.help or "").replace("\\\n", " ").splitlines():
            if STARTS.match(line.strip()):
                found, rest = resolve(shlex.split(line.strip(), comments=True))
                assert not unknown_values(found, rest), line
                num_examples += 1
    assert num_examples > 15


def test_commands_are_found_on_the_pages():
    counts = {str(page.relative_to(ROOT)): len(commands_of(page)) for page in PAGES}
    assert counts["README.md"] > 20
    assert counts["docs/training.md"] > 10
    assert sum(counts.values()) > 80


def headings(text):
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if heading:
            assert heading in headings(text_of(target)), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_that_are_named_exist(page):
    if page.name in ("log.md", "race.md", "race-long.md", "CHANGELOG.md"):  # they name former files too
        return
    named = re.findall(r"`((?:priors|nanotabpfn|tests|scripts|docs)/[\w/.-]+)`", text_of(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_on_studies_lists_the_suites_with_their_numbers_of_tables():
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    page = page.partition("\n## Real tables\n")[2].partition("\n## ")[0]
    listed = {}
    for names, numbers in re.findall(
        r"^\| ((?:`[\w-]+`(?:, )?)+) \| (\d+(?: and \d+)?) ", page, re.MULTILINE
    ):
        listed |= zip(re.findall("`(.*?)`", names), map(int, numbers.split(" and ")), strict=True)
    assert listed == {name: len(tables) for name, tables in SUITES.items()}
    assert dict(re.findall(r"`([\w-]*regression[\w-]*)`\s\((\d+)", page)) == {
        name: str(len(tables)) for name, tables in REGRESSION_SUITES.items()
    }
