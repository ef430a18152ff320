"""The recipes: each builds, starts as the identity, takes a context where it has networks, and prints what it is."""

import pytest
import torch

from flowlib import Flow, Inverse, models
from flowlib.bases import DiagonalNormal, Uniform
from flowlib.models import summary
from flowlib.transforms import ActNorm, Units

PUSHES = ["planar_flow", "radial_flow", "sylvester_flow"]
NETWORKS = ["nice", "real_nvp", "spline_flow", "maf", "iaf", "spline_maf", "residual_flow"]
GREEDY = ["gaussianization", "density_ascent"]  # fitted layer by layer, without a context
CONTINUOUS = ["ffjord", "flow_matching"]
ALL = [*PUSHES, *NETWORKS, "transformer_flow", *GREEDY, *CONTINUOUS]
IMAGES = [  # tests/models/test_images.py
    "nice_image",
    "real_nvp_image",
    "glow",
    "residual_flow_image",
    "transformer_image",
]


def build(name: str, **arguments) -> Flow:
    torch.manual_seed(0)
    if name in NETWORKS:
        arguments.setdefault("hidden", [16, 16])
    if name in CONTINUOUS:
        return getattr(models, name)(**{"steps": 4, **arguments})
    return getattr(models, name)(**{"layers": 2, **arguments})


def test_every_recipe_is_here() -> None:
    noise = ["camera_noise", "gaussian_noise", "noise_flow"]  # tests/models/test_noise.py
    scores = ["input_complexity", "likelihood_ratio", "neighbour_background", "png_bits", "surprise", "typicality"]
    posterior = ["Ensemble", "VAE", "digit_vaes", "posterior_flow", "posteriors"]  # test_posterior.py, test_vae.py
    tiles = ["FastFlow", "Features", "NearestPatches", "PixelGaussians", "Scores", "WholeGaussian"]  # test_anomaly.py
    tiles += ["efficientnet_lite0", "fast_flow", "texture_features"]
    rivals = ["GAN", "Diffusion", "rivals_plane"]  # test_rivals.py, tests/viz/chapters/test_rivals.py
    others = [
        *rivals,
        *noise,
        *scores,
        *posterior,
        *tiles,
        "digit_classifier",  # tests/repository/test_rivals_digits.py
        "load",
        "matched_moons",
        "names",
        "planar_energies",
        "residual_moons",
    ]
    assert sorted([*ALL, *IMAGES, *others, "save", "summary"]) == sorted(models.__all__)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dim", [2, 5])
def test_density_and_samples_agree(name: str, dim: int) -> None:
    flow = build(name, dim=dim).double().eval()
    x, log_prob = flow.sample_with_log_prob(20)
    assert x.shape == (20, dim)
    assert torch.allclose(flow.log_prob(x), log_prob, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ALL if name not in PUSHES])
def test_starts_at_the_identity_or_a_permutation(name: str) -> None:
    flow = build(name, dim=3).eval()
    z = torch.randn(10, 3)
    assert torch.allclose(flow.transform(z)[0].sort(-1).values, z.sort(-1).values, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in ALL if name not in GREEDY])
def test_context_reaches_every_network(name: str) -> None:
    flow = build(name, context_dim=3).eval()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(4, 2)
    one, other = flow.log_prob(x, torch.zeros(3)), flow.log_prob(x, torch.ones(4, 3))
    assert one.shape == (4,) and not torch.allclose(one, other)
    with pytest.raises(ValueError, match="needs a context"):
        flow.log_prob(x)


@pytest.mark.parametrize("name", ALL)
def test_another_base(name: str) -> None:
    flow = build(name, base=DiagonalNormal([1.0, 2.0], [0.5, 0.5]))
    assert isinstance(flow.base, DiagonalNormal)
    with pytest.raises(ValueError, match="the base on"):
        build(name, base=Uniform([0.0], [1.0]))


@pytest.mark.parametrize(
    "name", ["maf", "iaf", "spline_maf", "residual_flow", "transformer_flow", *CONTINUOUS, *PUSHES, *GREEDY]
)
def test_one_dimension(name: str) -> None:
    assert build(name, dim=1).sample(3).shape == (3, 1)


@pytest.mark.parametrize("name", PUSHES)
def test_fast_chooses_the_direction(name: str) -> None:
    flow = build(name, fast="density")
    *layers, units = flow.transform.layers()
    assert all(isinstance(layer, Inverse) for layer in layers) and isinstance(units, Units)
    assert flow.transform.costs == build(name).transform.costs[::-1]
    with pytest.raises(ValueError, match="fast must be one of 'sampling', 'density'; got 'both'"):
        build(name, fast="both")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("argument", "value", "dim"), [("layers", 0, 2), ("layers", 0, 3), ("dim", 0, 0), ("dim", 2.0, 2.0)]
)
def test_wrong_sizes(name: str, argument: str, value: float, dim: float) -> None:
    argument = "steps" if name in CONTINUOUS and argument == "layers" else argument
    with pytest.raises(ValueError, match=f"{argument} must be a whole number"):
        build(name, **{"dim": dim, argument: value})


@pytest.mark.parametrize("coefficient", [1.0, 1.5])
def test_a_residual_flow_is_made_of_contractions(coefficient: float) -> None:
    with pytest.raises(ValueError, match="residual_flow: coefficient must be below 1"):
        build("residual_flow", coefficient=coefficient)


def test_summary() -> None:
    assert repr(summary(build("real_nvp", layers=4))).splitlines() == [
        "Flow on points of shape (2,), from noise to data:",
        "  p_Z  StandardNormal(dim=2)                                                                  0",
        "  1–4  2 × 2 layers:",
        "  ·    Coupling: Affine(bound=3), MLP 1 → 16 → 16 → 2, halves, keeps 1, moves 1             676",
        "  ·    Coupling: Affine(bound=3), MLP 1 → 16 → 16 → 2, halves, flipped, keeps 1, moves 1    676",
        "  5    ElementwiseAffine(dim=2)                                                               4",
        "  6    Units(dim=2)                                                                           0",
        "  all                                                                                     1,356",
        "  sample: one pass",
        "  log_prob: one pass",
    ]


@pytest.mark.parametrize(
    ("name", "sample", "log_prob"),
    [
        ("planar_flow", "one pass", "root finding in every layer"),
        ("radial_flow", "one pass", "one pass"),
        ("spline_flow", "one pass", "one pass"),
        ("maf", "3 steps, one for each coordinate", "one pass"),
        ("iaf", "one pass", "3 steps, one for each coordinate"),
        ("transformer_flow", "3 steps, one for each coordinate", "one pass"),
        ("ffjord", "16 evaluations of the field", "16 evaluations of the field"),
        ("residual_flow", "a fixed point in every layer", "one pass"),
    ],
)
def test_summary_says_which_direction_is_cheap(name: str, sample: str, log_prob: str) -> None:
    assert summary(build(name, dim=3)).costs == [("sample", sample), ("log_prob", log_prob)]


@pytest.mark.parametrize("name", ALL)
def test_summary_counts_every_parameter(name: str) -> None:
    flow = build(name)
    lines = summary(flow).lines
    assert lines[-1].parameters == sum(p.numel() for p in flow.parameters())
    assert lines[-1].parameters == sum(line.parameters for line in lines[:-1])
    assert "<table>" in summary(flow)._repr_html_()


def test_summary_wants_a_flow() -> None:
    with pytest.raises(TypeError, match="summary expects a Flow; got ActNorm"):
        summary(ActNorm(2))
