"""Branches: trainings that start from the weights of another one, on the same or another prior and recipe."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from nanotabpfn.data.loaders import Loader
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import CheckpointError, load_model, load_state
from nanotabpfn.training.optimizer import make_optimizer
from nanotabpfn.training.run import CONFIG_FILE, RunError, checkpoints, read_settings
from nanotabpfn.training.state import training_state
from nanotabpfn.training.stopwatch import Stopwatch


class Source(NamedTuple):
    """What a branch starts from.

    Attributes:
        path: the file that was read.
        model: its averaged model.
        state: of its training; None of a file that holds only a model.
        settings: of its run; None of a file outside of a run.

    Examples:
        >>> model = NanoTabPFNModel(8, 2, 8, 1)
        >>> source = Source(Path("step-7.safetensors"), model, state={"step": 7}, settings=None)
        >>> source.provenance["step"]
        7
    """

    path: Path
    model: NanoTabPFNModel
    state: dict[str, Any] | None
    settings: dict[str, Any] | None

    @property
    def provenance(self) -> dict[str, Any]:
        """For the config.json of the branch: the file, its weights' hash, its step and its run's settings."""
        return {
            "path": str(self.path.absolute()),
            "weights": weights_hash(self.model),
            "step": self.state["step"] if self.state else None,
            "settings": self.settings,
        }


def open_source(path: Path) -> Source:
    """The last checkpoint of the run in the folder `path`, or the checkpoint or model in the file `path`.

    Raises:
        CheckpointError: no model is there.

    Examples:
        >>> import tempfile
        >>> from nanotabpfn.model.checkpoint import save_model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source = open_source(save_model(NanoTabPFNModel(8, 2, 8, 1), Path(folder)))
        >>> source.path.name, source.state, source.settings  # a model alone, outside of a run
        ('model.safetensors', None, None)
    """
    found = checkpoints(path) if path.is_dir() else []
    file = found[-1] if found else path
    model = load_model(file)
    try:
        state = load_state(file) if file.suffix == ".safetensors" else None
    except CheckpointError:  # a model alone
        state = None
    folder = next((f for f in (path, file.parent, file.parent.parent) if (f / CONFIG_FILE).is_file()), None)
    try:
        settings = read_settings(folder) if folder else None
    except RunError:
        settings = None
    return Source(file, model, state, settings)


def weights_hash(model: NanoTabPFNModel) -> str:
    """SHA-256 of the names and values of all weights.

    Examples:
        >>> model = NanoTabPFNModel(8, 2, 8, 1)
        >>> len(weights_hash(model)), weights_hash(model) == weights_hash(model)
        (64, True)
    """
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {list(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def branch_state(
    source: Source, loader: Loader, training: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, bool]]:
    """The state of step 0 of a branch.

    With the optimizer and schedule of the source, the branch takes over its state too: the weights that are
    trained, the average with the number of steps in it, and the moments. Then only the learning rate is new,
    and a warm-up that is over is not repeated. With another one, and always with a cosine, it starts from the
    averaged weights. The position in the data is taken over if data, seed and batch size are the same; else
    the data start anew.
    So a branch in which nothing is changed equals the training that it comes from, to the bit on the CPU.

    Args:
        source: of `open_source`.
        loader: of the branch; its position changes.
        training: settings of the branch: optimizer, learning rate, warm-up, schedule.

    Returns:
        The state for `train`, and whether `optimizer` and `data` were taken over.

    Examples:
        >>> from nanotabpfn.data.loaders import PriorDataLoader
        >>> from priors.config import PriorConfig
        >>> source = Source(Path("model.safetensors"), NanoTabPFNModel(8, 2, 8, 1), state=None, settings=None)
        >>> config = PriorConfig(num_datapoints=20, block_size=4)
        >>> loader = PriorDataLoader(config, num_steps=1, batch_size=4, device="cpu")
        >>> training = {"optimizer": "adamw", "lr": 4e-3, "warmup_steps": 0}
        >>> training |= {"schedule": "schedule_free", "schedule_steps": None}
        >>> state, taken_over = branch_state(source, loader, training)
        >>> state["step"], taken_over
        (0, {'optimizer': False, 'data': False})
    """
    taken = {"optimizer": False, "data": False}
    if source.state is not None and source.state.get("loader") is not None:
        try:
            loader.load_state_dict(source.state["loader"])
            taken["data"] = True
        except ValueError:  # other data
            pass
    model = NanoTabPFNModel(**source.model.config)
    model.load_state_dict(source.model.state_dict())
    optimizer = make_optimizer(
        model,
        training["optimizer"],
        training["lr"],
        training["warmup_steps"],
        training["schedule"],
        training["schedule_steps"],
    )
    model.train()
    optimizer.train()
    state = training_state(model, optimizer, loader, 0, Stopwatch().times)
    own = (source.settings or {}).get("training", {})
    same = all(own.get(name) == training[name] for name in ("optimizer", "schedule"))
    if source.state is not None and same and training["schedule"] != "cosine":
        taken["optimizer"] = True
        groups = [dict(group) for group in source.state["optimizer"]["groups"]]
        rate = "peak_lr" if training["schedule"] == "constant" else "lr"
        groups[0] |= {rate: training["lr"], "warmup_steps": training["warmup_steps"]}
        state |= {
            "weights": source.state["weights"],
            "optimizer": source.state["optimizer"] | {"groups": groups},
        }
    return state, taken
