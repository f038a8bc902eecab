"""A table of the report as LaTeX, for a paper; it needs the package booktabs."""

from nanotabpfn.studies.report.blocks import Block

SPECIAL = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"[": "{[}", "*": "{*}"}  # after the end of a row they would be its options
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"\N{MINUS SIGN}": "$-$", "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}"}
)
WIDTH = r"p{0.45\linewidth}"
"""Of a column of text after the first."""


def to_latex(block: Block, label: str) -> str:
    """A block of the kind table as a floating table of LaTeX, text at the left and numbers at the right.

    Args:
        label: what `\\ref` calls it.

    Examples:
        >>> from nanotabpfn.studies.report.blocks import table
        >>> print(to_latex(table(["arm", "gain"], [["a_b", "5%"]], "Gains."), "tab:gains"))
        \\begin{table}
        \\caption{Gains.}\\label{tab:gains}
        \\begin{tabular}{lr}
        \\toprule
        arm & gain \\\\
        \\midrule
        a\\_b & 5\\% \\\\
        \\bottomrule
        \\end{tabular}
        \\end{table}
    """
    columns = ["l" if i == 0 else WIDTH if i in block.text_columns else "r" for i in range(len(block.header))]
    header, *rows = [f"{' & '.join(map(escaped, row))} \\\\" for row in (block.header, *block.rows)]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escaped(block.caption)}}}\label{{{label}}}",
            rf"\begin{{tabular}}{{{''.join(columns)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def escaped(words: str) -> str:
    """Text as LaTeX shows it: names of arms are never markup.

    Examples:
        >>> print(escaped("$x_1 < 5%"))
        \\$x\\_1 \\textless{} 5\\%
    """
    return words.translate(SPECIAL)
