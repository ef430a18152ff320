"""The residual row of `make bench`: eight blocks x + g(x) in the plane, each g an MLP 2 → 64 → 64 → 2 whose Lipschitz
constant is bounded, in flowlib, normflows and FrEIA.

In "residual" the log-determinant is exact: flowlib's from two tangents, normflows' from two rows of the Jacobian
(`brute_force`). FrEIA has a truncated series with Hutchinson's estimate alone, and takes its default of 20 terms and
one probe. In "residual roulette" it is what normflows and Chen et al. (2019) do by default: two terms and a geometric
number more, one probe, the gradient that saves memory; FrEIA takes 4 terms, as many as normflows on average. FrEIA's
log-determinant has no gradient in the weights: its step does less than a training step has to. Its weights are
rescaled before every step, as its documentation asks for.
"""

import functools
import importlib.util
from collections.abc import Callable

from torch import Tensor, nn

from flowlib import Flow, Inverse
from flowlib.bases import StandardNormal
from flowlib.nets import LipschitzMLP
from flowlib.transforms import Exact, Residual, Roulette, stacked

HIDDEN, BLOCKS, COEFFICIENT = [64, 64], 8, 0.9
WAYS = {"residual": Exact(), "residual roulette": Roulette()}


class Step(nn.Module):
    """Parameters and log_prob, what a training step needs."""

    def __init__(self, module: nn.Module, log_prob: Callable[[Tensor], Tensor]):
        super().__init__()
        self.module, self.log_prob = module, log_prob


def flowlib_residual(task: str) -> Flow:
    blocks = [Residual(LipschitzMLP(2, HIDDEN, COEFFICIENT), WAYS[task]) for _ in range(BLOCKS)]
    return Flow(Inverse(stacked(blocks)), StandardNormal(2))


def normflows_residual(task: str) -> Step:
    import normflows

    share = COEFFICIENT ** (1.0 / 3.0)  # its constant is that of one layer
    layers = [
        normflows.flows.Residual(
            normflows.nets.LipschitzMLP([2, *HIDDEN, 2], lipschitz_const=share), brute_force=task == "residual"
        )
        for _ in range(BLOCKS)
    ]
    model = normflows.NormalizingFlow(normflows.distributions.base.DiagGaussian(2, trainable=False), layers)
    return Step(model, model.log_prob)


def freia_residual(task: str) -> Step:
    import FrEIA.modules

    share, terms = COEFFICIENT ** (1.0 / 3.0), 20 if task == "residual" else 4
    layers = [
        FrEIA.modules.IResNetLayer(
            [(2,)], internal_size=64, n_internal_layers=1, jacobian_iterations=terms, spectral_norm_max=share
        )
        for _ in range(BLOCKS)
    ]
    base = StandardNormal(2)

    def log_prob(x: Tensor) -> Tensor:
        total = 0.0
        for layer in layers:
            layer.lipschitz_correction()
            (x,), log_det = layer([x.clone()])
            total = total + log_det
        return base.log_prob(x) + total

    return Step(nn.ModuleList(layers), log_prob)


class ResidualFloor(nn.Module):
    """The networks alone, without bounds and log-determinants: x + g(x) eight times."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
            for _ in range(BLOCKS)
        )

    def forward(self, x: Tensor) -> Tensor:
        for network in self.networks:
            x = x + network(x)
        return x.square().mean()


PEERS = {"flowlib": flowlib_residual, "normflows": normflows_residual, "FrEIA": freia_residual}
HERE = {name: build for name, build in PEERS.items() if importlib.util.find_spec(name)}  # of those that are installed
BUILDERS: dict[str, dict[str, Callable[[], nn.Module]]] = {
    task: {name: functools.partial(build, task) for name, build in HERE.items()} for task in WAYS
}
