"""The parts of a report: sections of blocks, which are text, warnings, lists, code, figures or tables."""

from base64 import b64encode
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from nanotabpfn.studies.report.figures import Picture


@dataclass(frozen=True)
class Block:
    """A part of a section. `kind` is text, warning, list, code, figure or table.

    Examples:
        >>> figure("curves", Picture("<svg/>", b""), "Learning curves.").uri
        'data:image/svg+xml;base64,PHN2Zy8+'
    """

    kind: str
    text: str = ""
    items_: tuple[str, ...] = ()
    caption: str = ""
    name: str = ""  # of a figure's files
    pdf: bytes = b""  # the same figure as `text`, which is its SVG
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    text_columns: tuple[int, ...] = ()

    @property
    def uri(self) -> str:
        """The figure as a URI, so that the page needs no other file."""
        return f"data:image/svg+xml;base64,{b64encode(self.text.encode()).decode()}"


@dataclass(frozen=True)
class Section:
    """A titled part of the report."""

    title: str
    blocks: list[Block] = field(default_factory=list)


def text(words: str) -> Block:
    """A paragraph."""
    return Block("text", words)


def warning(words: str) -> Block:
    """A paragraph that is set apart, on what limits the study."""
    return Block("warning", words)


def figure(name: str, picture: Picture, caption: str) -> Block:
    """A figure; `name` is that of its files."""
    return Block("figure", picture.svg, name=name, caption=caption, pdf=picture.pdf)


def table(
    header: list[str], rows: list[list[str]], caption: str, text_columns: tuple[int, ...] = ()
) -> Block:
    """A sortable table. Its first column and `text_columns` hold text, the others numbers.

    Examples:
        >>> table(["arm", "ROC AUC"], [["linear", "0.812"]], caption="Scores.").rows
        (('linear', '0.812'),)
    """
    return Block(
        "table",
        header=tuple(header),
        rows=tuple(map(tuple, rows)),
        caption=caption,
        text_columns=text_columns,
    )


def numbered(sections: list[Section]) -> list[Section]:
    """The sections, figures and tables with their numbers, as a reader refers to them.

    >>> [section] = numbered([Section("In short", [table(["arm"], [["linear"]], "The arms.")])])
    >>> section.title, section.blocks[0].caption
    ('1 In short', 'Table 1. The arms.')
    """
    numbers = {"figure": count(1), "table": count(1)}

    def with_number(block: Block) -> Block:
        if block.kind not in numbers:
            return block
        return replace(
            block, caption=f"{block.kind.capitalize()} {next(numbers[block.kind])}. {block.caption}"
        )

    return [
        Section(f"{number} {section.title}", list(map(with_number, section.blocks)))
        for number, section in enumerate(sections, 1)
    ]


def metric_name(metric: str) -> str:
    """The name of a metric in text.

    >>> metric_name("roc_auc"), metric_name("log_loss")
    ('ROC AUC', 'log loss')
    """
    return {"roc_auc": "ROC AUC"}.get(metric, plain(metric))


def plain(name: str) -> str:
    """A name of the code as words.

    >>> plain("random_forest")
    'random forest'
    """
    return name.replace("_", " ")


def estimate_cells(mean: float, interval: tuple[float, float]) -> list[str]:
    """A difference and its interval for a table.

    >>> estimate_cells(0.0123, (-0.001, 0.0256))
    ['+0.0123', '-0.0010 to +0.0256']
    """
    return [f"{mean:+.4f}", f"{interval[0]:+.4f} to {interval[1]:+.4f}"]


def three_digits(value: float) -> str:
    """A number for a table; empty where there is none.

    >>> three_digits(0.12345), three_digits(float("nan"))
    ('0.123', '')
    """
    return "" if np.isnan(value) else f"{value:.3f}"
