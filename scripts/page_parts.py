"""A part of a page that a script writes, between two marks."""

from pathlib import Path


def with_part(page: str, begin: str, end: str, text: str) -> str:
    """The page with `text` between its marks.

    >>> with_part("a\\n<!-- x -->\\nold\\n<!-- end -->\\nb", "<!-- x -->", "<!-- end -->", "new")
    'a\\n<!-- x -->\\n\\nnew\\n\\n<!-- end -->\\nb'

    Raises:
        ValueError: the page lacks the markers.
    """
    before, found, rest = page.partition(begin)
    _, also_found, after = rest.partition(end)
    if not found or not also_found:
        raise ValueError(f"the page lacks the markers {begin.strip()} and {end.strip()}")
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


def write_part(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what the file of a page has between its marks.

    Raises:
        ValueError: the page lacks the markers.
    """
    content = page.read_text(encoding="utf-8")
    page.write_text(with_part(content, begin, end, text), encoding="utf-8")
