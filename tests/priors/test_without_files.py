"""The sampler needs no package that reads files or starts processes: it runs in a browser (Pyodide) too."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is not wanted here")
sys.meta_path.insert(0, Refuse())
"""
SAMPLED = """
from priors import PRESETS, dataset_at
dataset = dataset_at(PRESETS["mixed"], seed=0, index=3)
assert dataset.x.shape == (150, 5)
"""
DRAWN = """
from priors import PRESETS
from priors.plots import plot_graphs, plot_mechanisms
figure = plot_graphs(PRESETS["default"], "default", num_draws=1)
assert len(figure.axes) == 1
assert len(plot_mechanisms(PRESETS["linear"], "linear", num_draws=1).axes) == 2
"""


@pytest.mark.parametrize(
    ("code", "blocked"),
    [
        (SAMPLED, {"h5py", "torch", "joblib", "filelock", "sklearn", "click", "tqdm", "pandas"}),
        (DRAWN, {"h5py", "torch", "joblib", "filelock", "sklearn"}),
    ],
)
def test_what_is_drawn_in_memory_reads_no_file_and_starts_no_process(code, blocked):
    code = BLOCKED.format(blocked=blocked) + code
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
