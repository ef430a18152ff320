"""The way of an image through a multi-scale flow: what noise looks like after each layer."""

from collections.abc import Sequence

from torch import Tensor

from flowlib.core import Flow, Transform

MOVES_ONLY = "Squeeze"  # the kind of layer that gives numbers other places, and no other values


def image_path(flow: Flow, z: Tensor) -> list[tuple[str, Tensor]]:
    """What (n, D) noise looks like after 0, 1, ..., K layers of an image flow: [(the layer in words, (n, C, H, W))].

    A state in the middle of the way has other shapes than an image, and some latents still wait for their turn. It is
    shown as the image that the rest of the way would give if it only moved numbers: squeezes and joins, no more. So
    every picture holds all D numbers, the first one the noise itself. A run of couplings counts as one layer, and so
    does a step of Glow.

    >>> import torch
    >>> from flowlib.models import glow
    >>> [name for name, _ in image_path(glow((1, 4, 4), scales=1, steps=2, width=4), torch.randn(3, 16))]
    ['noise', 'at 2 × 2, step 1', 'at 2 × 2, step 2']
    """
    before, scaled, after = parts_of(flow.transform)
    for layer in before:
        z, _ = layer(z)
    path, x, size, count = [("noise", moved_only(z, scaled))], z, 0, 0
    steps = steps_of(scaled)
    for k, step in enumerate(steps):
        for layer in step:
            x, _ = layer(x)
        if step[0].kind == MOVES_ONLY:
            continue
        shape = step[0].acts_on
        count = count + 1 if shape.numel() == size else 1
        size = shape.numel()
        rest = [layer for later in steps[k + 1 :] for layer in later]
        path.append((f"at {' × '.join(map(str, shape[-2:]))}, step {count}", moved_only(x, rest)))
    for layer in after:
        x, _ = layer(x)
        path.append((layer.kind, x))
    return path


def parts_of(transform: Transform) -> tuple[list[Transform], list[Transform], list[Transform]]:
    """The layers before those that work at several scales, these, and the layers after them."""
    layers = transform.layers()
    scaled = [k for k, layer in enumerate(layers) if layer.acts_on != layer.event_shape]
    if not scaled:
        raise ValueError("image_path: this flow has no MultiScale; expected one such as glow((1, 8, 8)).")
    first, end = scaled[0], scaled[-1] + 1
    return layers[:first], layers[first:end], layers[end:]


def steps_of(layers: Sequence[Transform]) -> list[list[Transform]]:
    """Layers as steps: a run of equal ones, or a group that comes again. A squeeze ends a step, and so does a join."""
    steps: list[list[Transform]] = []
    for layer in layers:
        if steps and goes_on(steps[-1], layer):
            steps[-1].append(layer)
        else:
            steps.append([layer])
    return steps


def goes_on(step: Sequence[Transform], layer: Transform) -> bool:
    """Whether a layer belongs to the step before it."""
    first, last = step[0], step[-1]
    begins_again = layer.kind == first.kind != last.kind
    return last.kind != MOVES_ONLY and layer.acts_on.numel() == first.acts_on.numel() and not begins_again


def moved_only(x: Tensor, rest: Sequence[Transform]) -> Tensor:
    """x (n, D) as the image (n, C, H, W) that the rest of the layers would give if all values stayed as they are."""
    for layer in rest:
        x = layer(x)[0] if layer.kind == MOVES_ONLY else x.reshape(len(x), *layer.data_shape)
    return x
