"""The single layers of a flow, for pictures that show one after the other."""

from __future__ import annotations

from flowlib.core import Compose, Inverse, Transform
from flowlib.transforms import CouplingStack, PlanarStack


def layers_of(transform: Transform) -> list[Transform]:
    """The layers from noise to data, one after the other, however they are nested."""
    if isinstance(transform, Compose):
        return [layer for part in transform.transforms for layer in layers_of(part)]
    if isinstance(transform, PlanarStack | CouplingStack):
        return layers_of(transform.layers())
    if isinstance(transform, Inverse):
        parts = layers_of(transform.transform)
        return [Inverse(layer) for layer in reversed(parts)] if len(parts) > 1 else [transform]
    return [transform]
