"""Coupling layers: one part of a point stays, and tells a network how the other part shall move.

NICE, RealNVP and neural spline flows are this one class with three laws; vectors and images are this one class with
other partitions and other networks.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from flowlib.core import Transform
from flowlib.laws import Law
from flowlib.nets.mlp import describe, with_context
from flowlib.support.checks import check_context, check_count
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

    Paper: Dinh et al. (2015), NICE, section 3; Dinh et al. (2017), RealNVP, section 3.

    >>> from flowlib.laws import Affine
    >>> from flowlib.nets import MLP
    >>> from flowlib.transforms import Partition
    >>> x, log_det = Coupling(Affine(), MLP(1, 2), Partition(2))(torch.zeros(5, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, law: Law, conditioner: nn.Module, partition: TwoParts, context_dim: int = 0):
        super().__init__(partition.shape)
        self.law, self.conditioner, self.partition = law, conditioner, partition
        self.context_dim = check_count("Coupling", "context_dim", context_dim, 0)

    def describe(self) -> str:
        return f"Coupling: {self.law.describe()}, {describe(self.conditioner)}, {self.partition.extra_repr()}"

    def params(self, kept: Tensor, context: Tensor | None) -> Tensor:
        """m(kept), (..., *moved_shape, n_params)."""
        if self.event_dims == 1:
            told = self.conditioner(with_context(kept, context, self.context_dim))
        elif check_context(context, self.context_dim) is None:
            told = self.conditioner(kept)
        else:
            told = self.conditioner(kept, context)
        return self.partition.params(told, self.law.n_params)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        kept, moved = self.partition.split(z)
        moved, log_slopes = self.law(moved, self.params(kept, context))
        return self.partition.join(kept, moved), log_slopes.sum(self.axes)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        kept, moved = self.partition.split(x)
        moved, log_slopes = self.law.inverse(moved, self.params(kept, context))
        return self.partition.join(kept, moved), log_slopes.sum(self.axes)


class CouplingStack(Transform):
    """K couplings, one after the other, whose two parts take turns: what stays in one moves in the next.

    Map: f = f_K ∘ ... ∘ f_1, in f_1 the second part of the partition moves, in f_2 the first, and so on.
    Log-determinant: Σ over the layers and their moved coordinates. Invertible as `Coupling` is, layer by layer.
    The point is cut once and joined once, and all log-slopes are added at the end, so a stack costs fewer operations
    than a `Compose` of the Couplings that `layers()` returns.

    Args:
        law: how a coordinate moves.
        conditioners: m_1, ..., m_K, each as a Coupling of its turn takes it.
        partition: the two parts.
        context_dim: size of the context that each m sees.

    Paper: Dinh et al. (2017), RealNVP, figure 4.

    >>> from flowlib.laws import Affine
    >>> from flowlib.nets import MLP
    >>> from flowlib.transforms import Partition
    >>> x, log_det = CouplingStack(Affine(), [MLP(1, 2) for _ in range(8)], Partition(2))(torch.zeros(5, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, law: Law, conditioners: Iterable[nn.Module], partition: TwoParts, context_dim: int = 0):
        super().__init__(partition.shape)
        self.law, self.partition, self.context_dim = law, partition, context_dim
        turns = [partition, partition.flipped()]
        self.couplings = nn.ModuleList(
            Coupling(law, net, turns[k % 2], context_dim) for k, net in enumerate(conditioners)
        )
        if not self.couplings:
            raise ValueError("CouplingStack: conditioners is empty; expected one network for each coupling.")

    def layers(self) -> list[Transform]:
        return list(self.couplings)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(z, context, self.couplings)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(x, context, reversed(self.couplings), inverse=True)

    def _run(
        self, value: Tensor, context: Tensor | None, couplings: Iterable[Coupling], inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        self.check_input(value)
        couplings, law, log_slopes = list(couplings), self.law.inverse if inverse else self.law, []
        moved, kept = couplings[0].partition.split(value)  # they change places at once
        for coupling in couplings:
            kept, moved = moved, kept
            moved, log_slope = law(moved, coupling.params(kept, context))
            log_slopes.append(log_slope)
        return couplings[-1].partition.join(kept, moved), torch.cat(log_slopes, self.axes[0]).sum(self.axes)
