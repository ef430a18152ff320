"""Autoregressive flows: every coordinate moves by a law whose parameters come from the coordinates before it.

Masked autoregressive flow (MAF), inverse autoregressive flow (IAF) and transformer flows are this one class.
"""

import torch
from torch import Tensor, nn

from flowlib.core import ONE_PASS, Transform, steps
from flowlib.laws import Law
from flowlib.nets.mlp import ask, describe
from flowlib.support.precision import full_precision


class Autoregressive(Transform):
    """x_i = g(z_i; m_i(x_1, ..., x_{i−1})), or any other order of the coordinates that the conditioner has.

    Map: as above, so `forward` must know x_{i−1} before it can make x_i: D steps. `inverse` knows all of x: one pass.
    That is MAF, fast for densities; `Inverse(Autoregressive(...))` is IAF, fast for samples.
    Log-determinant: Σ_i log |dg/dz_i|, because the Jacobian is triangular.
    Invertible always: z_i = g⁻¹(x_i; m_i(x_1, ..., x_{i−1})).

    Args:
        law: how a coordinate moves.
        conditioner: m, a MADE or a CausalTransformer with n_params = law.n_params.

    Paper: Papamakarios et al. (2017, arXiv 1705.07057), Masked autoregressive flow; Kingma et al. (2016, arXiv
    1606.04934), Inverse autoregressive flow.

    >>> from flowlib.laws import Affine
    >>> from flowlib.nets import MADE
    >>> x, log_det = Autoregressive(Affine(), MADE(3, 2))(torch.zeros(5, 3))
    >>> x.shape, log_det.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    mixed_precision = False  # True: m computes in bfloat16 while it trains (`training.precision`)

    def __init__(self, law: Law, conditioner: nn.Module):
        super().__init__([conditioner.dim])
        if conditioner.n_params != law.n_params:
            raise ValueError(
                f"Autoregressive: the law {type(law).__name__} takes {law.n_params} parameters a coordinate, "
                f"the conditioner gives {conditioner.n_params}. Build it with n_params=law.n_params."
            )
        self.law, self.conditioner, self.context_dim = law, conditioner, conditioner.context_dim
        self.costs = (steps(conditioner.dim), ONE_PASS)

    def describe(self) -> str:
        return f"Autoregressive: {self.law.describe()}, {describe(self.conditioner)}"

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        if context is not None:
            context = context.expand(*z.shape[:-1], context.shape[-1]).reshape(-1, context.shape[-1])  # (N, C)
        rows, columns, log_slopes = z.reshape(-1, z.shape[-1]), {}, []  # (N, D)
        state, x_i = self.conditioner.begin(rows, context), None
        for k, i in enumerate(self.conditioner.order):
            params, state = self.conditioner.step(state, k, x_i)
            x_i, log_slope = self.law(rows[:, i], params)
            columns[i] = x_i
            log_slopes.append(log_slope)
        x = torch.stack([columns[i] for i in range(len(columns))], -1)  # (N, D)
        return x.reshape(z.shape), torch.stack(log_slopes).sum(0).reshape(z.shape[:-1])

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        z, log_slopes = self.law.inverse(x, ask(self.conditioner, x, context, mixed=self.mixed_precision))
        return z, log_slopes.sum(-1)
