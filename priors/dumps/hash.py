"""The content hash of a dump: of its values, whatever their chunks, compression and widths in the file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import COUNT_KEYS, TABLE_KEYS, TWIN_KEYS


def content_hash(path: str | Path) -> str:
    """The sha256 of a dump's contents, whatever its chunks, compression, widths and attributes.

    Each array is hashed on its own in the order of the datasets, padding included: X and y as little-endian
    float32, counts and integer properties as int64, other properties as float64, text as UTF-8 ended by NUL.
    The result is the hash of one line per array (name, shape, hash), sorted by name, and one line for
    max_num_classes.

    Raises:
        DumpError: as `open_dump` and `Dump.read`.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     written = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     content_hash(path) == written
        True
    """
    with open_dump(path) as dump:
        content = ContentHash()
        for name, shape in hashed_shapes(dump, len(dump)).items():
            content.add(name, shape)
        for _, _, values in hashed_pieces(dump):
            content.update(values)
        return content.hexdigest(dump.max_num_classes)


class ContentHash:
    """The content hash of arrays that are written or read piece by piece.

    Examples:
        >>> whole, piecewise, y = ContentHash(), ContentHash(), np.zeros((4, 2), np.float32)
        >>> for content, pieces in ((whole, [y]), (piecewise, [y[:1], y[1:]])):
        ...     content.add("y", y.shape)
        ...     for piece in pieces:
        ...         content.update({"y": piece})
        >>> whole.hexdigest(max_num_classes=2) == piecewise.hexdigest(max_num_classes=2)
        True
    """

    def __init__(self) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._hashes: dict[str, Any] = {}

    def add(self, name: str, shape: tuple[int, ...]) -> None:
        """Hash the array `name`, of that shape in the end, too."""
        self._shapes[name] = shape
        self._hashes[name] = hashlib.sha256()

    def update(self, values: dict[str, np.ndarray]) -> None:
        """Add the next datasets of each array."""
        for name, digest in self._hashes.items():
            digest.update(_canonical_bytes(name, values[name]))

    def hexdigest(self, max_num_classes: int | None) -> str:
        """The hash of all that was added."""
        lines = [
            f"{name} {self._shapes[name]} {digest.hexdigest()}\n"
            for name, digest in sorted(self._hashes.items())
        ]
        text = "".join([*lines, f"max_num_classes {max_num_classes}\n"])
        return hashlib.sha256(text.encode()).hexdigest()


def _canonical_bytes(name: str, values: np.ndarray) -> bytes:
    if name in TABLE_KEYS:
        return np.ascontiguousarray(values, "<f4").tobytes()
    if values.dtype.kind in "OU":
        return b"".join(text.encode() + b"\0" for text in values)
    return np.ascontiguousarray(values, "<f8" if values.dtype.kind == "f" else "<i8").tobytes()


def hashed_shapes(dump: Dump, num_datasets: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array that is hashed, in a dump like `dump` of `num_datasets` datasets."""
    names = [*COUNT_KEYS, *(f"properties/{name}" for name in dump.properties)]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (num_datasets,))
    for x, y in [("X", "y"), TWIN_KEYS][: 1 + dump.has_twins]:
        shapes |= {x: (num_datasets, dump.max_rows, dump.max_features), y: (num_datasets, dump.max_rows)}
    return shapes


def hashed_pieces(dump: Dump) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """(start, stop) of each of `dump.spans()`, and all that is hashed of these datasets, by name."""
    for start, stop in dump.spans():
        values = {name: getattr(dump, name)[start:stop] for name in COUNT_KEYS}
        values["X"], values["y"] = dump.read(start, stop)
        if dump.has_twins:
            values["X_do"], values["y_do"] = dump.read_twins(start, stop)
        for name in dump.properties:
            values[f"properties/{name}"] = dump.read_property(name, start, stop)
        yield start, stop, values
