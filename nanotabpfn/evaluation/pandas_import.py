"""pandas, imported when a table is read: it is part of extras, and slow to import."""

import importlib
from types import ModuleType


def import_pandas(extra: str, *others: str) -> ModuleType:
    """The module pandas, after a check that it and `others` can be imported.

    Args:
        extra: that brings them, which the error names.
        others: modules that pandas needs for the task, such as `pyarrow`.

    Raises:
        ModuleNotFoundError: one of them is missing; the message says how to install it.

    >>> import_pandas("predict").__name__
    'pandas'
    """
    try:
        for name in others:
            importlib.import_module(name)
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'reading tables needs {error.name}: pip install "nanotabpfn-priors[{extra}]"', name=error.name
        ) from error
