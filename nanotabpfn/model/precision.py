"""Mixed precision: the matrix products that run in bfloat16, and what stays in float32."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from nanotabpfn.model.choices import PRECISIONS

COMPILED_KERNELS = "64"
"""Kernels that oneDNN keeps on the CPU; by itself it keeps 1,024, with memory for each."""


def resolve_precision(precision: str, device: str | torch.device) -> str:
    """`float32` or `bfloat16`; `auto` is bfloat16 if the hardware computes in it, else float32.

    Raises:
        ValueError: `precision` is none of PRECISIONS.

    Examples:
        >>> resolve_precision("float32", "cpu")
        'float32'
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision != "auto":
        return precision
    return "bfloat16" if has_native_bfloat16(device) else "float32"


def has_native_bfloat16(device: str | torch.device) -> bool:
    """Whether the device computes in bfloat16: NVIDIA from Ampere on, x86 with AVX512-BF16 or AMX.

    Examples:
        >>> isinstance(has_native_bfloat16("cpu"), bool)
        True
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def autocast(device: str | torch.device, precision: str) -> AbstractContextManager:
    """The context for a forward pass at a precision; the backward pass runs outside of it.

    In bfloat16 the linear layers' products run in bfloat16. Weights, optimizer, residual stream,
    normalization and softmax stay in float32, and the logits are float32.

    On the CPU oneDNN compiles kernels for each shape and keeps the last ones. Their number is limited here,
    unless the environment variable ONEDNN_PRIMITIVE_CACHE_CAPACITY is set, so that memory does not grow with
    the number of shapes. oneDNN reads the limit once, at its first kernel.

    Raises:
        ValueError: as `resolve_precision`.

    Examples:
        >>> with autocast("cpu", "bfloat16"):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """
    if resolve_precision(precision, device) == "float32":
        return nullcontext()
    if torch.device(device).type == "cpu":
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", COMPILED_KERNELS)
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def without_autocast(tensor: torch.Tensor) -> AbstractContextManager:
    """The context for operations that must not run in bfloat16, on the device of `tensor`.

    Examples:
        >>> matrix = torch.ones(2, 2)
        >>> with autocast("cpu", "bfloat16"), without_autocast(matrix):
        ...     (matrix @ matrix).dtype
        torch.float32
    """
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def in_float32(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float32 if it is in bfloat16; float64 stays.

    Examples:
        >>> ones = torch.ones(2)
        >>> in_float32(ones.bfloat16()).dtype, in_float32(ones.double()).dtype
        (torch.float32, torch.float64)
    """
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def in_autocast(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in the number format of the linear layers: bfloat16 under `autocast`, else unchanged.

    Examples:
        >>> with autocast("cpu", "bfloat16"):
        ...     in_autocast(torch.ones(2)).dtype
        torch.bfloat16
    """
    kind = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else tensor
