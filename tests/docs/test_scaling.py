"""docs/scaling.md: the script for Slurm runs on a cluster of this machine, whose jobs are processes."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import LocalCluster

from priors import PRESETS, content_hash, generate_dump

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")


class SLURMCluster(LocalCluster):
    """A cluster with the calls of dask-jobqueue's."""

    def __init__(self, cores, processes, memory, walltime):
        assert processes == 1
        assert re.fullmatch(r"\d\d:\d\d:\d\d", walltime)
        super().__init__(
            n_workers=0,
            threads_per_worker=cores,
            memory_limit=memory,
            dashboard_address=None,
            host="127.0.0.1",
        )

    def scale(self, jobs):
        super().scale(jobs)


@pytest.mark.filterwarnings("default")
def test_the_script_for_slurm_makes_the_same_dump(tmp_path, monkeypatch):
    [script] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for shown, smaller in {"jobs=64": "jobs=2", "10_000_000": "64", "/shared": str(tmp_path)}.items():
        assert shown in script
        script = script.replace(shown, smaller)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=SLURMCluster))
    exec(compile(script, "docs/scaling.md", "exec"), {"__name__": "__main__"})
    generate_dump(tmp_path / "here.h5", PRESETS["default"], num_datasets=64, seed=0)
    assert content_hash(tmp_path / "big.h5") == content_hash(tmp_path / "here.h5")
