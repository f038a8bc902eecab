"""Save and load a model: one safetensors file that carries the architecture; no pickle."""

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nanotabpfn.model import NanoTabPFNModel

MODEL_FILE = "model.safetensors"


class CheckpointError(Exception):
    """A file that holds no model of ours; the message names it and says what is wrong."""


def save_model(model: NanoTabPFNModel, path: str | Path) -> Path:
    """Write the weights and the architecture, atomically.

    Args:
        path: a file, or a directory, in which the file is called `model.safetensors`.

    Returns:
        The file.
    """
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    beside = path.with_name(f".{path.name}.partial")
    weights = {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}
    try:
        beside.write_bytes(save(weights, metadata={"config": json.dumps(model.config)}))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def load_model(path: str | Path) -> NanoTabPFNModel:
    """The model in evaluation mode, on the CPU.

    Args:
        path: a file written by `save_model`, or the directory of a run.

    Raises:
        CheckpointError: no such file, not a safetensors file, or not the weights of its architecture.
    """
    path = Path(path)
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; `nanotabpfn train` writes one")
    try:
        with safe_open(file, framework="pt") as stored:
            config = json.loads((stored.metadata() or {})["config"])
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        model = NanoTabPFNModel(**config)
        model.load_state_dict(weights)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise CheckpointError(f"{file}: holds no NanoTabPFNModel: {first_line}") from error
    return model.eval()
