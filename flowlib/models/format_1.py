"""Cards and tensors of format 1, as flowlib 0.1 wrote them first, in the words of format 2.

Then the scales of an architecture were called levels, stacks of couplings and what a network makes of a context had
other names, and an affine law had the opposite sign: x = exp(−s) z + t, so the parameters of s change theirs.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from flowlib.laws import Affine
from flowlib.transforms import Autoregressive, Coupling

RENAMED = ((".levels.", ".scales."), (".couplings.", ".transforms."), (".told.", ".context."))


def card_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """The same card with the names of today."""
    arguments = {"scales" if name == "levels" else name: value for name, value in card["arguments"].items()}
    return {**card, "format": 2, "arguments": arguments}


def tensors_of(tensors: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors for `model`, which was built from the card: today's names, and the sign of affine laws."""
    found = {}
    for name, value in tensors.items():
        for old, new in RENAMED:
            name = name.replace(old, new)
        found[name] = value
    for prefix, layer in model.named_modules():
        if isinstance(layer, Coupling | Autoregressive) and isinstance(layer.law, Affine):
            for name in outputs(layer.conditioner):
                key = f"{prefix}.conditioner.{name}"
                if key in found:
                    found[key] = negated(found[key])
    return found


def outputs(net: nn.Module) -> list[str]:
    """The names of weight and bias of the layer that puts out the parameters: the last one with weights."""
    last = [name for name, part in net.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)][-1]
    return [f"{last}.weight", f"{last}.bias"]


def negated(value: Tensor) -> Tensor:
    """The rows of θ_s, every other one, with their sign changed; those of the shift stay."""
    value = value.clone()
    value[::2] = -value[::2]
    return value
