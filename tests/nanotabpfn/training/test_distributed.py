"""Several processes train as one would; one that dies ends the others; on CPUs, with gloo."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from commands import TINY_MODEL
from commands import run_nanotabpfn as run
from ranks import gradients

from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.training.distributed import ALONE, RankError, join_ranks
from nanotabpfn.training.run import last_state

SCRIPT = Path(__file__).with_name("ranks.py")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def start_ranks(command, size=2):
    """`command` as so many ranks, without torchrun, which would end all of them when one ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=ENVIRONMENT | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def torchrun(*arguments, size=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", size]
    return subprocess.Popen(
        [str(word) for word in [*command, "-m", "nanotabpfn", "train", *arguments]],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process, seconds=180):
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        raise
    return process.returncode, output, errors


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def wait_for_steps(folder, steps, process):
    deadline = time.monotonic() + 180
    while not (folder / "history.jsonl").exists() or len(history(folder)) < steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def settings(dump, out, steps, *more):
    sizes = ["--batch-size", 5, "--steps", steps, *TINY_MODEL]
    scored = ["--eval-every", 3, "--suite", "none", "--held-out", 4]
    return ["--dump", dump, "--out", out, *sizes, *scored, *more]


def assert_trained_alike(left, right):
    for one, other in zip(history(left), history(right), strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"train_time", "wait_time", "wall_time"}:
            assert one[name] == pytest.approx(other[name], rel=1e-4), name
    # Not the weights: the keys' bias has no gradient but rounding, which Adam makes steps of full size from.
    table = (torch.randn(1, 20, 3), torch.ones(1, 10))
    with torch.inference_mode():
        logits = [load_model(folder)(table, train_test_split_index=10) for folder in (left, right)]
    torch.testing.assert_close(*logits, rtol=1e-3, atol=1e-4)


def test_gradients_are_those_of_one_process_and_a_rank_that_does_not_answer_is_given_up(tmp_path):
    first, second = start_ranks([SCRIPT, tmp_path])
    try:
        code, output, errors = ended(first)
    finally:
        second.kill()
        second.communicate()
    assert code == 0, errors
    assert output.startswith("rank 0 of 2 has lost another one: ")
    whole = gradients(ALONE)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for found in ranks:
        assert found["any"].tolist() == [True, False]
        assert found["loss"] == pytest.approx(whole["loss"], rel=1e-6)
        assert found["norm"] == pytest.approx(whole["norm"], rel=1e-6)
        for name in whole.keys() - {"loss", "norm"}:
            torch.testing.assert_close(found[name], whole[name], rtol=1e-6, atol=1e-9)
            assert torch.equal(found[name], ranks[0][name])


@pytest.mark.parametrize("grad_accumulation", [2, 3, 8, 100])
def test_a_batch_in_several_passes_has_the_same_gradient(grad_accumulation):
    whole, passes = gradients(ALONE), gradients(ALONE, grad_accumulation)
    assert passes["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    for name in whole.keys() - {"loss", "norm"}:
        torch.testing.assert_close(passes[name], whole[name], rtol=1e-6, atol=1e-9)


def test_two_ranks_train_as_one_also_after_a_stop_and_in_another_number(tmp_path, tiny_dump):
    alone, together, stopped = tmp_path / "alone", tmp_path / "together", tmp_path / "stopped"
    result = run("train", *settings(tiny_dump, alone, 30))
    assert result.exit_code == 0, result.output
    code, output, errors = ended(torchrun(*settings(tiny_dump, together, 30, "--grad-accumulation", 2)))
    assert code == 0, errors
    assert output.count("trained 30 steps") == 1
    assert_trained_alike(together, alone)
    assert [path.name for path in sorted(together.iterdir())] == [
        path.name for path in sorted(alone.iterdir())
    ]

    process = torchrun(*settings(tiny_dump, stopped, 30_000))
    wait_for_steps(stopped, 2, process)
    process.send_signal(signal.SIGTERM)
    code, _, errors = ended(process)
    assert code != 0
    assert "to resume: nanotabpfn train --resume" in errors
    done = len(history(stopped))
    assert last_state(stopped)["step"] == done
    longer = tmp_path / "longer"
    assert run("train", *settings(tiny_dump, longer, done + 6)).exit_code == 0
    config = json.loads((stopped / "config.json").read_text())
    config["training"]["steps"] = done + 3
    (stopped / "config.json").write_text(json.dumps(config))
    code, _, errors = ended(torchrun("--resume", stopped))
    assert code == 0, errors
    assert run("train", "--resume", stopped, "--steps", done + 6).exit_code == 0
    assert len(history(stopped)) == len(history(longer)) == done + 6
    assert history(stopped)[-1]["loss"] == pytest.approx(history(longer)[-1]["loss"], rel=0.05)
    code, output, errors = ended(torchrun("--resume", stopped))
    assert code == 0, errors
    assert output.count("finished") == 1


def test_a_rank_that_is_killed_ends_the_other_with_a_message(tmp_path, tiny_dump):
    out = tmp_path / "run"
    command = ["-m", "nanotabpfn", "train", *settings(tiny_dump, out, 1_000_000)]
    first, second = start_ranks(command)
    try:
        wait_for_steps(out, 2, first)
        second.kill()
        code, _, errors = ended(first)
    finally:
        first.kill()
        second.communicate()
    assert code == 1
    assert "Error: rank 0 of 2 has lost another one" in errors
    assert f"--resume {out}" in errors
    assert "Traceback" not in errors


def test_torchrun_ends_all_when_the_rank_that_writes_is_killed(tmp_path, tiny_dump):
    out = tmp_path / "run"
    process = torchrun(*settings(tiny_dump, out, 1_000_000))
    wait_for_steps(out, 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    [writer] = [child for child in children if child.environ().get("RANK") == "0"]
    writer.kill()
    code, _, _ = ended(process)
    assert code != 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_the_interpreter_of_a_rank_is_not_finalized():
    code = "import atexit, os, nanotabpfn.cli.main as cli; atexit.register(os.abort); cli.main({!r})"
    for arguments, status in [(["--version"], 0), (["train"], 2)]:
        first, second = start_ranks(["-c", code.format(arguments)])
        for rank in (first, second):
            found, output, errors = ended(rank)
            assert found == status, errors
            assert "version" in output or "needs either --out" in errors


def test_what_ranks_cannot_do_is_refused(monkeypatch, tmp_path, tiny_dump):
    with join_ranks("cpu") as ranks:
        assert (ranks.rank, ranks.size, ranks.device) == (0, 1, "cpu")
        assert ranks.any(True)
        assert not ranks.any(False)
    for name, value in {"RANK": "1", "WORLD_SIZE": "6", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for device, message in [
        ("cuda", "rank 1 has no GPU of its own: this machine has 1"),
        ("mps", r"must be cpu or cuda .* got mps"),
        ("cpu", "rank 1 of 6 cannot reach the others"),
    ]:
        with pytest.raises(RankError, match=message), join_ranks(device):
            pass
