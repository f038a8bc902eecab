"""A report as one HTML page that needs no other file, and as Markdown with its figures as files."""

from html import escape
from importlib.resources import files

from nanotabpfn.studies.report.blocks import Block, Section, numbered
from nanotabpfn.studies.spec import StudyError

TEMPLATE = "report.html"


def to_html(title: str, sections: list[Section]) -> str:
    """The page, with its styles, scripts and figures.

    Raises:
        StudyError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise StudyError('a report needs jinja2: pip install "nanotabpfn-priors[studies]"') from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        (files("nanotabpfn.studies.report") / TEMPLATE).read_text(encoding="utf-8")
    )
    return template.render(title=title, sections=numbered(sections))


def to_markdown(title: str, sections: list[Section]) -> str:
    """The same as Markdown, with figures in the folder `figures`.

    >>> print(to_markdown("A *study*", [Section("In short", [Block("text", "No <difference>.")])]))
    # A \\*study\\*
    <BLANKLINE>
    ## 1 In short
    <BLANKLINE>
    No &lt;difference>.
    <BLANKLINE>
    """
    lines = [f"# {_escaped(title)}", ""]
    for section in numbered(sections):
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_markdown(block), ""]
    return "\n".join(lines)


def _markdown(block: Block) -> list[str]:
    if block.kind == "text":
        return [_escaped(block.text)]
    if block.kind == "warning":
        return [f"> **Note.** {_escaped(block.text)}"]
    if block.kind == "list":
        return [f"- {_escaped(item)}" for item in block.items_]
    if block.kind == "code":
        return ["```", block.text, "```"]
    if block.kind == "figure":
        return [f"![{_escaped(block.caption)}](figures/{block.name}.svg)", "", f"*{_escaped(block.caption)}*"]
    rule = ["---" if i == 0 or i in block.text_columns else "--:" for i in range(len(block.header))]
    rows = [[_escaped(cell) for cell in row] for row in (block.header, *block.rows)]
    rows.insert(1, rule)
    return [_escaped(block.caption), "", *(f"| {' | '.join(row)} |" for row in rows)]


def _escaped(words: str) -> str:
    """Text with the marks of Markdown escaped: the names of arms are free text."""
    words = escape(words, quote=False).replace("&gt;", ">")
    for mark in "\\`*_[]|":
        words = words.replace(mark, "\\" + mark)
    return words
