"""scripts/docs_site.py: the site is built without a warning, has all pages and names, and fetches nothing."""

import re
from html import unescape

import pytest
from click.testing import CliRunner
from docs_site import ROOT, linked, main

import nanotabpfn
import priors


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    result = CliRunner().invoke(main, ["--out", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder


def test_every_page_of_docs_is_on_the_site(site):
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / name).exists() or name.name == "README.html", name
    assert "scripts/quickstart.sh" in (site / "index.html").read_text()


def test_every_notebook_is_a_page_with_its_figures_and_can_be_downloaded(site):
    notebooks = list((ROOT / "docs" / "notebooks").glob("*.ipynb"))
    assert len(notebooks) == 3
    for notebook in notebooks:
        page = (site / "notebooks" / f"{notebook.stem}.html").read_text()
        figures = re.findall(r'<img[^>]*src="([^"]*)"', page)
        stored = notebook.read_text()
        assert len(figures) == stored.count('"image/png":') + stored.count('"image/svg+xml":') > 0
        assert all((site / "notebooks" / figure).exists() for figure in figures)
        assert (site / "notebooks" / notebook.name).read_text() == stored
        assert f'href="{notebook.name}"' in page


@pytest.mark.parametrize("package", [priors, nanotabpfn], ids=["priors", "nanotabpfn"])
def test_every_public_name_is_in_the_reference(site, package):
    page = (site / f"api-{package.__name__}.html").read_text()
    for name in package.__all__:
        assert re.search(rf'id="{package.__name__}\.[\w.]*\b{name}"', page), name


def test_nothing_is_fetched_from_elsewhere(site):
    for page in site.rglob("*.html"):
        fetched = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text())
        assert fetched == [], page


def test_links_within_the_site_lead_to_files(site):
    for page in site.rglob("*.html"):
        targets = re.findall(r'<a[^>]*href="([^"#]+)', page.read_text())
        for target in [target for target in targets if "://" not in target and page.name != "404.html"]:
            assert (page.parent / unescape(target)).exists(), (page.name, target)


def test_links_are_those_of_the_site_and_code_is_no_link(tmp_path):
    page = tmp_path / "docs" / "deep" / "page.md"
    page.parent.mkdir(parents=True)
    text = "[a](../other.md#part) ![b](b.png) [code](../../code.py) [web](https://example.org)"
    names = {tmp_path / "docs" / "other.md": "other.md", page.parent / "b.png": "deep/b.png"}
    assert linked(text, page, "deep/page.md", names) == (
        "[a](../other.md#part) ![b](../deep/b.png) code [web](https://example.org)"
    )


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = CliRunner().invoke(main, ["--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "holds other files than a site" in result.output
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path, monkeypatch):
    original = linked
    broken = "[a](absent.md)"
    monkeypatch.setattr("docs_site.linked", lambda *page: original(*page) + broken * (page[2] == "faq.md"))
    result = CliRunner().invoke(main, ["--out", str(tmp_path / "site")])
    assert result.exit_code == 1
