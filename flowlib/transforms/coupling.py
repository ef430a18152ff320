"""Coupling layers: one part of a point stays, and tells a network how the other part shall move.

NICE, RealNVP and neural spline flows are this one class with three laws; vectors and images are this one class with
other partitions and other networks.
"""

from torch import Tensor, nn

from flowlib.core import Transform
from flowlib.laws import Law
from flowlib.nets.mlp import ask, describe, with_context
from flowlib.support.checks import check_context, check_count
from flowlib.support.precision import full_precision
from flowlib.transforms.partition import TwoParts


class Coupling(Transform):
    """x_moved = g(z_moved; m(z_kept)), x_kept = z_kept: an invertible law g, any network m.

    Map: as above. Log-determinant: Σ over the moved coordinates of log |dg/dz|, because the Jacobian is triangular.
    Invertible always: z_kept = x_kept is known, so m can be run again, and the law undone. m is never inverted.

    Args:
        law: how a coordinate moves: Additive (NICE), Affine (RealNVP), RationalQuadratic (neural spline flow).
        conditioner: m. For vectors (..., kept + context_dim) -> (..., moved · law.n_params), the context joined to
            z_kept. For images m(z_kept) or, with a context, m(z_kept, context): (..., kept, H, W) and
            (..., context_dim) -> (..., moved · law.n_params, H, W).
        partition: what stays and what moves: a Partition of a vector; Channels or Checkerboard of an image.
        context_dim: size of the context that m sees beside z_kept.

    Paper: Dinh et al. (2015, arXiv 1410.8516), NICE, section 3; Dinh et al. (2017, arXiv 1605.08803), RealNVP, section
    3.

    >>> import torch
    >>> from flowlib.laws import Affine
    >>> from flowlib.nets import MLP
    >>> from flowlib.transforms import Partition
    >>> x, log_det = Coupling(Affine(), MLP(1, 2), Partition(2))(torch.zeros(5, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    mixed_precision = False  # True: m computes in bfloat16 while it trains (`training.precision`)

    def __init__(self, law: Law, conditioner: nn.Module, partition: TwoParts, context_dim: int = 0):
        super().__init__(partition.shape)
        self.law, self.conditioner, self.partition = law, conditioner, partition
        self.context_dim = check_count("Coupling", "context_dim", context_dim, 0)

    def describe(self) -> str:
        return f"Coupling: {self.law.describe()}, {describe(self.conditioner)}, {self.partition.extra_repr()}"

    def params(self, kept: Tensor, context: Tensor | None) -> Tensor:
        """m(kept), (..., *moved_shape, n_params)."""
        if self.event_dims == 1:
            params = ask(self.conditioner, with_context(kept, context, self.context_dim), mixed=self.mixed_precision)
        elif check_context(context, self.context_dim) is None:
            params = ask(self.conditioner, kept, mixed=self.mixed_precision)
        else:
            params = ask(self.conditioner, kept, context, mixed=self.mixed_precision)
        return self.partition.params(params, self.law.n_params)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        kept, moved = self.partition.split(z)
        moved, log_slopes = self.law(moved, self.params(kept, context))
        return self.partition.join(kept, moved), log_slopes.sum(self.axes)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        kept, moved = self.partition.split(x)
        moved, log_slopes = self.law.inverse(moved, self.params(kept, context))
        return self.partition.join(kept, moved), log_slopes.sum(self.axes)
