"""The registry: every public transform, in the sizes that trip. A new family is one line here.

A `Case` says how to build the transform, which points z it may be given, and, where a check cannot apply, why.
"""

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

import torch

from flowlib import Compose, Given, Inverse
from flowlib.laws import Additive, Affine, Law, RationalQuadratic
from flowlib.models import real_nvp
from flowlib.models.anomaly import GaussianPixels, MapFlow
from flowlib.nets import MADE, MLP, CausalTransformer, LipschitzConvNet, LipschitzMLP, VelocityMLP
from flowlib.nets.convolutional import ConvNet, GlowNet
from flowlib.nets.patches import PatchTransformer
from flowlib.transforms import (
    ActNorm,
    Amortized,
    Autoregressive,
    CausalFilter,
    Channels,
    Checkerboard,
    Continuous,
    Conv1x1,
    Coupling,
    DensityAscent,
    ElementwiseAffine,
    Flatten,
    Gaussianization,
    GlowStep,
    InContextUnits,
    LeakyReLU,
    Linear,
    Logit,
    Marginals,
    MultiScale,
    Partition,
    Patches,
    Permutation,
    PerPixel,
    Planar,
    PowerSeries,
    Radial,
    Residual,
    Rotation,
    Sigmoid,
    Squeeze,
    Sylvester,
    Unflatten,
    Units,
    Whitening,
)
from flowlib.transforms.multiscale import OnFirst
from flowlib.transforms.partition import TwoParts
from flowlib.transforms.stacks import CouplingStack, GlowLevel, PlanarStack, ResidualStack
from tests.battery.case import Case, within

# Sigmoid rounds to 0 or 1 beyond |z| = 17 in float32, and what is rounded away cannot come back (see its docstring).
sigmoid_range, logit_range = within(-8.0, 8.0), within(0.001, 0.999)
bounded = {"points": sigmoid_range, "whole_space": False}
opened = {"points": logit_range, "whole_space": False}
no_digit = "a 50 × 50 triangle of such entries has a condition number beyond 1e16: no digit survives"
singular = {"wild parameters": no_digit, "wild parameters in single precision": no_digit}
two_wild_steps = {
    "wild parameters in single precision": "two such steps keep no digit, together or layer by layer; one keeps enough"
}
steep = (
    "a random network with such weights has slopes in the hundreds: neighbours part by e^100 while t goes from 0 to 1"
)
too_wild = {
    "wild parameters": steep,
    "wild parameters in single precision": steep,
    "compiles whole": "128 passes of a network take minutes to compile: tests/transforms/test_continuous.py compiles 4",
}
gentle = {"move": 0.05, "not_for": too_wild}
estimated = "an estimate with four probes; its mean is compared in tests/transforms/test_continuous.py"

FLAT = "where a network is loud, a spline has slopes down to 1e-9: rounding hides z there"
ROW = "one network after the other multiplies a rounding error by its slope"
MIX = "triangles of wild entries with the exponentials of others on the diagonal have condition numbers of 1e4 and more"
SUM = "a small coordinate holds the rounding errors of fifty large ones"
# check -> reason -> names of the cases: f⁻¹(f(z)) misses z there by more than a tenth of the bound, or nearly so
ILL_CONDITIONED: dict[str, dict[str, list[str]]] = {
    "tails": {FLAT: ["glow-level-spline"]},
    "tails in single precision": {
        FLAT: ["coupling-spline-2-halves", "coupling-spline-5*", "glow-level-spline"],
        ROW: [
            *("made-affine-5", "image-stack-channels", "glow-level-affine", "glow-level-one-step"),
            *("given-glow-step", "given-real-nvp"),
        ],
        SUM: ["linear-*-50"],
    },
    "wild parameters": {
        FLAT: [
            *("coupling-spline-5*", "coupling-stack-spline-*", "image-coupling-spline-*", "glow-level-spline"),
            *(
                "gaussianization-5",
                "made-spline-*",
                "transformer-spline-5",
                "patch-transformer-spline-*",
                "given-coupling-spline",
            ),
        ],
        ROW: [
            *("coupling-stack-affine-*", "made-additive-5", "made-additive-20", "made-affine-5", "made-affine-20"),
            *("image-stack-channels", "multiscale-1x4x4", "given-real-nvp"),
        ],
        MIX: [
            "linear-lu-5",
            "linear-svd-50",
            "glow-*",
            "multiscale-one-level",
            "multiscale-three-*",
            "given-glow-step",
        ],
    },
    "wild parameters in single precision": {
        FLAT: ["*spline*", "gaussianization-*"],
        ROW: [
            *("coupling-stack-affine-*", "made-affine-[25]", "made-affine-20", "made-reverse-5", "image-stack-*"),
            "map-flow*",
            *("patch-transformer-affine-[13]x*", "patch-transformer-reverse-*", "multiscale-1x4x4"),
            *("given-coupling-stack", "given-real-nvp", "given-made-affine", "given-patch-transformer"),
        ],
        MIX: ["linear-lu-5", "linear-qr-5", "glow-*", "multiscale-three-*", "given-glow-step"],
    },
}


def ill_conditioned(name: str) -> dict[str, str]:
    """Check -> reason, for the case of this name."""
    return {
        check: reason
        for check, reasons in ILL_CONDITIONED.items()
        for reason, patterns in reasons.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


CONTEXT = [0.5, -1.0]
LAWS: dict[str, Callable[[], Law]] = {
    "additive": Additive,
    "affine": Affine,
    "spline": lambda: RationalQuadratic(bins=5, bound=3.0),
}
PARTITIONS = [
    (2, "halves", False),
    (2, "alternate", True),
    (5, "alternate", False),
    (5, "halves", True),
    (50, "halves", False),
]


def coupling(law: Law, dim: int, kind: str = "halves", flip: bool = False, context_dim: int = 0) -> Coupling:
    partition = Partition(dim, kind, flip)
    net = MLP(partition.kept + context_dim, partition.moved * law.n_params, [16])
    return Coupling(law, net, partition, context_dim)


def image_coupling(law: Law, partition: TwoParts, context_dim: int = 0) -> Coupling:
    net = ConvNet(partition.kept, partition.moved * law.n_params, 6, 1, context_dim)
    return Coupling(law, net, partition, context_dim)


def image_stack(law: Law, partition: TwoParts, length: int) -> CouplingStack:
    turns = [partition.flipped() if k % 2 else partition for k in range(length)]
    return CouplingStack([Coupling(law, GlowNet(turn.kept, turn.moved * law.n_params, 6), turn) for turn in turns])


def glow_level(law: Law, shape: tuple[int, int, int], steps: int) -> GlowLevel:
    """A level of Glow whose ActNorms have seen their first batch."""
    squeeze, half = Squeeze(shape), 2 * shape[0]
    nets = [GlowNet(half, half * law.n_params, 6) for _ in range(steps)]
    level = GlowLevel([*(GlowStep(squeeze.event_shape, law, net) for net in nets), squeeze])
    level.inverse(3.0 * torch.randn(50, *shape) + 1.0)
    return level


def multiscale() -> MultiScale:
    """Two levels: a level on the squeezed image, and a last one that keeps the resolution."""
    second = image_stack(Affine(), Checkerboard((2, 2, 2)), 2)
    return MultiScale((1, 4, 4), [image_coupling(Affine(), Channels((4, 2, 2))), second])


def coupling_stack(law: Law, dim: int, length: int, kind: str = "halves", context_dim: int = 0) -> CouplingStack:
    return CouplingStack([coupling(law, dim, kind, k % 2 == 1, context_dim) for k in range(length)])


def autoregressive(law: Law, net: type, dim: int, **sizes: int) -> Autoregressive:
    return Autoregressive(law, net(dim, law.n_params, **sizes))


def patch_autoregressive(law: Law, tokens: int, size: int, **sizes: int) -> Autoregressive:
    return Autoregressive(
        law, PatchTransformer(tokens, size, law.n_params, width=8, heads=2, depth=1, hidden=[8], **sizes)
    )


def continuous(dim: int, hidden: int = 2, context_dim: int = 0, probes: int = 0, steps: int = 32) -> Continuous:
    """A gentle field; in eval mode, where the probes stay the same."""
    return Continuous(VelocityMLP(dim, [8] * hidden, context_dim), steps, probes=probes).eval()


def standardized(dim: int | tuple[int, ...]) -> ActNorm:
    """An ActNorm that has seen its first batch."""
    layer = ActNorm(dim)
    layer.inverse(3.0 * torch.randn(50, *layer.event_shape) + 1.0)
    return layer


def units(dim: int) -> Units:
    """Units that were learned from data far away and unlike in size."""
    layer = Units(dim)
    layer.inverse(10.0 ** torch.arange(dim) * torch.randn(50, dim) + 7.0)
    return layer


def in_context_units() -> InContextUnits:
    """A coupling that has seen contexts."""
    layer = InContextUnits(coupling(Affine(), 3, context_dim=2))
    layer.inverse(torch.randn(50, 3), 3.0 * torch.randn(50, 2) + 1.0)
    return layer


def gaussian_pixels(shape: tuple[int, int, int]) -> GaussianPixels:
    """A layer that has seen maps whose pixels differ."""
    layer = GaussianPixels(shape)
    layer.learn(torch.randn(30, *shape) * (0.5 + torch.rand(shape)) + torch.randn(shape))
    return layer


FAMILIES = [
    Case("affine-1", lambda: ElementwiseAffine(1), 1),
    Case("affine-3", lambda: ElementwiseAffine(3, shift=[1.0, -2.0, 0.0], scale=[0.1, 1.0, 5.0]), 3),
    Case("affine-50", lambda: ElementwiseAffine(50), 50),
    Case("sigmoid-1", lambda: Sigmoid(1), 1, **bounded),
    Case("sigmoid-3", lambda: Sigmoid(3), 3, **bounded),
    Case("logit-1", lambda: Logit(1), 1, **opened),
    Case("logit-3", lambda: Logit(3), 3, **opened),
    Case("leaky-relu-1", lambda: LeakyReLU(1, slope=0.2), 1),
    Case("leaky-relu-3", lambda: LeakyReLU(3, slope=3.0), 3),
    *[
        Case(
            f"linear-{p}-{d}",
            lambda p=p, d=d: Linear(d, p),
            d,
            move=0.05 if d == 50 else 0.2,
            not_for=singular if d == 50 and p != "svd" else {},
        )
        for p in ("lu", "svd", "qr")
        for d in (1, 2, 5, 50)
    ],
    Case("linear-lu-given", lambda: Linear(2, "lu", [[0.0, 2.0], [-1.0, 1.0]], [1.0, 2.0]), 2),
    Case("rotation-1", lambda: Rotation(1), 1),
    Case("rotation-2", lambda: Rotation(2), 2),
    Case("rotation-5", lambda: Rotation(5), 5),
    Case("permutation-1", lambda: Permutation([0]), 1),
    Case("permutation-5", lambda: Permutation([3, 0, 4, 1, 2]), 5),
    *[Case(f"planar-{d}", lambda d=d: Planar(d), d) for d in (1, 2, 5, 50)],
    *[Case(f"planar-stack-{d}", lambda d=d: PlanarStack([Planar(d) for _ in range(4)]), d) for d in (1, 2, 5)],
    *[Case(f"radial-{d}", lambda d=d: Radial(d), d) for d in (1, 2, 5, 50)],
    *[Case(f"sylvester-{d}-{m}", lambda d=d, m=m: Sylvester(d, m), d) for d, m in ((1, 1), (2, 2), (5, 3), (50, 4))],
    *[
        Case(f"density-ascent-{kind}-{d}", lambda d=d, k=kind: DensityAscent(d, k), d)
        for kind in ("radial", "ridge")
        for d in (1, 2, 5)
    ],
    *[Case(f"marginals-{law}", lambda m=make: Marginals(m(), 3), 3) for law, make in LAWS.items()],
    *[Case(f"gaussianization-{d}", lambda d=d: Gaussianization(d, bins=5, bound=3.0), d) for d in (1, 2, 5)],
    Case("whitening-3", lambda: Whitening(3), 3),
    *[Case(f"residual-{d}", lambda d=d: Residual(LipschitzMLP(d, [16, 16])), d) for d in (1, 2, 5)],
    Case("residual-stack-2", lambda: ResidualStack([Residual(LipschitzMLP(2, [8, 8])) for _ in range(3)]), 2),
    Case("residual-12", lambda: Residual(LipschitzMLP(12, [16])).eval(), 12),
    Case("residual-series-3", lambda: Residual(LipschitzMLP(3, [16], 0.5), PowerSeries(terms=40)), 3),
    Case("residual-image-2x3x2", lambda: Residual(LipschitzConvNet(2, (3, 2), 6)).eval(), (2, 3, 2)),
    Case("residual-image-1x2x4", lambda: Residual(LipschitzConvNet(1, (2, 4), 6)), (1, 2, 4)),
    *[Case(f"actnorm-{d}", lambda d=d: standardized(d), d) for d in (1, 5)],
    *[
        Case(
            f"coupling-{law}-{d}-{kind}{'-flip' * flip}",
            lambda m=make, d=d, k=kind, f=flip: coupling(m(), d, k, f),
            d,
            move=0.05 if d == 50 else 0.2,
        )
        for law, make in LAWS.items()
        for d, kind, flip in PARTITIONS
    ],
    *[
        Case(
            f"coupling-stack-{law}-{d}-{kind}",
            lambda m=make, d=d, n=n, k=kind: coupling_stack(m(), d, n, k),
            d,
            move=0.05,
        )
        for law, make in LAWS.items()
        for d, n, kind in ((2, 3, "halves"), (5, 2, "alternate"))
    ],
    *[
        Case(f"made-{law}-{d}", lambda m=make, d=d: autoregressive(m(), MADE, d, hidden=[16, 16]), d, move=0.1)
        for law, make in LAWS.items()
        for d in (1, 2, 5, 20)
    ],
    *[
        Case(
            f"transformer-{law}-{d}", lambda m=make, d=d: autoregressive(m(), CausalTransformer, d, width=8, heads=2), d
        )
        for law, make in LAWS.items()
        for d in (1, 5)
    ],
    *[
        Case(f"patch-transformer-{law}-{t}x{p}", lambda m=make, t=t, p=p: patch_autoregressive(m(), t, p), t * p)
        for law, make in LAWS.items()
        for t, p in ((1, 3), (3, 2), (4, 1))
    ],
    Case("patch-transformer-reverse-2x3", lambda: patch_autoregressive(Affine(), 2, 3, reverse=True), 6),
    *[Case(f"units-{d}", lambda d=d: units(d), d) for d in (1, 3)],
    Case("patches-2x4x6", lambda: Patches((2, 4, 6), 2), 48),
    Case("patches-1x3x3", lambda: Patches((1, 3, 3), 3), 9),
    Case("affine-image", lambda: ElementwiseAffine((3, 4, 4)), (3, 4, 4)),
    Case("sigmoid-image", lambda: Sigmoid((1, 4, 4)), (1, 4, 4), **bounded),
    Case("logit-image", lambda: Logit((1, 4, 4)), (1, 4, 4), **opened),
    Case("leaky-relu-image", lambda: LeakyReLU((1, 2, 3)), (1, 2, 3)),
    *[
        Case(f"{name}-{'x'.join(map(str, shape))}", lambda make=make, s=shape: make(s), shape)
        for name, make in (("actnorm", standardized), ("conv1x1", Conv1x1), ("flatten", Flatten))
        for shape in ((2, 4, 4), (1, 3, 5))
    ],
    Case("unflatten-2x3x5", lambda: Unflatten((2, 3, 5)), 30),
    Case("squeeze-2x4x4", lambda: Squeeze((2, 4, 4)), (8, 2, 2)),
    Case("squeeze-1x2x6", lambda: Squeeze((1, 2, 6)), (4, 1, 3)),
    Case("inverse-of-squeeze", lambda: Inverse(Squeeze((1, 4, 4))), (1, 4, 4)),
    *[
        Case(f"image-coupling-{law}-{name}", lambda m=make, p=partition: image_coupling(m(), p()), shape)
        for law, make in LAWS.items()
        for name, shape, partition in (
            ("channels", (3, 3, 2), lambda: Channels((3, 3, 2))),
            ("checkerboard", (1, 4, 4), lambda: Checkerboard((1, 4, 4))),
        )
    ],
    Case("image-coupling-channels-flip", lambda: image_coupling(Affine(), Channels((3, 2, 2), True)), (3, 2, 2)),
    Case(
        "image-coupling-checkerboard-flip", lambda: image_coupling(Affine(), Checkerboard((2, 2, 4), True)), (2, 2, 4)
    ),
    Case("image-stack-channels", lambda: image_stack(Affine(), Channels((3, 4, 4)), 3), (3, 4, 4), move=0.05),
    Case("image-stack-checkerboard", lambda: image_stack(Additive(), Checkerboard((2, 4, 4)), 2), (2, 4, 4)),
    Case("glow-step-3x2x2", lambda: GlowStep((3, 2, 2), Affine(), GlowNet(2, 2, 6)).eval(), (3, 2, 2)),
    *[
        Case(
            f"glow-level-{law}",
            lambda m=make: glow_level(m(), (1, 4, 2), 2),
            (4, 2, 1),
            move=0.05,
            not_for=two_wild_steps,
        )
        for law, make in LAWS.items()
    ],
    Case("glow-level-one-step", lambda: glow_level(Affine(), (1, 4, 2), 1), (4, 2, 1), move=0.05),
    Case("multiscale-1x4x4", multiscale, 16),
    Case("multiscale-one-level", lambda: MultiScale((1, 2, 2), [Conv1x1((4, 1, 1))]), 4),
    Case(
        "multiscale-three-levels",
        lambda: MultiScale((1, 8, 8), [ElementwiseAffine((4, 4, 4)), Conv1x1((8, 2, 2)), LeakyReLU((16, 1, 1))]),
        64,
        move=0.05,
    ),
    Case("made-reverse-5", lambda: autoregressive(Affine(), MADE, 5, hidden=[16], reverse=True), 5, move=0.1),
    Case(
        "transformer-reverse-5",
        lambda: autoregressive(Affine(), CausalTransformer, 5, width=8, heads=2, reverse=True),
        5,
    ),
    Case("iaf-3", lambda: Inverse(autoregressive(Affine(), MADE, 3, hidden=[16])), 3),
    Case(
        "compose-empty",
        lambda: Compose([], [3]),
        3,
    ),
    Case("compose-2", lambda: Compose([Planar(2), Radial(2), Linear(2), Sylvester(2, 2)]), 2),
    *[
        Case(f"given-{name}", lambda make=make: Given(make(), CONTEXT), shape, move=0.05)
        for name, shape, make in (
            ("coupling-affine", 2, lambda: coupling(Affine(), 2, context_dim=2)),
            ("context-units", 3, in_context_units),
            ("amortized-planar", 2, lambda: Amortized(Planar(2), 2, [16])),
            ("amortized-radial", 3, lambda: Amortized(Radial(3), 2, [16])),
            ("amortized-sylvester", 5, lambda: Amortized(Sylvester(5, 3), 2, [16])),
            ("amortized-inverse", 1, lambda: Inverse(Amortized(Planar(1), 2, [16]))),
            ("coupling-spline", 3, lambda: coupling(LAWS["spline"](), 3, "alternate", True, context_dim=2)),
            ("coupling-stack", 3, lambda: coupling_stack(Affine(), 3, 2, context_dim=2)),
            ("image-coupling", (3, 3, 2), lambda: image_coupling(Affine(), Channels((3, 3, 2)), context_dim=2)),
            ("glow-step", (4, 2, 1), lambda: GlowStep((4, 2, 1), Affine(), GlowNet(2, 4, 6, 2), 2).eval()),
            ("made-affine", 3, lambda: autoregressive(Affine(), MADE, 3, hidden=[16], context_dim=2)),
            (
                "made-spline-reverse",
                3,
                lambda: autoregressive(LAWS["spline"](), MADE, 3, hidden=[16], context_dim=2, reverse=True),
            ),
            ("transformer", 3, lambda: autoregressive(Affine(), CausalTransformer, 3, width=8, heads=2, context_dim=2)),
            ("patch-transformer", 4, lambda: patch_autoregressive(Affine(), 2, 2, context_dim=2)),
            ("residual", 3, lambda: Residual(LipschitzMLP(3, [16], context_dim=2))),
            (
                "residual-stack",
                3,
                lambda: ResidualStack([Residual(LipschitzMLP(3, [8], context_dim=2)) for _ in range(2)]),
            ),
            ("residual-image", (2, 2, 3), lambda: Residual(LipschitzConvNet(2, (2, 3), 6, 0.9, 2)).eval()),
            ("iaf", 3, lambda: Inverse(autoregressive(Affine(), MADE, 3, hidden=[16], context_dim=2))),
            ("real-nvp", 3, lambda: real_nvp(3, 2, [16], context_dim=2).eval().transform),
        )
    ],
    *[Case(f"causal-filter-{'x'.join(map(str, s))}", lambda s=s: CausalFilter(s), s) for s in ((1, 4, 3), (2, 1, 3))],
    *[
        Case(
            f"given-per-pixel-{name}",
            lambda law=law: Given(PerPixel(law(), MLP(3, law().n_params, [8]), (1, 2, 3), extra=2), [*CONTEXT] * 4),
            (1, 2, 3),
            move=0.05,
        )
        for name, law in LAWS.items()
        if name != "additive"
    ],
    Case("on-first-coupling", lambda: OnFirst(coupling(Affine(), 3), 5), 5),
    Case("on-first-image", lambda: OnFirst(Squeeze((2, 2, 2)), 12, (3, 2, 2)), 12),
    Case("on-first-of-all", lambda: OnFirst(Conv1x1((2, 2, 2)), 8, (2, 2, 2)), 8),
    Case("gaussian-pixels", lambda: gaussian_pixels((2, 3, 2)), (2, 3, 2)),
    Case("map-flow", lambda: MapFlow((3, 2, 2), couplings=2, width=8).eval().transform, 12, move=0.05),
    Case("map-flow-per-pixel", lambda: MapFlow((2, 2, 3), 2, 8, per_pixel=True).eval().transform, 12, move=0.05),
    *[Case(f"continuous-{d}", lambda d=d: continuous(d), d, **gentle) for d in (1, 2, 5)],
    Case("continuous-three-layers", lambda: continuous(2, hidden=3), 2, **gentle),
    Case(
        "continuous-probes",
        lambda: continuous(3, probes=4),
        3,
        move=0.05,
        not_for=too_wild | dict.fromkeys(("log det is autograds", "tails", "tails in single precision"), estimated),
    ),
    Case("given-continuous", lambda: Given(continuous(3, context_dim=2), CONTEXT), 3, **gentle),
    Case("inverse-planar-2", lambda: Inverse(Planar(2)), 2),
    Case("inverse-of-compose", lambda: Inverse(Compose([Radial(3), Inverse(Planar(3))])), 3),
]
CASES = [replace(case, ill_conditioned=ill_conditioned(case.name)) for case in FAMILIES]
