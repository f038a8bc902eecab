"""Where models compute: the device that a name stands for on this machine."""

import torch

from nanotabpfn.model.choices import DEVICES


def get_default_device() -> str:
    """`cuda` if there is a CUDA device, else `mps` if there is one, else `cpu`.

    Examples:
        >>> get_default_device() in ("cuda", "mps", "cpu")
        True
    """
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def find_device(device: str | torch.device | None) -> torch.device:
    """`device`; where it is None or "auto", a GPU if there is one.

    Raises:
        ValueError: an unknown device, or one that is not available here.

    Examples:
        >>> find_device("cpu")
        device(type='cpu')
    """
    try:
        found = torch.device(get_default_device() if device in (None, "auto") else device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}, got {device!r}"
        ) from error
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(found.type, True):
        raise ValueError(f"device {str(device)!r} is not available here; 'auto' takes what there is")
    return found
