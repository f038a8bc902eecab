"""Dumps of version 1 of the prior, whose configs have other rules, train as before."""

from pathlib import Path

from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.training.loop import train

VERSION_1 = Path(__file__).parents[2] / "data" / "prior_version_1.h5"


def test_a_dump_of_version_1_trains_two_steps_within_the_range_that_it_states():
    loader = PriorDumpDataLoader(VERSION_1, num_steps=2, batch_size=4, device="cpu")
    model = NanoTabPFNModel(8, 2, 8, 1, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    train(model, loader, lr=1e-3, device="cpu")
    after = [parameter.detach() for parameter in model.parameters()]
    assert all(parameter.isfinite().all() for parameter in after)
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    assert (loader.trained_range.rows, loader.trained_range.features) == ((10, 14), (2, 2))
