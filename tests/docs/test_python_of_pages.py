"""The Python of all pages runs as shown, with files of the names that it reads; only smaller."""

import re
from pathlib import Path

import pytest
import torch
from commands import train_tiny
from hub_server import TOKEN, point_to, running_hub
from sklearn.datasets import load_iris

from nanotabpfn import NanoTabPFNModel
from priors import sample_dataset, stream
from priors.config import PriorConfig

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"README.md", "docs/lesson.md", "docs/own-graph.md", "docs/scaling.md"}  # tests of their own
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
PAGES = {
    str(page.relative_to(ROOT)): PYTHON.findall(page.read_text(encoding="utf-8"))
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("nanotabpfn/shipped/*.md"))
}


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_dump):
    """The current folder, with the files that pages name."""
    monkeypatch.chdir(tmp_path)
    table = load_iris(as_frame=True).frame.rename(columns={"target": "species"})
    table = table.sample(frac=1, random_state=0)
    table[:90].to_csv("train.csv", index=False)
    table[90:].drop(columns="species").to_csv("test.csv", index=False)
    Path("mine.h5").write_bytes(tiny_dump.read_bytes())
    assert train_tiny(tiny_dump, Path("runs/mine"), "--suite", "none").exit_code == 0
    Path("runs/mine/checkpoints/step-00000006.safetensors").rename(
        "runs/mine/checkpoints/step-00002500.safetensors"
    )
    torch.save(NanoTabPFNModel(96, 4, 192, 3, 2).state_dict(), "published.pth")
    with running_hub() as hub:
        point_to(hub, tmp_path / "cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        files = {"model.safetensors": Path("runs/mine/model.safetensors").read_bytes()}
        hub.repositories["user/name"] = {"main": files, "v1": files}
        yield tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if PAGES[page] and page not in ELSEWHERE])
def test_the_python_of_the_page_runs(folder, page):
    namespace = {}
    for block in PAGES[page]:
        smaller = block.replace("num_steps=2500, batch_size=32", "num_steps=2, batch_size=4")
        with torch.random.fork_rng():
            exec(compile(smaller, page, "exec"), namespace)
    if page == "docs/prior.md":  # the file that the page's command names
        (folder / "mypackage").mkdir()
        (folder / "mypackage" / "priors.py").write_text(PAGES[page][0])
        config = PriorConfig(mechanisms=["mypackage.priors:threshold", "linear"])
        assert sample_dataset(config, stream(0)).x.shape == (150, 5)


def test_pages_with_python_are_found():
    with_python = {page for page in PAGES if PAGES[page]}
    assert with_python >= {*ELSEWHERE, "docs/classifier.md", "docs/regression.md", "docs/training.md"}
