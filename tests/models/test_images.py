# ruff: noqa: E501
"""The recipes for images: shapes, one latent number for each pixel, classes, scales, and what `summary` prints."""

import pytest
import torch

from flowlib import Compose, Flow, models, prove
from flowlib.bases import StandardNormal
from flowlib.models import summary
from flowlib.pixels.latents import scales
from flowlib.support import chunks
from flowlib.transforms import ActNorm

SMALL = {
    "nice_image": {"couplings": 2, "width": 4, "blocks": 1},
    "real_nvp_image": {"couplings": 2, "width": 4, "blocks": 1},
    "glow": {"steps": 2, "width": 4},
    "residual_flow_image": {"blocks": 2, "width": 4},
    "transformer_image": {"layers": 2, "patch": 2, "width": 8, "heads": 2, "depth": 1, "hidden": (8,)},
}
SCALES = [name for name in SMALL if name != "transformer_image"]


def build(name: str, shape: tuple[int, ...] = (1, 8, 8), move: float = 0.0, **arguments) -> Flow:
    """A small one in float64, with N(0, move²) added to every parameter."""
    torch.manual_seed(0)
    flow = getattr(models, name)(shape, **{**SMALL[name], **arguments}).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += move * torch.randn_like(parameter)
    return flow


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize(
    ("shape", "scales"), [((1, 8, 8), 1), ((1, 8, 8), 3), ((1, 28, 28), 2), ((3, 4, 8), 2)], ids=str
)
def test_a_flat_latent_and_an_image(name: str, shape: tuple[int, ...], scales: int) -> None:
    check_both_ways(build(name, shape, 0.05, scales=scales).eval(), shape)


@pytest.mark.parametrize("bins", [0, 4])
@pytest.mark.parametrize(("shape", "patch"), [((1, 8, 8), 4), ((1, 6, 4), 1), ((3, 4, 8), 2)], ids=str)
def test_a_flat_latent_and_an_image_of_patches(shape: tuple[int, ...], patch: int, bins: int) -> None:
    check_both_ways(build("transformer_image", shape, 0.05, patch=patch, bins=bins).eval(), shape)


def check_both_ways(flow: Flow, shape: tuple[int, ...]) -> None:
    dim = torch.Size(shape).numel()
    assert flow.base.event_shape == (dim,) and flow.data_shape == shape
    x, log_prob = flow.sample_with_log_prob(3)
    assert x.shape == (3, *shape) and log_prob.shape == (3,)
    assert torch.allclose(flow.log_prob(x), log_prob)
    z, _ = flow.transform.inverse(x)
    assert z.shape == (3, dim) and torch.allclose(flow.transform(z)[0], x)
    assert flow.bits_per_dim(x).shape == (3,)
    assert flow.sample(0).shape == (0, *shape) and flow.log_prob(x[:0]).shape == (0,)


@pytest.mark.parametrize("name", SMALL)
def test_every_claim_is_proved(name: str) -> None:
    flow = build(name, (1, 4, 4), 0.1)
    assert prove(flow.transform.eval()).holds


def test_a_proof_in_many_dimensions_takes_fewer_points() -> None:
    proof = prove(build("glow", (1, 12, 12), 0.05, steps=1).transform.eval())
    assert proof.holds and proof.checks[0].found == "(28,) for 28 points"


@pytest.mark.parametrize("name", SMALL)
def test_the_first_batch_sets_the_units(name: str) -> None:
    flow = build(name)
    x = 50.0 + 10.0 * torch.randn(64, 1, 8, 8, dtype=torch.float64)
    flow.log_prob(x)
    z, _ = flow.transform.inverse(x)
    assert abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.1
    assert all(module.initialized for module in flow.modules() if isinstance(module, ActNorm))


@pytest.mark.parametrize("name", SMALL)
def test_the_class_reaches_the_image(name: str) -> None:
    flow = build(name, move=0.1, context_dim=3).eval()
    x, classes = torch.randn(4, 1, 8, 8, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    each = flow.log_prob(x, classes[[0, 1, 2, 0]])
    assert not torch.allclose(flow.log_prob(x, classes[0]), flow.log_prob(x, classes[1]))
    assert torch.allclose(each[[0, 3]], flow.log_prob(x[[0, 3]], classes[0]))
    assert flow.sample(5, classes[1]).shape == (5, 1, 8, 8)
    with pytest.raises(ValueError, match="needs a context"):
        flow.log_prob(x)


@pytest.mark.parametrize("name", SCALES)
def test_one_scale_can_be_drawn_anew(name: str) -> None:
    flow = build(name, (1, 8, 8), 0.05, scales=2).eval()
    coarse, fine = scales(flow)
    assert (coarse, fine) == (slice(0, 32), slice(32, 64))
    z = torch.randn(2, 64, dtype=torch.float64)
    again = z.clone()
    again[:, fine] = torch.randn(2, 32, dtype=torch.float64)
    x = flow.transform(again)[0]
    assert torch.allclose(flow.transform.inverse(x)[0][:, coarse], z[:, coarse])
    assert not torch.allclose(x, flow.transform(z)[0])


def test_a_flow_without_scales_says_so() -> None:
    with pytest.raises(ValueError, match="no MultiScale"):
        scales(Flow(Compose([], [2]), StandardNormal(2)))


def test_a_glow_learns() -> None:
    torch.manual_seed(0)
    flow, x = build("glow", (1, 4, 4), width=8), torch.randn(200, 1, 4, 4, dtype=torch.float64).cumsum(-1).tanh()
    optimizer, losses = torch.optim.Adam(flow.parameters(), 1e-2), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = flow.bits_per_dim(x).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3


def test_images_are_evaluated_in_chunks_of_numbers(monkeypatch) -> None:
    flow, x = build("glow", move=0.05).eval(), torch.randn(7, 1, 8, 8, dtype=torch.float64)
    whole, sizes = flow.log_prob(x), []
    monkeypatch.setattr(chunks, "CHUNK", 3 * 64)
    flow.transform.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    with torch.no_grad():
        assert torch.allclose(flow.log_prob(x), whole)
        assert flow.sample(7).shape == (7, 1, 8, 8) and sizes == [3, 3, 1]


def test_summary_of_a_glow() -> None:
    text = repr(summary(build("glow", scales=2))).splitlines()
    labels = [line[2:7].strip() for line in text[1:-2]]
    assert labels == ["p_Z", "+ z", "1–6", "·", "·", "·", "7", "+ z", "8–13", "·", "·", "·", "14", "all"]
    assert text[0] == "Flow on points of shape (1, 8, 8), from noise to data:"
    assert "32 latents of scale (8, 2, 2)" in text[2] and "2 × 3 layers" in text[3]
    assert "GlowNet 4 → 4 → 4 → 8, channels, keeps 4, moves 4" in text[4]


@pytest.mark.parametrize("name", SMALL)
def test_summary_counts_every_parameter(name: str) -> None:
    flow = build(name)
    *lines, total = summary(flow).lines
    assert total.parameters == sum(p.numel() for p in flow.parameters()) == sum(line.parameters or 0 for line in lines)
    assert "<table>" in summary(flow)._repr_html_()


BAD = [
    ((1, 28, 28), {"scales": 3}, "each scale halves H and W, and 28 × 28 can be halved 2 times, so scales must be 2 or less; got 3"),
    ((1, 6, 8), {"scales": 2}, "6 × 8 can be halved 1 time, so scales must be 1 or less; got 2"),
    ((1, 7, 7), {"scales": 1}, "H and W must be even; got (1, 7, 7)"),
    ((28, 28), {}, "shape must be three whole numbers (C, H, W); got (28, 28)"),
    ((1, 8, 8), {"scales": 0}, "scales must be a whole number, 1 or more; got 0"),
    ((1, 8, 8), {"width": 0}, "width must be a whole number, 1 or more; got 0"),
    ((1, 8, 8), {"base": StandardNormal(3)}, "the transform works on events of shape (64,), the base on (3,)"),
]  # fmt: skip
BAD_PATCHES = [
    ((1, 28, 28), {"patch": 3}, "3 × 3 patches do not tile an image of 28 × 28; patch must divide its height and its width"),
    ((28, 28), {}, "shape must be three whole numbers (C, H, W); got (28, 28)"),
    ((1, 8, 8), {"layers": 0}, "layers must be a whole number, 1 or more; got 0"),
    ((1, 8, 8), {"bins": -1}, "bins must be a whole number, 1 or more; got -1"),
    ((1, 8, 8), {"width": 10, "heads": 4}, "width must be a multiple of heads = 4; got 10"),
]  # fmt: skip
ALL_BAD = [(name, *row) for name in SCALES for row in BAD] + [("transformer_image", *row) for row in BAD_PATCHES]


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "message"), ALL_BAD, ids=[f"{name}: {message}" for name, *_, message in ALL_BAD]
)
def test_bad_arguments(name: str, shape, arguments, message: str) -> None:
    with pytest.raises(ValueError) as error:
        build(name, shape, **arguments)
    assert message in str(error.value)
