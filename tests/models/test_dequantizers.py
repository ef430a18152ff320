"""Noise that looks at the image: a small flow, proved, and models with the dense one of before."""

import torch

from flowlib import Given, load, prove
from flowlib.models.checkpoint import save
from flowlib.models.dequantizers import pixel_noise
from flowlib.models.pretrained import NOISE, build


def moved(model: torch.nn.Module) -> torch.nn.Module:
    """N(0, 0.1²) added to every parameter, in float64."""
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def test_noise_is_a_flow_that_sees_the_image() -> None:
    torch.manual_seed(0)
    flow = moved(pixel_noise((1, 4, 4), couplings=2, width=4))
    one, other = torch.randn(2, 16, dtype=torch.float64)
    proof = prove(Given(flow.transform, one))
    assert proof.holds, proof
    z = torch.randn(16, dtype=torch.float64)
    assert not torch.allclose(flow.transform(z, one)[0], flow.transform(z, other)[0])
    context = torch.randn(3, 16, dtype=torch.float64)
    v, log_q = flow.sample_with_log_prob(3, context)
    assert v.shape == (3, 1, 4, 4) and torch.allclose(flow.log_prob(v, context), log_q)


def test_its_size_is_that_of_no_image() -> None:
    small, large = (sum(p.numel() for p in pixel_noise((1, side, side)).parameters()) for side in (8, 28))
    assert small == large == 33_936


def test_a_card_without_noise_is_of_a_model_with_dense_noise(tmp_path) -> None:
    card = {"shape": [1, 8, 8], "levels": 17, "classes": 0, "dequantize": "variational", "alpha": 0.05, "model": "glow"}
    card |= {"arguments": {"scales": 1, "steps": 1, "width": 4}}
    dense, small = build(card), build({**card, "noise": NOISE})
    assert dense.state_dict().keys() != small.state_dict().keys()
    for model in (dense, small):
        save(tmp_path, "model", model.state_dict(), model.card)
        assert load(tmp_path).state_dict().keys() == model.state_dict().keys()
