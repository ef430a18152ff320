"""Models that were stored before names and a sign changed load to the same model."""

from pathlib import Path

import pytest
import torch

from flowlib import load
from flowlib.laws import Affine
from flowlib.models import format_1
from flowlib.models.checkpoint import read_card, save
from flowlib.models.pretrained import build
from flowlib.transforms import Autoregressive, Coupling

CARDS = {
    "glow": {"model": "glow", "arguments": {"scales": 2, "steps": 2, "width": 4}},
    "real_nvp": {"model": "real_nvp", "arguments": {"scales": 2, "couplings": 2, "width": 4, "blocks": 1}},
    "nice": {"model": "nice", "arguments": {"scales": 1, "couplings": 2, "width": 4, "blocks": 0}},
    "transformer": {"model": "transformer", "arguments": {"layers": 2, "width": 8, "heads": 2, "depth": 1}},
    "noise": {"model": "glow", "arguments": {"scales": 1, "steps": 1, "width": 4}, "dequantize": "variational"},
    "classes": {"model": "glow", "arguments": {"scales": 1, "steps": 1, "width": 4}, "classes": 10},
}


def as_stored_then(model) -> dict[str, torch.Tensor]:
    """The tensors as format 1 had them."""
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    for prefix, layer in model.named_modules():
        if isinstance(layer, Coupling | Autoregressive) and isinstance(layer.law, Affine):
            for name in format_1.outputs(layer.conditioner):
                tensors[f"{prefix}.conditioner.{name}"][::2] *= -1
    stacks = [name for name, part in model.named_modules() if type(part).__name__ == "CouplingStack"]
    for stack in stacks:
        tensors = {key.replace(f"{stack}.transforms.", f"{stack}.couplings."): value for key, value in tensors.items()}
    return {key.replace(".scales.", ".levels."): value for key, value in tensors.items()}


@pytest.mark.parametrize("name", CARDS)
def test_a_model_of_format_1_is_the_same_model(name: str, tmp_path: Path, monkeypatch) -> None:
    card = {"shape": [1, 8, 8], "levels": 17, "classes": 0, "dequantize": "uniform", "alpha": 0.05, **CARDS[name]}
    torch.manual_seed(0)
    model = build(card).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    arguments = {("levels" if key == "scales" else key): value for key, value in card["arguments"].items()}
    monkeypatch.setattr("flowlib.models.checkpoint.FORMAT", 1)
    save(tmp_path, "model", as_stored_then(model), {**card, "arguments": arguments})
    assert read_card(tmp_path, "model")["format"] == 1
    loaded = load(tmp_path)
    assert loaded.card["arguments"] == card["arguments"]
    for (key, expected), value in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(value, expected), key
