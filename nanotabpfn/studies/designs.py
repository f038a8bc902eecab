"""Designs that vary several settings at once: the draws of `design: random`, and designs as matrices.

Axis letters: A arms, S settings, E effects.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from priors.distributions import LogUniform, Range, from_plain, is_distribution
from priors.settings import REPLACE, read_value, write_value
from priors.streams import STUDY, stream

DESIGN = 4  # stream(seed, STUDY, DESIGN, ...)
NUM_CANDIDATES = 200
"""Random designs of which the best is taken."""
DIGITS = 4
"""Of a number that is drawn, so that it can be written down."""
MAX_START = 30
"""Characters of the first value of a setting, above which a figure shows it in short."""


class Setting(NamedTuple):
    """A setting that varies: over the values of a list, its levels, or over a distribution."""

    path: str
    levels: tuple[str, ...]  # as text; empty for a distribution
    distribution: Range | None = None

    @property
    def effects(self) -> list["Effect"]:
        """From the first level to each other one, or from the lowest to the highest number.

        >>> [effect.words for effect in setting_of("mechanisms", ["linear", "mlp"]).effects]
        ['mechanisms from linear to mlp']
        """
        if self.distribution is not None:
            return [Effect(self.path, *(write_value(bound) for bound in self.distribution))]
        return [Effect(self.path, self.levels[0], level) for level in self.levels[1:]]


class Effect(NamedTuple):
    """A change of one setting, the others as they are.

    >>> Effect("label_noise", "0", "0.3").words
    'label_noise from 0 to 0.3'
    """

    path: str
    start: str
    end: str

    @property
    def words(self) -> str:
        """The change as text."""
        return f"{self.path} from {self.start} to {self.end}"

    @property
    def short_start(self) -> str:
        """The start; of a long list the first and how many more, which all effects of a setting share.

        >>> Effect("mechanisms", "[linear, mlp, gp, oblivious_trees, product]", "[mlp, gp]").short_start
        '[linear, 4 more]'
        """
        first, *others = self.start.split(", ")
        is_long = len(self.start) > MAX_START and self.start.count("[") == 1 and others
        return f"{first}, {len(others)} more]" if is_long else self.start

    @property
    def short_words(self) -> str:
        """The change as text, with `short_start`."""
        return f"{self.path} from {self.short_start} to {self.end}"


class VariedArms(NamedTuple):
    """The arms that one arm of a study file stands for, if it varies several settings at once.

    >>> kinds = setting_of("mechanisms", ["linear", "mlp"])
    >>> values = {"a": {"mechanisms": "mlp"}, "b": {"mechanisms": "linear"}}
    >>> design = VariedArms("many", "random", (kinds,), values)
    >>> design.is_sample, [effect.words for effect in design.effects], design.arms_at("mechanisms", "mlp")
    (True, ['mechanisms from linear to mlp'], ('a',))
    """

    name: str  # in the study file
    design: str  # "factorial" or "random"
    settings: tuple[Setting, ...]
    values: dict[str, dict[str, Any]]  # arm -> path -> value

    @property
    def is_sample(self) -> bool:
        """Whether the arms are drawn, so that another study would have others."""
        return self.design == "random"

    @property
    def effects(self) -> list[Effect]:
        """The effects of all settings, in the order of the columns of `design_matrix`."""
        return [effect for setting in self.settings for effect in setting.effects]

    def arms_at(self, path: str, level: str) -> tuple[str, ...]:
        """The arms with a level of a setting."""
        return tuple(arm for arm, own in self.values.items() if write_value(own[path]) == level)


class Contrasted(NamedTuple):
    """An effect, and the arms at its two ends."""

    effect: Effect
    at_start: tuple[str, ...]
    at_end: tuple[str, ...]


def contrasted(design: VariedArms) -> list[Contrasted]:
    """The arms with the first value of each setting, and with each other one.

    Of numbers from a distribution, the arms below the median and the others.

    Examples:
        >>> noise = setting_of("label_noise", "uniform(0, 0.3)")
        >>> values = {"a": {"label_noise": 0.1}, "b": {"label_noise": 0.3}, "c": {"label_noise": 0.0}}
        >>> [one] = contrasted(VariedArms("many", "random", (noise,), values))
        >>> one.effect.words, one.at_start, one.at_end
        ('label_noise from below 0.1 to 0.1 or more', ('c',), ('a', 'b'))
    """
    found = []
    for setting in design.settings:
        if setting.levels:
            at = {level: design.arms_at(setting.path, level) for level in setting.levels}
            found += [Contrasted(effect, at[effect.start], at[effect.end]) for effect in setting.effects]
            continue
        of_arms = {arm: own[setting.path] for arm, own in design.values.items()}
        middle = float(np.median(list(of_arms.values())))
        below = tuple(arm for arm, value in of_arms.items() if value < middle)
        above = tuple(arm for arm, value in of_arms.items() if value >= middle)
        ends = f"below {middle:.3g}", f"{middle:.3g} or more"
        found.append(Contrasted(Effect(setting.path, *ends), below, above))
    return found


def without_level(design: VariedArms, path: str, level: str) -> VariedArms:
    """The design without the arms at one level of a setting; without the setting if one level is left.

    Examples:
        >>> kinds = setting_of("mechanisms", ["linear", "mlp"])
        >>> values = {"a": {"mechanisms": "mlp"}, "b": {"mechanisms": "linear"}}
        >>> without_level(VariedArms("many", "random", (kinds,), values), "mechanisms", "mlp")
        VariedArms(name='many', design='random', settings=(), values={'b': {'mechanisms': 'linear'}})
    """
    left_out = design.arms_at(path, level)
    settings = [
        one._replace(levels=tuple(own for own in one.levels if own != level)) if one.path == path else one
        for one in design.settings
    ]
    return design._replace(
        settings=tuple(one for one in settings if one.distribution is not None or len(one.levels) > 1),
        values={arm: own for arm, own in design.values.items() if arm not in left_out},
    )


def setting_of(path: str, values: Any) -> Setting:
    """A setting from what a study file has for it.

    Args:
        values: a list of values, or a distribution as `priors.settings` reads it. Of `uniform` and
            `log_uniform` the numbers are reals, of `integers` integers.

    Raises:
        ValueError: a list with two equal values, neither a list nor a distribution, or a distribution of a
            single number.

    Examples:
        >>> setting_of("num_nodes", [[4, 8], [16, 32]]).levels
        ('[4, 8]', '[16, 32]')
        >>> setting_of("label_noise", "uniform(0, 0.3)").distribution
        (0.0, 0.3)
    """
    if isinstance(values, list):
        try:
            levels = tuple(map(write_value, values))
        except TypeError as error:  # YAML has dates
            raise ValueError(
                f"vary.{path}: must be numbers, names, lists or objects, got {values}"
            ) from error
        if len(set(levels)) < len(levels):
            raise ValueError(f"vary.{path}: values must differ, got {write_value(values)}")
        return Setting(path, levels)
    value = read_value(values, f"vary.{path}") if isinstance(values, str) else values
    if not is_distribution(value) or "choice" in value:
        raise ValueError(
            f"vary.{path}: needs a list of values, or with design: random one of uniform(low, high), "
            f"log_uniform(low, high) and integers(low, high); got {values!r}"
        )
    found = from_plain(value)
    if found[0] == found[1]:
        raise ValueError(f"vary.{path}: low must be below high, got {values!r}")
    # The field is not known here, whose own type would decide between reals and integers.
    return Setting(path, (), found if "integers" in value else found.map(float))


def check_paths(paths: Iterable[str]) -> None:
    """Refuse settings of which one is a part of another, such as a weight and all weights.

    Raises:
        ValueError: the message names the two.

    Examples:
        >>> check_paths(["mechanisms", "mechanisms.mlp"])
        Traceback (most recent call last):
        ValueError: vary: mechanisms.mlp is a part of mechanisms; vary one of them
    """
    for whole, part in pairwise(sorted(path.removeprefix(REPLACE) for path in paths)):
        if part == whole or part.startswith(f"{whole}."):
            raise ValueError(f"vary: {part} is a part of {whole}; vary one of them")


def check_random(settings: tuple[Setting, ...], num_arms: int) -> None:
    """Refuse a random design whose arms do not suffice for the effects of its settings.

    Raises:
        ValueError: the message says how many arms are needed.

    Examples:
        >>> check_random((setting_of("mechanisms", ["linear", "mlp"]),), num_arms=2)
        Traceback (most recent call last):
        ValueError: num_arms: 1 effect needs at least 3 arms, got 2
    """
    for setting in settings:
        if len(setting.levels) == 1:
            raise ValueError(f"vary.{setting.path}: needs at least 2 values, got {setting.levels[0]}")
    number = sum(len(setting.effects) for setting in settings)
    if num_arms < number + 2:  # the mean, the effects, and a residual
        raise ValueError(
            f"num_arms: {number} effect{'s need' if number > 1 else ' needs'} at least {number + 2} arms, "
            f"got {num_arms}"
        )
    combinations = np.prod([float(len(setting.levels) or np.inf) for setting in settings])
    if combinations < num_arms:
        raise ValueError(
            f"num_arms: there are {combinations:.0f} combinations of the values, got {num_arms} arms; "
            "design: factorial has them all"
        )


def draw(settings: tuple[Setting, ...], values: Mapping[str, Any], num_arms: int, seed: int) -> list[dict]:
    """The settings of each arm of a random design, a Latin hypercube: path -> value.

    Each level of a list is drawn equally often, up to one. Of a distribution, each of `num_arms` parts of
    equal probability is drawn once. Of NUM_CANDIDATES such designs the one is taken from which a regression
    learns most (the largest determinant of the information matrix), so settings are nearly uncorrelated.

    Args:
        values: path -> what the study file has, from which the levels are taken.

    Raises:
        ValueError: two arms are equal in all candidates.

    Examples:
        >>> vary = {"mechanisms": ["linear", "mlp"], "label_noise": "uniform(0, 0.4)"}
        >>> settings = tuple(setting_of(*item) for item in vary.items())
        >>> arms = draw(settings, vary, num_arms=4, seed=0)
        >>> sorted(arm["mechanisms"] for arm in arms), sorted(int(arm["label_noise"] * 10) for arm in arms)
        (['linear', 'linear', 'mlp', 'mlp'], [0, 1, 2, 3])
    """
    return [
        {
            setting.path: values[setting.path][drawn] if setting.levels else drawn
            for setting, drawn in zip(settings, row, strict=True)
        }
        for row in _draw(settings, num_arms, seed, repr([setting.distribution for setting in settings]))
    ]


@lru_cache
def _draw(settings: tuple[Setting, ...], num_arms: int, seed: int, kinds: str) -> tuple[tuple[Any, ...], ...]:
    """For each arm the number that each setting has, or the index of its level.

    Args:
        kinds: of the distributions, for the cache: integers from 2 to 10 equal real numbers from 2 to 10.
    """
    best, most = None, -np.inf
    for candidate in range(NUM_CANDIDATES):
        rng = stream(seed, STUDY, DESIGN, candidate)
        columns = [_column(setting, rng, num_arms) for setting in settings]
        rows = tuple(zip(*columns, strict=True))
        if len(set(rows)) < num_arms:  # equal arms are one training: no repetition
            continue
        matrix = np.concatenate([_encoded(*pair) for pair in zip(settings, columns, strict=True)], axis=1)
        information = np.linalg.slogdet(np.cov(matrix, rowvar=False, bias=True).reshape(matrix.shape[1], -1))
        if information.sign > 0 and information.logabsdet > most:
            best, most = rows, information.logabsdet
    if best is None:
        raise ValueError(
            f"num_arms: {num_arms} random arms with so few combinations of values are not all different, or "
            "their effects cannot be separated; give fewer arms, or use design: factorial"
        )
    return best


def _column(setting: Setting, rng: np.random.Generator, num_arms: int) -> list[Any]:
    """The numbers of a setting in each arm, or the indices of its levels."""
    parts, within = rng.permutation(num_arms), rng.random(num_arms)
    if setting.levels:
        return (parts * len(setting.levels) // num_arms).tolist()
    low, high = setting.distribution
    drawn = [setting.distribution.at(uniform) for uniform in ((parts + within) / num_arms).tolist()]
    return [one if isinstance(one, int) else min(max(float(f"{one:.{DIGITS}g}"), low), high) for one in drawn]


def _encoded(setting: Setting, drawn: list[Any]) -> np.ndarray:
    """The columns (A, effects) of a setting: of numbers from 0 at the lowest to 1 at the highest, of levels
    whether it is each of them but the first."""
    if setting.levels:
        return np.equal.outer(drawn, np.arange(1, len(setting.levels))).astype(float)
    scale = np.log if isinstance(setting.distribution, LogUniform) else np.asarray
    low, high = (scale(float(bound)) for bound in setting.distribution)
    return ((scale(np.array(drawn, float)) - low) / (high - low))[:, None]


def design_matrix(settings: Iterable[Setting], values: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """The matrix (A, E) of a design, a column for each effect of each setting.

    A number is encoded from 0 at the lowest to 1 at the highest, on a log scale if it is drawn on one. So its
    coefficient is the change over the whole range. A level but the first has a column that is 1 where it is
    drawn: its coefficient is the difference from the first, which is what a choice between the two depends
    on.

    Args:
        values: path -> value of each arm.

    Raises:
        ValueError: a value is none of the levels.

    Examples:
        >>> vary = {"mechanisms": ["linear", "mlp", "gp"], "noise_scale": "log_uniform(0.01, 1)"}
        >>> settings = [setting_of(*item) for item in vary.items()]
        >>> arms = [{"mechanisms": "linear", "noise_scale": 0.1}, {"mechanisms": "gp", "noise_scale": 1}]
        >>> design_matrix(settings, arms).tolist()
        [[0.0, 0.0, 0.5], [0.0, 1.0, 1.0]]
    """
    rows, columns = list(values), []
    for setting in settings:
        drawn = [row[setting.path] for row in rows]
        if setting.levels:
            drawn = [setting.levels.index(write_value(value)) for value in drawn]
        columns.append(_encoded(setting, drawn))
    return np.concatenate(columns, axis=1)
