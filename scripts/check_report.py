"""Opens a study's report in headless Chromium: does it load, are the figures there, do the tables sort?

    apt-get install chromium
    python scripts/check_report.py runs/mine/report.html --screenshot page.png

A copy of the page runs a few lines of JavaScript more, which click on the heads of every table and note what
they see.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import click

LISTEN = """<script>
const errors = [];
addEventListener("error", event => errors.push(event.message || `not loaded: ${event.target.src}`), true);
</script>"""

LOOK = """<script>
addEventListener("load", () => {
  const images = Array.from(document.images);
  const unsorted = [];
  let heads = 0;
  document.querySelectorAll("table.sorts").forEach((table, i) => {
    for (const head of table.tHead.rows[0].cells) for (const order of ["ascending", "descending"]) {
      heads += 1;
      const before = Array.from(table.tBodies[0].rows).map(row => row.textContent).sort().join();
      head.click();
      const column = head.cellIndex;
      const texts = Array.from(table.tBodies[0].rows).map(row => row.cells[column].textContent.trim());
      const after = Array.from(table.tBodies[0].rows).map(row => row.textContent).sort().join();
      const values = texts.filter(text => text).map(text => parseFloat(text.replace(/,/g, "")));
      const right = values.some(isNaN) || values.every((value, k) =>
        !k || (order === "ascending" ? values[k - 1] <= value : values[k - 1] >= value));
      const emptyLast = !texts.join("\\n").match(/^\\n*\\n[^\\n]/m) || texts.every((text, k) =>
        text || texts.slice(k).every(later => !later));
      if (before !== after || !right || !emptyLast || head.getAttribute("aria-sort") !== order)
        unsorted.push(`table ${i + 1}, ${head.textContent}, ${order}`);
    }
  });
  const findings = {errors, heads, unsorted, tables: document.querySelectorAll("table.sorts").length,
    images: images.length, blank: images.filter(image => !image.complete || !image.naturalWidth).length,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth};
  document.body.innerHTML = `<pre id="findings">${JSON.stringify(findings)}</pre>`;
});
</script>"""


@click.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--screenshot", type=click.Path(dir_okay=False, path_type=Path), help="A picture of the page.")
@click.option("--width", type=click.IntRange(min=300), default=1100, show_default=True, help="Pixels.")
@click.option("--height", type=click.IntRange(min=300), default=6000, show_default=True, help="Pixels.")
def main(page: Path, screenshot: Path | None, width: int, height: int) -> None:
    """Check PAGE, a report.html, in headless Chromium. Exit code 1 if something is wrong."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise click.ClickException("needs chromium: apt-get install chromium")
    # As root, as in a container, Chromium runs without its sandbox alone; the page is our own.
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        text = page.read_text(encoding="utf-8")
        copy.write_text(
            text.replace("<head>", f"<head>{LISTEN}").replace("</body>", f"{LOOK}</body>"), "utf-8"
        )
        dumped = subprocess.run(
            [*command, "--dump-dom", copy.as_uri()], capture_output=True, text=True, check=True
        )
        found = re.search(r'<pre id="findings">(.*?)</pre>', dumped.stdout, re.DOTALL)
        if found is None:
            raise click.ClickException(f"{page}: its scripts did not run to the end")
        findings = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        if screenshot is not None:
            picture = [f"--screenshot={screenshot.absolute()}", "--hide-scrollbars", page.absolute().as_uri()]
            subprocess.run([*command, *picture], capture_output=True, check=True)
    wrong = [*findings["errors"], *(f"does not sort: {name}" for name in findings["unsorted"])]
    wrong += [f"{findings['blank']} of {findings['images']} figures are blank"] * bool(findings["blank"])
    wrong += ["there is no figure"] * (not findings["images"]) + ["there is no table"] * (
        not findings["tables"]
    )
    wrong += [f"is wider than a window of {width} pixels"] * findings["wide"]
    if wrong:
        raise click.ClickException("; ".join(wrong))
    click.echo(
        f"{page}: {findings['images']} figures, {findings['tables']} tables, "
        f"sorted {findings['heads']} times, no errors"
    )


if __name__ == "__main__":
    main()
