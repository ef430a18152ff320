"""A fit that was interrupted goes on to the numbers that it would have come to."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flowlib import Flow
from flowlib.models import flow_matching, planar_flow
from flowlib.training import History, fit, fit_energy, fit_matching
from tests.training.fitting.examples import Bowl, Moved, points, small, weights

STEPS = 130


def conditional() -> torch.Tensor:
    return torch.randn(500, 2, generator=torch.Generator().manual_seed(1))


def rows(**given: object) -> tuple[Flow, History]:
    return (flow := small()), fit(flow, points(), steps=STEPS, batch=64, snapshots=3, **given)


def rows_in_context(**given: object) -> tuple[Flow, History]:
    flow = small(context_dim=2)
    return flow, fit(flow, 1e6 * points().double(), steps=STEPS, batch=64, context=conditional(), **given)


def a_sampler(**given: object) -> tuple[Flow, History]:
    return (flow := small()), fit(flow, Moved(), steps=STEPS, batch=64, **given)


def an_energy(**given: object) -> tuple[Flow, History]:
    torch.manual_seed(0)
    flow, bowl, callback = planar_flow(layers=2), Bowl(), given.pop("callback", None)

    def energy(x: torch.Tensor) -> torch.Tensor:
        if callback is not None:
            callback(len(energy.calls), None)
        energy.calls.append(len(x))
        return bowl(x)

    energy.calls = []
    return flow, fit_energy(flow, energy, steps=STEPS, batch=64, **given)


def by_matching(**given: object) -> tuple[Flow, History]:
    torch.manual_seed(0)
    flow = flow_matching(hidden=[16, 16], steps=4)
    return flow, fit_matching(flow, points(), steps=STEPS, batch=64, transport=True, snapshots=3, **given)


@pytest.mark.parametrize("case", [rows, rows_in_context, a_sampler, an_energy, by_matching])
def test_it_goes_on_to_the_same_numbers(case: Callable[..., tuple[Flow, History]], tmp_path: Path) -> None:
    def killed(step: int, history: History | None) -> None:
        if step > 90:
            raise RuntimeError("the power is gone")

    whole, expected = case()
    with pytest.raises(RuntimeError, match="the power is gone"):
        case(checkpoint=tmp_path, callback=killed)
    looks: list[int] = []
    flow, history = case(checkpoint=tmp_path, callback=lambda step, _: looks.append(step))
    assert history.losses == expected.losses and history.held_out == expected.held_out
    assert history.best_step == expected.best_step and torch.equal(weights(flow), weights(whole))
    assert list(history.snapshots) == list(expected.snapshots)
    if case is not an_energy:
        assert looks == [100, 130]  # the first fifty steps were not taken again


def test_one_that_has_ended_is_read(tmp_path: Path) -> None:
    flow, history = rows(checkpoint=tmp_path)
    again, read = rows(checkpoint=tmp_path, callback=lambda *_: pytest.fail("it looked again"))
    assert read.losses == history.losses and torch.equal(weights(again), weights(flow))


def test_another_fit_in_the_folder_is_refused(tmp_path: Path) -> None:
    fit(small(), points(), steps=60, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"holds another fit: steps = 60, not 70\. Give the same data and arguments"):
        fit(small(), points(), steps=70, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"holds another fit: data = \w+, not \w+"):
        fit(small(), points() + 1.0, steps=60, checkpoint=tmp_path)
    with pytest.raises(
        ValueError, match=r"holds the fit of another flow\. Give the same flow.*does not fit the tensors"
    ):
        fit(planar_flow(fast="density"), points(), steps=60, checkpoint=tmp_path)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    fit(small(), points(), steps=60, checkpoint=tmp_path)
    (file,) = tmp_path.glob("fit-*.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match="is damaged"):
        fit(small(), points(), steps=60, checkpoint=tmp_path)
