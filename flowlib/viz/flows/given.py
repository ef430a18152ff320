"""A conditional flow at one value of its condition: a flow like any other, so that every picture can draw it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlib.core import Flow, Transform


class Given(Transform):
    """A transform with its context fixed, (C,)."""

    def __init__(self, transform: Transform, context: Tensor) -> None:
        super().__init__(transform.event_shape)
        self.transform = transform
        self.register_buffer("context", context, persistent=False)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(z, self.context)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(x, self.context)


def given(flow: Flow, context: Tensor | Sequence[float] | float) -> Flow:
    """p(x | context) as a Flow: `explore(lambda c: given(flow, c), c=Slider(0.0, -1, 1))` moves the condition.

    Args:
        flow: a flow with context_dim = C.
        context: the condition: a number where C = 1, a list or tensor (C,), for labels a row of `one_hot`.

    >>> from flowlib.models import real_nvp
    >>> given(real_nvp(layers=2, context_dim=1), 0.5).log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    """
    if not isinstance(flow, Flow):
        raise TypeError(f"given expects a Flow, got a {type(flow).__name__}")
    return Flow(Given(flow.transform, torch.as_tensor(context, dtype=torch.get_default_dtype()).reshape(-1)), flow.base)
