"""The same four architectures in flowlib and its peers, and the floor: the conditioner networks alone.

Every entry is a module with parameters(), log_prob(x) and sample(n). A peer that is not installed is left out.
"""

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowlib import Compose, Flow, Inverse
from flowlib.bases import StandardNormal
from flowlib.laws import Affine, RationalQuadratic
from flowlib.models.images import glow
from flowlib.nets import MADE, MLP
from flowlib.transforms import Autoregressive, Coupling, Partition, Planar, stacked

HIDDEN = [64, 64]
PEERS = [name for name in ("zuko", "nflows", "normflows") if importlib.util.find_spec(name)]


class Peer(nn.Module):
    """One face for all libraries."""

    def __init__(self, module: nn.Module, log_prob: Callable[[Tensor], Tensor], sample: Callable[[int], Tensor]):
        super().__init__()
        self.module, self.log_prob, self.sample = module, log_prob, sample


def flowlib_real_nvp() -> Flow:
    law = Affine()
    layers = [Coupling(law, MLP(1, 2, HIDDEN), Partition(2, flip=k % 2 == 1)) for k in range(8)]
    return Flow(stacked(layers), StandardNormal(2))


def flowlib_nsf() -> Flow:
    law = RationalQuadratic(8, 5.0)
    layers = [Coupling(law, MLP(1, law.n_params, HIDDEN), Partition(2, flip=k % 2 == 1)) for k in range(4)]
    return Flow(Inverse(stacked(layers)), StandardNormal(2))


def flowlib_maf() -> Flow:
    layers = [Autoregressive(Affine(), MADE(8, 2, HIDDEN, reverse=k % 2 == 1)) for k in range(5)]
    return Flow(Compose(layers), StandardNormal(8))


def flowlib_planar() -> Flow:
    return Flow(stacked([Planar(2) for _ in range(16)]), StandardNormal(2))


def flowlib_glow() -> Flow:
    """On images of 8 × 8: 2 scales of 4 steps, networks of 64 channels."""
    return glow((1, 8, 8), scales=2, steps=4, width=64)


def of_zuko(flow: nn.Module) -> Peer:
    return Peer(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def zuko_real_nvp() -> Peer:
    import zuko

    return of_zuko(zuko.flows.RealNVP(2, transforms=8, hidden_features=HIDDEN))


def zuko_nsf() -> Peer:
    import zuko

    layers = [
        zuko.flows.GeneralCouplingTransform(
            2,
            mask=torch.tensor([k % 2 == 0, k % 2 == 1]),
            univariate=zuko.transforms.MonotonicRQSTransform,
            shapes=[(8,), (8,), (7,)],
            hidden_features=HIDDEN,
        )
        for k in range(4)
    ]
    base = zuko.flows.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(2), torch.ones(2), buffer=True
    )
    return of_zuko(zuko.flows.Flow(layers, base))


def zuko_maf() -> Peer:
    import zuko

    return of_zuko(zuko.flows.MAF(8, transforms=5, hidden_features=HIDDEN))


def of_nflows(transforms: list) -> Peer:
    from nflows.distributions import StandardNormal as Base
    from nflows.flows import Flow as NFlow
    from nflows.transforms import CompositeTransform

    dim = 8 if len(transforms) == 10 else 2
    flow = NFlow(CompositeTransform(transforms), Base([dim]))
    return Peer(flow, flow.log_prob, flow.sample)


class ContextFree(nn.Module):
    """The task's MLP in the shape that nflows and normflows call: net(x, context)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.net = MLP(inputs, outputs, HIDDEN)
        self.hidden_features = HIDDEN[-1]  # their splines scale the network's output by its root

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.net(x)


def nflows_real_nvp() -> Peer:
    from nflows.transforms import AffineCouplingTransform

    return of_nflows([AffineCouplingTransform([k % 2, 1 - k % 2], ContextFree) for k in range(8)])


def nflows_nsf() -> Peer:
    from nflows.transforms import PiecewiseRationalQuadraticCouplingTransform as Spline

    return of_nflows(
        [Spline([k % 2, 1 - k % 2], ContextFree, num_bins=8, tails="linear", tail_bound=5.0) for k in range(4)]
    )


def nflows_maf() -> Peer:
    from nflows.transforms import MaskedAffineAutoregressiveTransform, ReversePermutation

    layers = []
    for _ in range(5):
        made = MaskedAffineAutoregressiveTransform(8, 64, num_blocks=1, use_residual_blocks=False)
        layers += [made, ReversePermutation(8)]
    return of_nflows(layers)


def of_normflows(dim: int, layers: list) -> Peer:
    import normflows

    model = normflows.NormalizingFlow(normflows.distributions.base.DiagGaussian(dim, trainable=False), layers)
    return Peer(model, model.log_prob, lambda n: model.sample(n)[0])


def normflows_real_nvp() -> Peer:
    import normflows

    layers = []
    for _ in range(8):
        layers += [
            normflows.flows.AffineCouplingBlock(normflows.nets.MLP([1, *HIDDEN, 2])),
            normflows.flows.Permute(2, mode="swap"),
        ]
    return of_normflows(2, layers)


def normflows_nsf() -> Peer:
    """Built from the library's coupling transform, with the plain MLP of the task instead of its residual net."""
    from normflows.flows.base import Flow as Layer
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling as Spline

    class Wrapped(Layer):
        def __init__(self, k: int):
            super().__init__()
            self.spline = Spline(
                torch.tensor([k % 2, 1 - k % 2]), ContextFree, num_bins=8, tails="linear", tail_bound=5.0
            )

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            x, log_det = self.spline.inverse(z)
            return x, log_det.view(-1)

        def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
            z, log_det = self.spline(x)
            return z, log_det.view(-1)

    return of_normflows(2, [Wrapped(k) for k in range(4)])


def normflows_maf() -> Peer:
    """Its layer turned round: the library's own direction is that of IAF, whose log_prob takes D passes."""
    import normflows
    from normflows.flows.base import Flow as Layer

    class Turned(Layer):
        def __init__(self):
            super().__init__()
            self.made = normflows.flows.MaskedAffineAutoregressive(8, 64, num_blocks=1, use_residual_blocks=False)

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return self.made.inverse(z)

        def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.made.forward(x)

    layers = []
    for _ in range(5):
        layers += [Turned(), normflows.flows.Permute(8, mode="swap")]
    return of_normflows(8, layers)


def normflows_planar(length: int = 16) -> nn.Module:
    import normflows

    layers = [normflows.flows.Planar((2,)) for _ in range(length)]
    model = normflows.NormalizingFlow(normflows.distributions.base.DiagGaussian(2, trainable=False), layers)
    return Peer(model, lambda x: x, lambda n: model.sample(n))


class Floor(nn.Module):
    """The conditioner networks alone, each called once on the same input: no flow trains faster than its networks."""

    def __init__(self, networks: list[nn.Module]):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        return sum(network(x).mean() for network in self.networks)


class PlanarFloor(nn.Module):
    """Sixteen hidden units in a row, z + u tanh(w·z + b), without log-determinants or constraints."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList([nn.Linear(2, 1), nn.Linear(1, 2, bias=False)]) for _ in range(16))

    def forward(self, z: Tensor) -> Tensor:
        for read, push in self.layers:
            z = z + push(torch.tanh(read(z)))
        return z


class GlowFloor(nn.Module):
    """The networks of `flowlib_glow`, each once on images of its size."""

    def __init__(self, images: int) -> None:
        super().__init__()
        couplings = [layer for layer in flowlib_glow().modules() if isinstance(layer, Coupling)]
        self.networks = nn.ModuleList(coupling.conditioner for coupling in couplings)
        self.inputs = [torch.randn(images, *coupling.partition.kept_shape) for coupling in couplings]

    def forward(self, x: Tensor) -> Tensor:
        return sum(network(kept).mean() for network, kept in zip(self.networks, self.inputs, strict=True))


def floor(task: str) -> nn.Module:
    if task == "RealNVP":
        return Floor([MLP(1, 2, HIDDEN) for _ in range(8)])
    if task == "NSF":
        return Floor([MLP(1, 23, HIDDEN) for _ in range(4)])
    if task == "MAF":
        return Floor([MADE(8, 2, HIDDEN) for _ in range(5)])
    if task == "Glow":
        return GlowFloor(128)
    return PlanarFloor()


BUILDERS: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "RealNVP": {
        "flowlib": flowlib_real_nvp,
        "zuko": zuko_real_nvp,
        "nflows": nflows_real_nvp,
        "normflows": normflows_real_nvp,
    },
    "NSF": {"flowlib": flowlib_nsf, "zuko": zuko_nsf, "nflows": nflows_nsf, "normflows": normflows_nsf},
    "MAF": {"flowlib": flowlib_maf, "zuko": zuko_maf, "nflows": nflows_maf, "normflows": normflows_maf},
    "planar": {"flowlib": flowlib_planar, "normflows": normflows_planar},
    "Glow": {"flowlib": flowlib_glow},
}
