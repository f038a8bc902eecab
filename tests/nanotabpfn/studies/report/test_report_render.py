"""The pages of a report: one HTML file that needs no other, and Markdown."""

import re
from html.parser import HTMLParser

from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.report.render import to_html, to_markdown
from nanotabpfn.studies.report.sections import build_report


class Page(HTMLParser):
    """The links, tables and text of a page; raises if tags do not match."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.tables, self.text = [], [], [], [], ""
        self.captions, self.titles, self.texts_of = [], [], None
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("href", "src") if name in values]
        if tag == "img":
            self.images.append(values)
        self.texts_of = (
            self.titles if tag == "h2" else self.captions if values.get("class") == "caption" else None
        )
        if self.texts_of is not None:
            self.texts_of.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.texts_of = None

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text += data
        if self.texts_of is not None:
            self.texts_of[-1] += data
        if self.open and self.open[-1] in ("th", "td"):
            self.tables[-1][-1][-1] += data


def test_the_page_stands_alone(tmp_path):
    study = study_of(["good", "<b>same</b> & |other|"], question="Is *this* <i>safe</i>?")
    sections = build_report(saved_study(study), simulate(study, {}), tmp_path)
    html = to_html("a <title>", sections)
    page = Page(html)
    figures = [block for section in sections for block in section.blocks if block.kind == "figure"]
    assert {"curves", "differences", "ranks", "tables", "priors", "prior-1"} <= {one.name for one in figures}
    assert len({one.name for one in figures}) == len(figures) == len(page.images)
    assert all(
        image["src"].startswith("data:image/svg+xml;base64,") and image["alt"] for image in page.images
    )
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert not any(
        "http" in re.sub(r'xmlns(:\w+)?="[^"]*"', "", one.text.split("<svg", 1)[1]) for one in figures
    )
    assert len(page.tables) >= 6
    for rows in page.tables:
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    assert "<b>same</b> & |other|" in page.text
    assert "Is *this* <i>safe</i>?" in page.text
    for kind, captions in (("Figure", [image["alt"] for image in page.images]), ("Table", page.captions)):
        assert [caption.split(".")[0] for caption in captions] == [
            f"{kind} {number}" for number in range(1, 1 + len(captions))
        ]
    assert [title.split()[0] for title in page.titles] == [str(n) for n in range(1, 1 + len(sections))]
    markdown = to_markdown("a <title>", sections)
    assert markdown.startswith("# a &lt;title>\n")
    assert "Is \\*this\\* &lt;i>safe&lt;/i>?" in markdown
    for one in figures:
        assert f"(figures/{one.name}.svg)" in markdown
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
