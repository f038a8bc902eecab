"""Options that several commands of `nanotabpfn` share: the device, the suite of real tables."""

from collections.abc import Sequence
from typing import Any

import click

from nanotabpfn.model.choices import DEVICES
from priors.console import Choice

device_option = click.option(
    "--device",
    type=Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes a GPU if there is one.",
)


class SuiteName(click.ParamType):
    """The name of a suite of real tables, or one of a few other words."""

    name = "suite"

    def __init__(self, *others: str):
        self.others = others

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.others:
            from nanotabpfn.evaluation.suites import check_suite

            try:
                check_suite(value)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return value

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES

        names = [
            *SUITES,
            *REGRESSION_SUITES,
            "tabarena",
            "openml:study/ID",
            "openml:task/ID,ID",
            *self.others,
        ]
        return f"[{'|'.join(names)}]"


def resolve_suites(problem: str, names: Sequence[str]) -> list[str]:
    """The suites `names`, or without any the problem's own.

    Raises:
        click.BadParameter: a suite is for another problem, is given twice, or accompanies `none`.

    >>> resolve_suites("regression", []), resolve_suites("classification", ["nano-dev", "binary-dev"])
    (['builtin-regression'], ['nano-dev', 'binary-dev'])
    """
    from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES

    own = REGRESSION_SUITES if problem == "regression" else SUITES
    if not names:
        return [next(iter(own))]
    for name in names:
        is_own = name in own or (problem != "regression" and name not in REGRESSION_SUITES)  # OpenML's
        if name != "none" and not is_own:
            raise click.BadParameter(
                f"{name} is not for {problem}, which has {', '.join(own)}", param_hint="--suite"
            )
        if names.count(name) > 1:
            raise click.BadParameter(f"each suite only once, got {name} more often", param_hint="--suite")
    if "none" in names and len(names) > 1:
        raise click.BadParameter("none cannot be given with other suites", param_hint="--suite")
    return list(names)


def resolve_device(name: str) -> str:
    """The device that `name` means, where `auto` is a GPU if there is one.

    Raises:
        click.BadParameter: it is not available here.
    """
    from nanotabpfn.model.device import find_device

    try:
        return str(find_device(name))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error
