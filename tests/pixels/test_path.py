"""The way of noise through a multi-scale flow, as images."""

import pytest
import torch

from flowlib.models.images import glow, nice_image, real_nvp_image, transformer_image
from flowlib.pixels.path import image_path

RECIPES = {
    "glow": lambda **options: glow((1, 8, 8), scales=2, steps=2, width=4, **options),
    "one scale": lambda **options: glow((1, 8, 8), scales=1, steps=2, width=4, **options),
    "three scales": lambda **options: glow((1, 8, 8), scales=3, steps=1, width=4, **options),
    "real_nvp": lambda **options: real_nvp_image((1, 8, 8), width=4, blocks=1, **options),
    "nice": lambda **options: nice_image((1, 8, 8), width=4, blocks=1, **options),
}


def shaken(name: str, **options):
    """An untrained flow whose networks have something to say."""
    torch.manual_seed(0)
    flow = RECIPES[name](**options).eval()
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return flow


@pytest.mark.parametrize("name", RECIPES)
def test_the_path_ends_where_the_flow_does_and_keeps_all_numbers(name: str) -> None:
    flow, z = shaken(name), torch.randn(3, 64)
    with torch.no_grad():
        path = image_path(flow, z)
        x, _ = flow.transform(z)
    assert all(state.shape == (3, 1, 8, 8) for _, state in path)
    assert torch.allclose(path[-1][1], x, atol=1e-5)
    if name != "nice":  # it stretches its noise first
        assert torch.equal(path[0][1].flatten(1).sort().values, z.sort().values)


NAMES = {
    "glow": ["at 2 × 2, step 1", "at 2 × 2, step 2", "at 4 × 4, step 1", "at 4 × 4, step 2"],
    "one scale": ["at 4 × 4, step 1", "at 4 × 4, step 2"],
    "three scales": ["at 1 × 1, step 1", "at 2 × 2, step 1", "at 4 × 4, step 1"],
    "real_nvp": ["at 4 × 4, step 1", "at 4 × 4, step 1", "at 8 × 8, step 2", "ActNorm"],
}


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_named_by_their_size_and_number(name: str) -> None:
    with torch.no_grad():
        assert [step for step, _ in image_path(shaken(name), torch.randn(2, 64))] == ["noise", *NAMES[name]]


@pytest.mark.parametrize("name", ["glow", "real_nvp"])
def test_a_conditional_flow_goes_its_way_at_one_condition(name: str) -> None:
    flow, z = shaken(name, context_dim=2), torch.randn(3, 64)
    for context in ([1.0, 0.0], [0.0, 1.0]):
        with torch.no_grad():
            path = image_path(flow.given(context), z)
            x, _ = flow.transform(z, torch.tensor(context))
        assert [step for step, _ in path] == ["noise", *NAMES[name]] and torch.allclose(path[-1][1], x, atol=1e-5)


def test_a_flow_of_one_scale_is_named() -> None:
    with pytest.raises(ValueError, match="no MultiScale"):
        image_path(transformer_image((1, 8, 8), layers=1, width=8, heads=2, depth=1), torch.randn(2, 64))
