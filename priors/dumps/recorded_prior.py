"""The config and the seed in a dump's attributes; code that they name is not imported without trust."""

import json
from typing import Any

from priors.config import ConfigError, PriorConfig
from priors.dumps.provenance import ORIGIN, first_dataset, generator_name, is_own, other_version, short
from priors.dumps.read import Dump
from priors.registry import UntrustedNameError

MOST_NODES = 10_000
"""A config with more nodes is not run: no table needs them, and one dataset would take all day."""

MOST_OF_A_PARAMETER = 10_000
MOST_DEPTH = 20
"""Of the integers in `PriorConfig.parameters`; a tree of depth d takes memory for 2^d leaves."""

MOST_NESTED = 20
"""Objects and lists within each other in a config; no config of this package has more than 8."""


class UnverifiableError(Exception):
    """A dump that says too little of its origin to be made again; the message says why, and what helps."""


def origin_of(dump: Dump, trust: bool) -> tuple[PriorConfig, int, int]:
    """Config, seed and number of the first dataset, or UnverifiableError.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         config, seed, first = origin_of(dump, trust=False)
        >>> config.num_datapoints, seed, first
        (20, 0, 0)
    """
    missing = [name for name in ORIGIN[:3] if name not in dump.attributes]
    if missing and "sources" in dump.attributes:
        try:
            names = ", ".join(str(source["file"]) for source in json.loads(dump.attributes["sources"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            names = "other files"
        operation = short(dump.attributes.get("operation"))
        raise UnverifiableError(
            f"{dump.path}: was made from {short(names)} ({operation}) and does not hold their records in "
            f"order; verify those, or `priors validate` it"
        )
    if missing:
        raise UnverifiableError(
            f"{dump.path}: does not say how it was made ({', '.join(missing)} missing), so it cannot be made "
            f"again; `priors validate` checks what can be checked"
        )
    made_by = short(dump.attributes["generator"])
    if not is_own(dump):
        raise UnverifiableError(f"{dump.path}: was made by {made_by}, which alone can make it again")
    differs = other_version(dump)
    if differs is not None:
        raise UnverifiableError(f"{dump.path}: {differs}")
    try:
        config = stored_config(str(dump.attributes["config"]), trust)
        seed = stored_seed(dump.attributes["seed"])
    except UnverifiableError as error:
        raise UnverifiableError(f"{dump.path}: {error}") from error
    except (ConfigError, ValueError) as error:
        raise UnverifiableError(
            f"{dump.path}: was made by {made_by}, and {generator_name()} cannot read its origin: "
            f"{short(error)}"
        ) from error
    return config, seed, first_dataset(dump)


def stored_config(text: str, trust: bool) -> PriorConfig:
    """The config of a file.

    Args:
        text: its JSON.
        trust: whether to import families of other packages that it names: code of the file's choice.

    Raises:
        UnverifiableError: it names such families and `trust` is not set, or it has more nodes than any table
            needs.
        ConfigError: it is no config.

    Examples:
        >>> stored_config('{"mechanisms": {"somewhere.else:f": 1}}', trust=False)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        priors.dumps.recorded_prior.UnverifiableError: config names code outside this package ...
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError("config must be a JSON object")
    try:
        config = PriorConfig.from_json(text, trust)
    except UntrustedNameError as error:
        raise UnverifiableError(f"config {short(error)}; `priors verify --trust` runs it") from error
    _check_sizes(config)
    return config


def _check_sizes(config: PriorConfig) -> None:
    """Stop at numbers with which one dataset would take hours, or more memory than there is."""
    if config.num_nodes[1] > MOST_NODES:
        raise UnverifiableError(f"config has {config.num_nodes[1]} nodes; at most {MOST_NODES} are run")
    own = config.graph.nodes.values() if config.graph else ()
    families = [*config.parameters.items(), *(("graph", node.get("parameters", {})) for node in own)]
    for family, parameters in families:
        for name, values in parameters.items():
            most = MOST_DEPTH if name == "depth" else MOST_OF_A_PARAMETER
            for value in values if isinstance(values, list | tuple) else (values,):
                if isinstance(value, int | float) and value > most:
                    raise UnverifiableError(
                        f"config has parameters: {family}: {name}={value}; at most {most} is run"
                    )


def stored_seed(value: Any) -> int:
    """The seed in a file's attributes.

    Raises:
        ValueError: it is no seed.

    Examples:
        >>> stored_seed("12")
        12
    """
    seed = int(str(value))
    if not 0 <= seed < 2**128:
        raise ValueError(f"seed must be in 0..2**128-1, got {str(value)[:50]}")
    return seed


def settings_in(dump: Dump) -> dict[str, Any] | None:
    """The config in a dump's attributes as plain values, which are not checked; None if it holds no such.

    Examples:
        >>> import tempfile
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         settings_in(dump)["num_datapoints"]
        20
    """
    try:
        found = json.loads(dump.attributes["config"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_shallow(found, MOST_NESTED) else None


def _is_shallow(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels >= 0 and all(_is_shallow(item, levels - 1) for item in items)
