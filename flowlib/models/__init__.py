"""Recipes: each flow of the course in a few lines that read like the figure in its paper.

`summary(flow)` prints what is in one; `save` stores one, `load` brings one that was trained before.
"""

from flowlib.models.anomaly import FastFlow, Scores, fast_flow
from flowlib.models.anomaly_baselines import NearestPatches, PixelGaussians, WholeGaussian
from flowlib.models.diffusion import Diffusion
from flowlib.models.features import Features, efficientnet_lite0, texture_features
from flowlib.models.gan import GAN
from flowlib.models.images import glow, nice_image, real_nvp_image, residual_flow_image, transformer_image
from flowlib.models.noise import gaussian_noise, noise_flow
from flowlib.models.of_pages import (
    camera_noise,
    digit_classifier,
    digit_vaes,
    matched_moons,
    planar_energies,
    posteriors,
    residual_moons,
    rivals_plane,
)
from flowlib.models.outliers import (
    input_complexity,
    likelihood_ratio,
    neighbour_background,
    png_bits,
    surprise,
    typicality,
)
from flowlib.models.posterior import Ensemble, posterior_flow
from flowlib.models.pretrained import load, names
from flowlib.models.saved import save
from flowlib.models.summary import summary
from flowlib.models.vae import VAE
from flowlib.models.vectors import (
    density_ascent,
    ffjord,
    flow_matching,
    gaussianization,
    iaf,
    maf,
    nice,
    planar_flow,
    radial_flow,
    real_nvp,
    residual_flow,
    spline_flow,
    spline_maf,
    sylvester_flow,
    transformer_flow,
)

__all__ = [
    "GAN",
    "VAE",
    "Diffusion",
    "Ensemble",
    "FastFlow",
    "Features",
    "NearestPatches",
    "PixelGaussians",
    "Scores",
    "WholeGaussian",
    "camera_noise",
    "density_ascent",
    "digit_classifier",
    "digit_vaes",
    "efficientnet_lite0",
    "fast_flow",
    "ffjord",
    "flow_matching",
    "gaussian_noise",
    "gaussianization",
    "glow",
    "iaf",
    "input_complexity",
    "likelihood_ratio",
    "load",
    "maf",
    "matched_moons",
    "names",
    "neighbour_background",
    "nice",
    "nice_image",
    "noise_flow",
    "planar_energies",
    "planar_flow",
    "png_bits",
    "posterior_flow",
    "posteriors",
    "radial_flow",
    "real_nvp",
    "real_nvp_image",
    "residual_flow",
    "residual_flow_image",
    "residual_moons",
    "rivals_plane",
    "save",
    "spline_flow",
    "spline_maf",
    "summary",
    "surprise",
    "sylvester_flow",
    "texture_features",
    "transformer_flow",
    "transformer_image",
    "typicality",
]
