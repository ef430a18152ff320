"""A flow that answers for any observation which parameters may have led to it: neural posterior estimation.

Trained on pairs (θ, x) of a prior and a simulator by maximum likelihood of θ given x,

    minimise   −E_{θ ~ p(θ), x ~ p(x | θ)} log q(θ | x)  =  E_x [ KL(p(θ | x) ‖ q(θ | x)) ] + constant,

so that no likelihood is ever asked for: the posterior is what is left when the loss is least. One network serves every
observation (the inference is amortized).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.bases import StandardNormal
from flowlib.core import Base, Flow, Inverse
from flowlib.laws import RationalQuadratic
from flowlib.models.saved import recipe
from flowlib.models.vectors import HIDDEN, couplings
from flowlib.support.checks import check_count
from flowlib.transforms import ElementwiseAffine, InContextUnits, Sigmoid, stacked


@recipe
def posterior_flow(
    low: Sequence[float],
    high: Sequence[float],
    context_dim: int,
    layers: int = 6,
    hidden: Sequence[int] = HIDDEN,
    bins: int = 8,
    base: Base | None = None,
) -> Flow:
    """q(θ | x) on the box of the prior: spline couplings, a sigmoid and the sides of the box. Nothing leaks out of it.

    For `fit(flow, theta, context=x)`, with pairs of a `Simulator`; the observations are brought to standard units.

    Args:
        low, high: the box of the prior, D >= 2 numbers each.
        context_dim: C, how many numbers an observation has.
        layers: K; two of them move every coordinate once.
        hidden: sizes of the hidden layers of each network.
        bins: pieces of each spline.
        base: p_Z, a standard normal if not given.

    Paper: Papamakarios and Murray (2016), arXiv 1605.06376; Greenberg et al. (2019), arXiv 1905.07488, equation 3;
    the sigmoid onto the prior's box as in Deistler et al. (2022), arXiv 2210.04815, section 2 (where leakage is told).

    >>> flow = posterior_flow([-1.0, -1.0], [1.0, 1.0], context_dim=2, layers=2)
    >>> flow.sample(5, context=torch.zeros(2)).shape
    torch.Size([5, 2])
    """
    check_count("posterior_flow", "context_dim", context_dim)
    low, high = (torch.as_tensor(side, dtype=torch.float32) for side in (low, high))
    if low.dim() != 1 or low.shape != high.shape or not (low < high).all():
        raise ValueError(
            f"posterior_flow: low and high are D numbers each, every low below its high; got {low.tolist()} and "
            f"{high.tolist()}."
        )
    dim = len(low)
    bent = Inverse(stacked(couplings(RationalQuadratic(bins, 5.0), dim, layers, hidden, context_dim)))
    box = ElementwiseAffine(dim, shift=low, scale=high - low).requires_grad_(False)
    return Flow(InContextUnits(stacked([bent, Sigmoid(dim), box])), base or StandardNormal(dim))


class Ensemble(nn.Module):
    """Several flows as one density, their equal mixture: p(x) = (1 / K) Σ_k p_k(x).

    Each alone is too sure of itself where the pairs were few; where they disagree, the mixture is wider.

    Args:
        flows: K of them, of the same event shape and context.

    Paper: Hermans et al. (2022), arXiv 2110.06581, section 4.2 (ensembles and coverage).

    >>> from flowlib.models import real_nvp
    >>> pair = Ensemble([real_nvp(layers=2), real_nvp(layers=2)])
    >>> pair.log_prob(pair.sample(5)).shape
    torch.Size([5])
    """

    def __init__(self, flows: Sequence[Flow]):
        super().__init__()
        self.flows = nn.ModuleList(flows)
        kinds = {(flow.data_shape, flow.context_dim) for flow in flows}
        if len(kinds) != 1:
            raise ValueError(
                "Ensemble expects one or more flows of the same data shape and context size; got "
                f"{[(tuple(shape), context) for shape, context in kinds]}."
            )

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x | context) in nats: (..., D) -> (...)."""
        return torch.stack([flow.log_prob(x, context) for flow in self.flows]).logsumexp(0) - math.log(len(self.flows))

    def sample(self, n: int | Sequence[int], context: Tensor | None = None) -> Tensor:
        """n points as `Flow.sample` gives them, from all flows equally many as far as n allows, in random order."""
        n, *contexts = n if isinstance(n, Sequence) else [n]
        shares = [(n + k) // len(self.flows) for k in range(len(self.flows))]
        parts = [flow.sample((share, *contexts), context) for flow, share in zip(self.flows, shares, strict=True)]
        return torch.cat(parts)[torch.randperm(n)]
