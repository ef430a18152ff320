"""Looking changes nothing: samples, densities, pictures and proofs leave a model that was never trained as it is."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor, nn

from flowlib import Flow, models, prove
from flowlib.pixels import PixelFlow
from flowlib.viz import Slider, density, explore, warped_grid
from tests.models.test_images import SMALL
from tests.models.test_images import build as build_image
from tests.models.test_vectors import ALL, PUSHES, build


def picture(flow: Flow) -> None:
    density(flow, plt.figure().gca(), resolution=20)
    plt.close("all")


def grid(flow: Flow) -> None:
    warped_grid(flow, plt.figure().gca())
    plt.close("all")


def live_picture(flow: Flow) -> None:
    explore(lambda a: flow, a=Slider(0.0, -1.0, 1.0), samples=50, resolution=20).frame(a=0.5)


def densities(flow: Flow) -> None:
    with torch.no_grad():
        flow.log_prob(3.0 + 2.0 * torch.randn(20, *flow.data_shape).to(next(flow.parameters())))


def bits(flow: Flow) -> None:
    with torch.no_grad():
        PixelFlow(flow, levels=17).bits_per_dim(torch.randint(17, (5, *flow.data_shape)))


LOOKS: dict[str, Callable[[Flow], object]] = {
    "sample": lambda flow: flow.sample(20),
    "sample_with_log_prob": lambda flow: flow.sample_with_log_prob(20),
    "log_prob": densities,
    "bits_per_dim": bits,
    "ledger": lambda flow: PixelFlow(flow, levels=17).ledger(torch.randint(17, (5, *flow.data_shape))),
    "prove": lambda flow: prove(flow.transform),
    "summary": lambda flow: repr(models.summary(flow)),
    "layers": lambda flow: flow.transform.layers(),
}
IN_THE_PLANE = {"density": picture, "warped_grid": grid, "explore": live_picture}


def state(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters, buffers, extra states, and which parts are in training mode."""
    held = model.state_dict() | dict(model.named_buffers())
    modes = {f"{name}.training": torch.tensor(part.training) for name, part in model.named_modules()}
    return {key: value.detach().clone() for key, value in held.items()} | modes


def check_nothing_changes(flow: Flow, look: Callable[[Flow], object]) -> None:
    before = state(flow)
    look(flow)
    after = state(flow)
    assert before.keys() == after.keys()
    changed = [key for key in before if before[key].dtype != after[key].dtype or not before[key].equal(after[key])]
    assert not changed
    assert not any(parameter.grad is not None for parameter in flow.parameters())


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ALL)
def test_at_vectors(name: str, look: str) -> None:
    check_nothing_changes(build(name, dim=3), LOOKS[look])


@pytest.mark.parametrize("look", IN_THE_PLANE)
@pytest.mark.parametrize("name", ALL)
def test_at_the_plane(name: str, look: str) -> None:
    check_nothing_changes(build(name), IN_THE_PLANE[look])


def test_a_proof_with_its_mass() -> None:
    check_nothing_changes(build("real_nvp"), prove)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", SMALL)
def test_at_images(name: str, look: str) -> None:
    check_nothing_changes(build_image(name, (1, 4, 4)), LOOKS[look])


def learned(flow: Flow, x: Tensor) -> set[str]:
    """What the first batch of training changes in a model that was looked at in every way."""
    for look in LOOKS.values():
        look(flow)
    before = state(flow)
    flow.log_prob(x)
    after = state(flow)
    return {key.rsplit(".", 1)[1] for key in before if not before[key].equal(after[key])}


@pytest.mark.parametrize("name", [name for name in ALL if name not in PUSHES])
def test_training_begins_after_the_looks(name: str) -> None:
    """Units are learned from the first batch that is trained on, whatever was looked at before."""
    assert learned(build(name, dim=3), 50.0 + 10.0 * torch.randn(200, 3)) == {"shift", "scale", "_extra_state"}


def test_training_of_images_begins_after_the_looks() -> None:
    flow = build_image("glow", (1, 4, 4))
    assert learned(flow, 5.0 + 2.0 * torch.randn(50, 1, 4, 4).double()) == {"shift", "log_scale", "_extra_state"}
