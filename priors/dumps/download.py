"""Download a published dump: resumed after a break, checked, under its final name when it is whole.

It needs the standard library only: one file by HTTP takes no more.
"""

import http.client
import os
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from priors.dumps.files import check_target, file_hash, replaced_when_done
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import DumpError

PIECE_BYTES = 2**20
TIMEOUT = 60
"""Seconds without a byte, after which a connection is given up."""

HEADERS = {
    # figshare answers others with 403.
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 "
    "Safari/537.36",
    "Referer": "https://figshare.com/",
    "Accept-Encoding": "identity",
}


class DownloadError(Exception):
    """A file that could not be downloaded; the message says what to do."""


class Published(NamedTuple):
    """A dump that somebody has published.

    Examples:
        >>> PUBLISHED["300k_150x5_2"].shape
        (300000, 150, 5)
    """

    url: str
    page: str
    """Where a person finds it with a browser."""
    shape: tuple[int, int, int]
    """(D, max_rows, max_features): what the file must turn out to be."""


PUBLISHED = {
    "300k_150x5_2": Published(
        url="https://figshare.com/ndownloader/files/58932628?private_link=63fc1ada93e42e388e63",
        page="https://figshare.com/s/63fc1ada93e42e388e63",
        shape=(300_000, 150, 5),
    ),
}


def download(
    published: Published, out: str | Path, on_progress: Callable[[int, int | None], None] | None = None
) -> str:
    """Download `published` to `out`. Until it is whole it is called ``out.part``, which a later call resumes.

    The whole file is read before it takes its name. Its checksum is written to ``out.sha256``, in the format
    of `sha256sum -c`.

    Args:
        published: the dump.
        out: the file.
        on_progress: called with the bytes that are there and the bytes of the whole, None if the server does
            not say.

    Returns:
        The sha256 of the file.

    Raises:
        DownloadError: the file cannot be downloaded, another process is downloading it, or what came is not
            the dump, or damaged.
        DumpError: `out` cannot be written.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source, out = Path(folder) / "source.h5", Path(folder) / "copy.h5"
        ...     _ = generate_dump(source, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     published = Published(source.as_uri(), page="the page for people", shape=(3, 20, 5))
        ...     checksum = download(published, out)
        ...     out.read_bytes() == source.read_bytes(), len(checksum)
        (True, 64)
    """
    out = Path(out)
    check_target(out)
    part = out.with_name(f"{out.name}.part")
    remedy = (
        f"The same command resumes it; or save the file from {published.page} in a browser as {out}, "
        f"then `priors validate {out}` and `nanotabpfn train --dump {out}`"
    )
    try:
        with _opened(part) as file, _alone(file, part):
            total = _fetch(published.url, file, on_progress)
            if total is not None and file.tell() != total:
                raise DownloadError(
                    f"{published.url}: broke off at {file.tell():,} of {total:,} bytes\n{remedy}"
                )
        checksum = _checked(part, published)
        _record(checksum, out)
        os.replace(part, out)
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{published.url}: {error.code} {error.reason}\n{remedy}") from error
    except urllib.error.URLError as error:
        raise DownloadError(f"{published.url}: cannot be reached: {error.reason}\n{remedy}") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        reason = str(error) or type(error).__name__
        raise DownloadError(f"{published.url}: broke off: {reason}\n{remedy}") from error
    except OSError as error:
        raise DownloadError(f"{part}: cannot be written: {error.strerror or error}") from error
    return checksum


def _opened(part: Path) -> BinaryIO:
    """The file `part`, for appending. A link in its place is not followed: somebody else may have put it."""
    if part.is_symlink() or (part.exists() and not part.is_file()):
        raise DownloadError(f"{part}: must be a regular file, got a link or a device; remove it")
    no_links = getattr(os, "O_NOFOLLOW", 0)  # Windows does not have it
    return open(part, "ab", opener=lambda name, flags: os.open(name, flags | no_links, 0o666))


def _fetch(url: str, file: BinaryIO, on_progress: Callable[[int, int | None], None] | None) -> int | None:
    """Append what is missing of `url` to `file`; the size of the whole, or None if the server hides it."""
    have = file.seek(0, os.SEEK_END)
    headers = HEADERS | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        error.close()
        if _total(error.headers.get("Content-Range")) == have:
            return have  # all of it was there already
        file.truncate(0)
        return _fetch(url, file, on_progress)
    with response:
        first, total = _extent(response)
        if first != have:  # a server without ranges starts again from the first byte
            have = 0
            file.truncate(0)
            if first:
                raise DownloadError(f"{url}: the server sent bytes from {first} on, which were not asked for")
        if total is not None and shutil.disk_usage(Path(file.name).parent).free < total - have:
            raise DownloadError(
                f"{file.name}: cannot be written: the disk is full (needs {total - have:,} bytes)"
            )
        while piece := response.read(PIECE_BYTES):
            file.write(piece)
            have += len(piece)
            if on_progress is not None:
                on_progress(have, total)
    file.flush()
    file.seek(0, os.SEEK_END)
    return total


def _extent(response: Any) -> tuple[int, int | None]:
    """The number of the first byte of a response, and the size of the whole file."""
    length = response.headers.get("Content-Length")
    if response.status != http.client.PARTIAL_CONTENT:
        return 0, int(length) if length and length.isdigit() else None
    content_range = response.headers.get("Content-Range") or ""
    first = re.match(r"bytes (\d+)-", content_range)
    return int(first[1]) if first else -1, _total(content_range)


def _total(content_range: str | None) -> int | None:
    match = re.fullmatch(r"bytes [^/]*/(\d+)", content_range or "")
    return int(match[1]) if match else None


@contextmanager
def _alone(file: BinaryIO, part: Path) -> Iterator[None]:
    """Refuse a second process that would write the same file."""
    with suppress(ImportError):  # Windows has no such lock
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(f"{part}: another process is downloading this file") from None
    try:
        yield
    finally:
        if part.stat().st_size == 0:  # nothing to resume from
            part.unlink()


def _checked(part: Path, published: Published) -> str:
    """The sha256 of `part` if it is the dump that was published, undamaged; otherwise it is removed."""
    try:
        with open_dump(part) as dump:
            shape = (len(dump), dump.max_rows, dump.max_features)
            if shape != published.shape:
                raise DumpError(f"{part}: X must have the shape {published.shape}, got {shape}")
            _check_tables(dump)
    except DumpError as error:
        part.unlink()  # resuming it would never help
        raise DownloadError(
            f"{published.url}: what the server sent is not the dump: {str(error).removeprefix(f'{part}: ')}\n"
            f"The file is in a browser at {published.page}"
        ) from error
    return file_hash(part)


def _check_tables(dump: Dump) -> None:
    """Stop at a chunk that cannot be read, and at labels that there cannot be.

    The published layout has no checksums: a wrong label is the sign of damage that decompression missed.
    Cells that are not finite are none, since the published dump has five such records.
    """
    for start, stop in dump.spans():
        _, y = dump.read(start, stop)  # (n, R)
        if dump.max_num_classes is not None:
            own_rows = np.arange(dump.max_rows) < dump.num_datapoints[start:stop, None]
            wrong = own_rows & np.isfinite(y) & ~np.isin(y, np.arange(dump.max_num_classes))
            if wrong.any():
                record = start + int(wrong.any(axis=1).argmax())
                raise DumpError(f"{dump.path}: y: record {record} has labels that are no classes; damaged")


def _record(checksum: str, out: Path) -> None:
    with replaced_when_done(out.with_name(f"{out.name}.sha256")) as partial:
        partial.write_text(f"{checksum}  {out.name}\n", encoding="utf-8")
