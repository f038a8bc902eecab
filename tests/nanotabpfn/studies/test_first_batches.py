"""First batches: rounding is accepted, other datasets give a warning."""

import warnings

import pytest
from small_study import prior, study_of

from nanotabpfn.studies.first_batches import ChangedDatasetsWarning, check_first_batches
from nanotabpfn.studies.keys import plan_study


def test_other_datasets_under_the_same_key_give_a_warning(tmp_path):
    plan = plan_study(study_of({"a": prior()}))
    check_first_batches(plan, tmp_path)
    [(key, first)] = plan.first_datasets.items()
    rounded = plan._replace(first_datasets={key: first | {"x": first["x"] * (1 + 1e-6)}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_first_batches(plan, tmp_path)
        check_first_batches(rounded, tmp_path)
    other = plan._replace(first_datasets={key: first | {"x": first["x"][:, ::-1]}})
    with pytest.warns(ChangedDatasetsWarning, match="a: the prior gives other datasets"):
        check_first_batches(other, tmp_path)
