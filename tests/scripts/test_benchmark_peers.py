"""`benchmark.py prior`: what the processes that it times answer, its tables, and how it deals with others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark import main
from benchmarks import peers
from click.testing import CliRunner

SCRIPTS = Path(__file__).parents[2] / "scripts"


SMALL = ("--shape", "24x3x2", "--seconds", "0", "--repeats", "2")


def invoke(*words):
    return CliRunner().invoke(main, ["prior", *map(str, words)])


def rows(output):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines() if "|" in line]


def test_a_process_samples_whole_batches_for_the_time_asked_for():
    asked = [{"rows": 24, "features": 3, "classes": 2, "seconds": seconds} for seconds in (0, 0.3, 0)]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "prior_speed.py", "linear"],
        input="\n".join(map(json.dumps, asked)),
        capture_output=True,
        text=True,
        check=True,
    )
    one, some, last = map(json.loads, done.stdout.splitlines())
    assert one["datasets"] == last["datasets"] == 32
    assert some["datasets"] % 32 == 0
    assert some["datasets"] > 32
    assert some["cpu_seconds"] >= 0.3
    assert 0 < one["peak_bytes"] <= some["peak_bytes"] <= last["peak_bytes"]


def test_speeds_are_medians_compared_with_the_first(monkeypatch):
    seconds = iter([9, 9, 1, 4, 2, 8, 4, 2])  # two to warm up; then the two take turns

    def sample(sampler, shape, asked):
        return {"datasets": 32, "cpu_seconds": next(seconds)}

    monkeypatch.setattr(peers.Sampler, "sample", sample)
    result = invoke("--preset", "linear", "--preset", "gp", "--repeats", 3, "--shape", "24x3x2")
    assert result.exit_code == 0, result.output
    _, _, linear, gp = rows(result.output)
    assert linear == ["linear", "16", "8 to 32", "1 x"]
    assert gp == ["gp", "8", "4 to 16", "2 x"]


def test_memory_is_shown_at_each_mark(monkeypatch):
    monkeypatch.setattr(peers, "MEMORY_MARKS", (40, 100))
    asked = []

    def sample(sampler, shape, seconds):
        asked.append(shape)
        return {"datasets": 32, "peak_bytes": len(asked) * 1_000_000}

    monkeypatch.setattr(peers.Sampler, "sample", sample)
    result = invoke("--memory", "--preset", "linear", "--shape", "24x3x2")
    assert rows(result.output)[2] == ["linear", "3", "5"]  # MB; the warm-up came first
    assert asked == [(24, 3, 2)] * 5


def test_another_generator_that_fails_is_left_out():
    samplers = [peers.Sampler("linear", sys.executable), peers.Sampler("no such", sys.executable)]
    try:
        assert peers._warmed_up(samplers, (24, 3, 2), ["linear"]) == samplers[:1]
        with pytest.raises(peers.click.ClickException, match=r"^linear: .*num_datapoints"):
            peers._warmed_up(samplers, (2, 3, 2), ["linear"])
    finally:
        for sampler in samplers:
            sampler.stop()


def test_a_whole_run():
    result = invoke("--preset", "linear", *SMALL)
    assert result.exit_code == 0, result.output
    assert "24 rows x 3 features, 2 classes" in result.output
    [name, speed, _, ratio] = rows(result.output)[2]
    assert (name, ratio) == ("linear", "1 x")
    assert float(speed.replace(",", "")) > 1


@pytest.mark.parametrize("shape", ["150x5", "0x5x2", "150x5x2x1", "axbxc"])
def test_a_wrong_shape_is_a_usage_error(shape):
    result = invoke("--shape", shape)
    assert result.exit_code == 2
    assert "150x5x2" in result.output


def test_a_process_that_fails_is_reported_with_its_last_line():
    result = invoke("--preset", "linear", "--shape", "2x3x10", "--seconds", 0, "--repeats", 1)
    assert result.exit_code == 1
    assert "linear: " in result.output
    assert (
        "num_datapoints: input should be greater than or equal to 4, got 2" in result.output.splitlines()[-1]
    )
    assert "Traceback" not in result.output


# A module in the place of TabICL: batches of the requested shape, and a line on standard output.
FAKE = """
class PriorDataset:
    def __init__(self, prior_type, batch_size, min_features, max_features, max_classes, max_seq_len, n_jobs,
                 device):
        assert (prior_type[3:], n_jobs, device) == ("_scm", 1, "cpu") or prior_type == "graph_scm"
        assert min_features == max_features
        self.shape = (batch_size, max_seq_len, max_features)

    def get_batch(self):
        import numpy
        print("noise")
        return numpy.zeros(self.shape), None
"""

FAKE_TORCH = "set_num_threads = manual_seed = lambda number: None\n"


def fake_environment(folder, name, packages, module):
    """A folder that looks installed, whose interpreter is this one with `module` first on its path."""
    site = folder / name / "site"
    for path, text in module.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    (folder / name / "bin").mkdir()
    python = folder / name / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / name / "installed.txt").write_text("\n".join(packages))


def test_others_run_in_their_environments_and_those_that_cannot_are_reported(tmp_path, monkeypatch):
    packages = [peers.PEERS_TORCH, *peers.PEERS["tabicl"][1]]
    module = {"tabicl/__init__.py": "", "tabicl/prior.py": FAKE, "torch.py": FAKE_TORCH}
    fake_environment(tmp_path, "tabicl", packages, module)
    monkeypatch.setattr(peers, "_version", lambda python: (3, 12))
    result = invoke("--peers", "--environments", tmp_path, "--preset", "linear", *SMALL)
    assert result.exit_code == 0, result.output
    assert "dagzoo is left out: it needs Python 3.13 or later" in result.output
    names = [row[0] for row in rows(result.output)[2:]]
    assert names == ["linear", "tabicl mix_scm", "tabicl graph_scm"]


def test_an_environment_is_made_once_with_the_first_python_that_is_new_enough(tmp_path, monkeypatch):
    versions = {sys.executable: (3, 11), "old": (), "new": (3, 13)}
    monkeypatch.setattr(peers, "_version", lambda python: versions.get(python, ()))
    commands = []

    def run(command, **options):
        commands.append([str(word) for word in command])
        if "venv" in command:
            folder = Path(command[-1])
            folder.mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(peers.subprocess, "run", run)
    folder = tmp_path / "dagzoo"
    for _ in range(2):
        python = peers._environment(folder, ["a==1", "b==2"], (3, 13), ("old", "new"))
        assert python == folder / "bin" / "python"
    assert commands == [
        ["new", "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "a==1", "b==2"],
    ]
    (folder / "installed.txt").unlink()  # as if it had broken off
    folder.rmdir()
    peers._environment(folder, ["a==1", "b==2"], (3, 13), ("new",))
    assert len(commands) == 4


def test_what_pip_cannot_install_is_reported_and_not_marked_as_installed(tmp_path, monkeypatch):
    def run(command, **options):
        failed = "pip" in command
        if not failed:
            Path(command[-1]).mkdir(parents=True)
        return subprocess.CompletedProcess(command, failed, "", "first\nno such release\n")

    monkeypatch.setattr(peers, "_version", lambda python: (3, 13))
    monkeypatch.setattr(peers.subprocess, "run", run)
    with pytest.raises(peers.click.ClickException, match="install -q a==1: no such release"):
        peers._environment(tmp_path / "tabicl", ["a==1"], (3, 10), ())
    assert not (tmp_path / "tabicl" / "installed.txt").exists()


def test_the_version_of_an_interpreter():
    assert peers._version(sys.executable) == sys.version_info[:2]
    assert peers._version("no-such-python") == ()
    assert peers._version("false") == ()
