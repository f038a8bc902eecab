"""Save and load a model, or a checkpoint of a training: safetensors and JSON, no pickle is executed.

Both have one format. The weights have their names in the state dict; the architecture is in the metadata. A
checkpoint also holds the state of the training: its tensors under `state/`, its other values in the metadata.
A checkpoint is a file of a model too.
"""

import errno
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange

MODEL_FILE = "model.safetensors"
PUBLISHED_SUFFIXES = (".pth", ".pt")
"""Files of `torch.save(model.state_dict(), ...)`, the published form."""
PUBLISHED_HEADS = 4
PREFIXES = ("module.", "_orig_mod.", "transformer_encoder.")
"""Prefixes of names: by data-parallel training, by `torch.compile`, in TFM-Playground's older models."""
TFM_PLAYGROUND_FILE = "latest_checkpoint.pth"
PARTIAL_SUFFIX = ".partial"
MAX_MESSAGE = 300
"""Characters of a message about a file: PyTorch's may name many weights."""
STATE_PREFIX = "state/"


_NOT_A_MODEL = (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError)


class CheckpointError(Exception):
    """A file from which no model can be loaded; the message names the file and the reason.

    Examples:
        >>> load_model("absent.safetensors")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        nanotabpfn.model.checkpoint.CheckpointError: absent.safetensors: no such file; ...
    """


def save_model(model: NanoTabPFNModel, path: str | Path) -> Path:
    """Write the weights and the architecture, atomically.

    Args:
        path: a file, or a directory, in which the file is called `model.safetensors`.

    Returns:
        The file.

    Raises:
        TypeError: something else than a model.
        ValueError: the name of a pickle (.pth, .pt), which `load_model` would read as one.
        OSError: the file cannot be written.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = save_model(NanoTabPFNModel(8, 2, 8, 1, num_outputs=3), folder)
        ...     file.name, load_model(file).num_outputs
        ('model.safetensors', 3)
    """
    if not isinstance(model, NanoTabPFNModel):
        raise TypeError(f"model must be a NanoTabPFNModel, got a {type(model).__name__}")
    path = _as_path(path)
    if path.suffix in PUBLISHED_SUFFIXES:
        raise ValueError(f"path: models are saved as safetensors; call it {path.with_suffix('.safetensors')}")
    if path.is_dir():
        path = path / MODEL_FILE
    write_atomically(path, _content(_weights(model), _metadata(model)))
    return path


def load_model(path: str | Path, num_attention_heads: int | None = None) -> NanoTabPFNModel:
    """The model in evaluation mode, on the CPU.

    Args:
        path: a file of `save_model` or `save_checkpoint`, the directory of a run, or a `.pth` or `.pt` file,
            which is read with `weights_only`: code in the file is not executed. Such a file holds a state
            dict, the published form, or TFM-Playground's checkpoint, {"architecture": ..., "model": state
            dict, ...}, whose directory may be given too. Prefixes of `torch.compile` and of data-parallel
            training are removed from its names.
        num_attention_heads: of a state dict in a `.pth` or `.pt` file, whose shapes show the whole
            architecture except this; by default the published 4, with a warning that says so. All other
            files hold it, and take none.

    Raises:
        CheckpointError: no such file, not readable, holding other things than weights, or not the weights of
            its architecture.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     model = load_model(save_model(NanoTabPFNModel(8, 2, 8, 1, num_outputs=3), folder))
        >>> model.num_outputs, model.training
        (3, False)
    """
    file = _model_file(_as_path(path))
    metadata: dict[str, str] = {}
    architecture: dict[str, Any] | None
    if file.suffix in PUBLISHED_SUFFIXES:
        weights, architecture = _read_pickle(file)
    else:
        metadata, tensors = _read(file)
        weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(STATE_PREFIX)}
        architecture = _stored_architecture(file, metadata)
    if num_attention_heads is not None and architecture is not None:
        raise CheckpointError(
            f"{file}: num_attention_heads is for state dicts in .pth files alone, got {num_attention_heads}"
        )
    if num_attention_heads is not None and num_attention_heads < 1:
        raise CheckpointError(f"{file}: num_attention_heads must be at least 1, got {num_attention_heads}")
    assumes_heads = False
    try:
        shown = _shown_architecture(weights)
        if architecture is None:
            assumes_heads = num_attention_heads is None
            architecture = shown | {"num_attention_heads": num_attention_heads or PUBLISHED_HEADS}
        else:
            _check_sizes(architecture, shown)
        model = NanoTabPFNModel(**architecture)
        model.load_state_dict(weights)
        _check_finite(weights)
        if "trained_range" in metadata:
            model.trained_range = _trained_range(metadata["trained_range"])
    except _NOT_A_MODEL as error:
        raise CheckpointError(f"{file}: holds no NanoTabPFNModel: {_one_line(error)}") from error
    if assumes_heads:
        warnings.warn(
            f"{file}: does not hold its number of attention heads; {PUBLISHED_HEADS} are assumed, as "
            "published; num_attention_heads (`nanotabpfn evaluate --heads`) gives another number",
            stacklevel=2,
        )
    return model.eval()


def save_checkpoint(model: NanoTabPFNModel, state: dict[str, Any], path: str | Path) -> None:
    """Write a model and the state of its training, atomically.

    Args:
        model: the averaged one.
        state: dicts (with strings as keys), lists, tensors, and plain values that JSON can hold.
        path: of the file.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "checkpoint.safetensors")
        ...     save_checkpoint(NanoTabPFNModel(8, 2, 8, 1, num_outputs=3), {"step": 7}, path)
        ...     load_state(path), load_model(path).num_outputs
        ({'step': 7}, 3)
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _without_tensors(state, STATE_PREFIX.rstrip("/"), tensors)
    metadata = _metadata(model) | {"state": json.dumps(tree)}
    write_atomically(Path(path), _content(_weights(model) | tensors, metadata))


def load_state(path: str | Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, on the CPU, equal to the bit.

    Raises:
        CheckpointError: not readable, or a file without a state.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "checkpoint.safetensors")
        ...     save_checkpoint(NanoTabPFNModel(8, 2, 8, 1, num_outputs=3), {"seen": torch.arange(2)}, path)
        ...     load_state(path)
        {'seen': tensor([0, 1])}
    """
    metadata, tensors = _read(Path(path))
    try:
        return _with_tensors(json.loads(metadata["state"]), tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: holds no state of a training: {_one_line(error)}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file: after a crash it has either its old content or all of the new one.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "note.txt")
        ...     write_atomically(file, b"complete")
        ...     file.read_bytes()
        b'complete'
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    partial = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if os.name == "posix":  # so that the name survives a power cut too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _content(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """Content of a safetensors file, with its metadata sorted: the library's own order is random."""
    content = save(tensors, metadata=metadata)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _metadata(model: NanoTabPFNModel) -> dict[str, str]:
    metadata = {"config": json.dumps(model.config)}
    if model.trained_range is not None:
        metadata["trained_range"] = json.dumps(model.trained_range._asdict())
    return metadata


def _trained_range(text: str) -> TrainedRange:
    stored = json.loads(text).items()
    ranges = {name: tuple(bounds) for name, bounds in stored if bounds is not None}
    for bounds in ranges.values():
        if len(bounds) != 2 or not all(isinstance(bound, int) for bound in bounds) or bounds[0] > bounds[1]:
            raise ValueError(f"trained_range must hold (low, high) of each, got {text}")
    return TrainedRange(**ranges)


def _weights(model: NanoTabPFNModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}


def _read(file: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    try:
        with safe_open(file, framework="pt") as stored:
            return stored.metadata() or {}, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file: {_one_line(error)}") from error


def _as_path(path: str | Path) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be the place of a model, as text or a Path, got {path!r:.100}")
    return Path(path)


def _model_file(path: Path) -> Path:
    """The file of a model, where `path` may be a directory."""
    file = path / MODEL_FILE if path.is_dir() else path
    if path.is_dir() and not file.is_file() and (path / TFM_PLAYGROUND_FILE).is_file():
        file = path / TFM_PLAYGROUND_FILE
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; `nanotabpfn train` writes one")
    return file


def _stored_architecture(file: Path, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        architecture = json.loads(metadata["config"])
    except KeyError as error:
        raise CheckpointError(f"{file}: holds no NanoTabPFNModel: its metadata has no config") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: holds no NanoTabPFNModel: {_one_line(error)}") from error
    if not isinstance(architecture, dict):
        raise CheckpointError(f"{file}: holds no NanoTabPFNModel: its config is no JSON object")
    return architecture


def _read_pickle(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Weights of a PyTorch file by their names in the model, and its architecture if the file holds it."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file}: holds other things than weights, or is damaged; nothing in it was executed"
        ) from error
    except Exception as error:  # a damaged pickle fails in many ways
        raise CheckpointError(f"{file}: not a readable PyTorch file: {_one_line(error)}") from error
    architecture = None
    if isinstance(content, dict) and {"architecture", "model"} <= content.keys():  # of TFM-Playground
        architecture, content = content["architecture"], content["model"]
        if not isinstance(architecture, dict):
            raise CheckpointError(f"{file}: `architecture` must be a dict, got {architecture!r}")
    if (
        not isinstance(content, dict)
        or not all(isinstance(name, str) for name in content)
        or not all(torch.is_tensor(weight) for weight in content.values())
    ):
        raise CheckpointError(f"{file}: must hold a state dict: names and tensors, nothing else")
    return {_without_prefixes(name): weight for name, weight in content.items()}, architecture


def _without_prefixes(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _shown_architecture(weights: dict[str, torch.Tensor]) -> dict[str, int]:
    """The sizes of a NanoTabPFNModel that show in the shapes of its weights."""
    layers = {name.split(".")[1] for name in weights if name.startswith("transformer_blocks.")}
    return {
        "embedding_size": weights["feature_encoder.linear_layer.weight"].shape[0],
        "mlp_hidden_size": weights["decoder.linear1.weight"].shape[0],
        "num_layers": len(layers),
        "num_outputs": weights["decoder.linear2.weight"].shape[0],
        "feature_group_size": weights["feature_encoder.linear_layer.weight"].shape[1],
    }


def _check_sizes(architecture: dict[str, Any], shown: dict[str, int]) -> None:
    """The architecture must be that of the weights, before memory for it is allocated."""
    for name, size in shown.items():
        stored = architecture.get(name, size)
        if stored != size:
            raise ValueError(f"its config says {name}={stored!r}, its weights show {size}")


def _check_finite(weights: dict[str, torch.Tensor]) -> None:
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ValueError(f"{name} has numbers that are not finite")


def _without_tensors(tree: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    """`tree` for JSON: each tensor moves into `tensors`, and is replaced by {"tensor": place}."""
    if torch.is_tensor(tree):
        tensors[place] = tree.detach().cpu().contiguous()
        return {"tensor": place}
    if isinstance(tree, dict):
        return {key: _without_tensors(value, f"{place}/{key}", tensors) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_without_tensors(value, f"{place}/{i}", tensors) for i, value in enumerate(tree)]
    return tree


def _with_tensors(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(tree, dict):
        if tree.keys() == {"tensor"}:
            return tensors[tree["tensor"]].clone()  # a copy: in the file's buffer it need not be aligned
        return {key: _with_tensors(value, tensors) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_with_tensors(value, tensors) for value in tree]
    return tree


def _one_line(error: Exception) -> str:
    """The message of an error; PyTorch's on weights that do not fit has a line for each kind of misfit."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " ..."
