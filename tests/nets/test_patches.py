"""The transformer over patches: each attended to once. That it is causal, and agrees with its steps: test_laws.py."""

import pytest
import torch

from flowlib.laws import Affine
from flowlib.nets.patches import PatchTransformer
from flowlib.transforms import Autoregressive, Patches

DOUBLE = torch.float64
TOKENS, SIZE = 3, 2


def build(**arguments) -> PatchTransformer:
    """A small one with something to say."""
    torch.manual_seed(0)
    net = PatchTransformer(TOKENS, SIZE, 2, width=8, heads=2, depth=2, hidden=(12,), **arguments).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def test_the_transformer_is_asked_once_a_patch() -> None:
    net, asked = build(), []
    net.blocks[0].register_forward_pre_hook(lambda _, arguments: asked.append(tuple(arguments[0].shape)))
    Autoregressive(Affine(), net)(torch.randn(5, TOKENS * SIZE, dtype=DOUBLE))
    assert asked == [(5, 1, 8)] * TOKENS  # one new token at a time; those before are in the cache


def test_patches_are_read_like_a_page() -> None:
    colours = torch.arange(3 * 4 * 4.0).reshape(3, 4, 4)
    z, log_det = Patches((3, 4, 4), 2).inverse(colours)
    assert z[:6].tolist() == [0, 16, 32, 1, 17, 33]  # two pixels with their three colours
    assert z.unflatten(0, (4, 12))[:, 0].tolist() == [0, 2, 8, 10] and log_det == 0  # where each patch begins


def test_a_missing_context_is_named() -> None:
    with pytest.raises(ValueError, match=r"needs a context of shape \(..., 3\); got none"):
        build(context_dim=3)(torch.zeros(1, TOKENS * SIZE, dtype=DOUBLE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 2), "tokens must be a whole number, 1 or more; got 0"),
        ((2, 0, 2), "size must be a whole number, 1 or more; got 0"),
        ((2, 2, 0), "n_params must be a whole number, 1 or more; got 0"),
        ((2, 2, 2, 10, 4), "width must be a multiple of heads = 4; got 10"),
    ],
)
def test_bad_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError) as error:
        PatchTransformer(*arguments)
    assert message in str(error.value)
