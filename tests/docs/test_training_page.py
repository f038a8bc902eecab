"""docs/training.md: its training loop runs as shown."""

import re
from pathlib import Path

import torch
from tiny_prior import TINY

from priors.generation.generate import generate_dump

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_loop_of_ones_own_learns(tmp_path, monkeypatch):
    section = PAGE.partition("\n## A training loop of your own\n")[2].partition("\n## ")[0]
    [script] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    generate_dump("mine.h5", TINY, 32, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        namespace = {}
        exec(compile(script, "docs/training.md", "exec"), namespace)
    assert torch.isfinite(namespace["loss"])
    assert sum(len(part["datasets"]) for part in namespace["parts"]) == 8
