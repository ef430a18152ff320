"""The units of data and of a context: mean 0 and deviation 1, learned once, so that a flow need not care for metres.

They are kept and applied in float64, whatever the precision of the flow: next to an offset of 10⁹, float32 tells
nothing smaller than 64 apart.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowlib.core import Transform, Wrapper
from flowlib.support.checks import check_context, check_size


class Standard(nn.Module):
    """Mean and deviation of columns, in float64: x = scale ⊙ z + shift. Until they are learned it is the identity.

    Args:
        dim: how many columns.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("shift", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("like", torch.empty(0), persistent=False)  # has the precision of the flow
        self.learned_from: torch.dtype | None = None

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Make z have mean 0 and deviation 1 where x is these rows (..., dim). Rows with nan or inf do not count; a
        column without two different values keeps scale 1."""
        rows = x.detach().double().reshape(-1, len(self.shift))
        rows = rows[rows.isfinite().all(-1)]
        if len(rows) == 0:
            return
        deviation, same = rows.std(0, correction=0), rows.amin(0) == rows.amax(0)
        self.shift.copy_(rows.mean(0))
        self.scale.copy_(torch.where(same, 1.0, deviation))
        self.learned_from = x.dtype if x.is_floating_point() else self.like.dtype

    def standard(self, x: Tensor) -> Tensor:
        """x (..., dim) -> z, in the precision of the flow."""
        return x.to(self.like.dtype) if self.learned_from is None else ((x - self.shift) / self.scale).to(self.like)

    def original(self, z: Tensor) -> Tensor:
        """z (..., dim) -> x, in the precision of the flow, or of the data if that is higher."""
        if self.learned_from is None:
            return z
        return (self.scale * z + self.shift).to(torch.promote_types(self.learned_from, z.dtype))

    def waits(self) -> bool:
        """Whether training begins now: in training mode, with gradients, and nothing learned yet."""
        return self.learned_from is None and self.training and torch.is_grad_enabled() and not self.shift.is_meta

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Standard":
        """Moved to another device, but left in float64."""
        shift, scale = self.shift, self.scale
        super()._apply(fn, recurse)
        self.shift, self.scale = (part.to(self.like.device) for part in (shift, scale))
        return self

    def get_extra_state(self) -> Tensor:
        """The precision of the data, as an example of it; nothing where none were seen."""
        return torch.zeros(0 if self.learned_from is None else 1, dtype=self.learned_from)

    def set_extra_state(self, state: Tensor) -> None:
        self.learned_from = state.dtype if len(state) else None


class Units(Transform):
    """From standard units to those of the data: the last layer of a flow. Fixed numbers, not trained.

    Map: x = scale ⊙ z + shift. Log-determinant: Σ_i log scale_i, the same at every point. Invertible always.
    The first batch of data that passes `inverse` in training mode with gradients enabled, which is how training begins,
    sets shift to its mean and scale to its standard deviation. `inverse` takes x in any precision, computes in float64
    and gives z in the precision of the flow; x has the precision of the data that were learned from.

    Paper: LeCun et al. (1998), Efficient BackProp, section 4.3 (normalizing the inputs).

    Args:
        dim: D.

    >>> layer = Units(1)
    >>> layer.inverse(torch.tensor([[1e9], [3e9]]))
    (tensor([[-1.],
            [ 1.]]), tensor([-20.7233, -20.7233]))
    """

    takes_any_float = True

    def __init__(self, dim: int):
        super().__init__(check_size("Units", dim))
        self.standard = Standard(dim)

    def log_volume(self, points: Tensor) -> Tensor:
        """log |det ∂x/∂z| in the precision of the points, ()."""
        return self.standard.scale.log().sum().to(points.dtype)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return self.standard.original(z), self.log_volume(z).expand(self.batch_shape(z))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        if self.standard.waits():
            self.standard.learn(x)
        return self.standard.standard(x), -self.log_volume(x).expand(self.batch_shape(x))


class InContextUnits(Wrapper):
    """A transform that sees its context in standard units.

    Map: x = f(z; (context − shift) / scale). Log-determinant and inverse are those of f. The first context that passes
    `inverse` in training mode with gradients enabled sets shift and scale, column by column, to its mean and deviation.

    Paper: LeCun et al. (1998), Efficient BackProp, section 4.3 (normalizing the inputs).

    Args:
        transform: f, with context_dim = C above zero.
        standard: the units, where several layers share them; new ones if not given.

    >>> from flowlib.models import real_nvp
    >>> real_nvp(layers=2, context_dim=1).transform.layers()[0].describe()
    'Coupling: Affine(bound=3), MLP 2 → 64 → 64 → 2, halves, keeps 1, moves 1, context in standard units'
    """

    def __init__(self, transform: Transform, standard: Standard | None = None):
        super().__init__(transform, transform.event_shape, transform.data_shape)
        self.takes_any_float = transform.takes_any_float
        self.standard = standard or Standard(transform.context_dim)

    def layers(self) -> list[Transform]:
        layers = self.transform.layers()
        if layers == [self.transform]:
            return [self]
        return [InContextUnits(layer, self.standard) if layer.context_dim else layer for layer in layers]

    def describe(self) -> str:
        return f"{self.transform.describe()}, context in standard units"

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(z, self.standard.standard(check_context(context, self.context_dim)))

    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.transform.generate(z, self.standard.standard(check_context(context, self.context_dim)))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        context = check_context(context, self.context_dim)
        if self.standard.waits():
            self.standard.learn(context)
        return self.transform.inverse(x, self.standard.standard(context))
