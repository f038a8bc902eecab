"""One thread for matrix products: their last bits depend on how many threads share them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

from threadpoolctl import ThreadpoolController

_lock = Lock()
_entered = 0
_limit = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """numpy's and scipy's matrix products take one thread inside, in the whole process.

    OpenBLAS adds up in another order with another number of threads. Datasets would then depend on how many
    cores or workers sample them. The products of the sampler are small: more threads would gain nothing. It
    takes 30 microseconds, or 1 inside another one; threads of the program may enter it at the same time.

    Examples:
        >>> import numpy as np
        >>> with one_blas_thread():
        ...     float((np.ones((2, 3)) @ np.ones((3, 2))).sum())
        12.0
    """
    global _entered, _limit  # noqa: PLW0603, the number of threads is the process's
    with _lock:
        if not _entered:
            _release_control()
            _limit = _blas().limit(limits=1)
        _entered += 1
    try:
        yield
    finally:
        with _lock:
            _entered -= 1
            if not _entered:
                _release_control()
                try:
                    _limit.restore_original_limits()
                finally:
                    _release_control()


@cache
def _blas() -> ThreadpoolController:
    """The libraries of numpy and scipy, which both have to be loaded; it looks for them once."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController().select(user_api="blas")


def _release_control() -> None:
    """Let any thread set the number: since threadpoolctl 3.8 only that which set it first can."""
    for library in _blas().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
