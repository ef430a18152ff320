"""What one chapter alone draws.

losses, scrub_training      the loss of a fit; the flow at every snapshot of it
scrub_layers                a flow after each of its layers
scrub_time                  continuous flows at every time
knots                       a spline whose knots are dragged
mosaics, image_explorers    images, and explorers of models of them
contraction                 a fixed point as a cobweb; a series cut off, or cut by chance
posteriors, codes           a posterior that follows its observation; that of an autoencoder's code
defects                     a scratch on a tile and its score; a threshold; real defects and their scores
latent_explorers            ways between images, attributes, patch after patch
noise_explorers             a camera's noise beside models of it; images turned down to black
look_up                     a box that finds words of the glossary
formulas                    a search over all formulas, systems and claims
divergences                 between the two directions of KL; a game and its best critic
rivals                      a flow beside a VAE, a GAN and a diffusion model
digit_rivals                five trainings at once; a flow between likelihood and game; the nearest training digit
sketch                      a curve that the reader draws, and then the true one over it
"""

from flowlib.viz.chapters.codes import explore_codes
from flowlib.viz.chapters.contraction import cobweb, cut_or_chance
from flowlib.viz.chapters.defects import choose_alarm, inject_defect, show_defects
from flowlib.viz.chapters.digit_rivals import mix_game_and_likelihood, nearest_digits, scrub_digit_rivals
from flowlib.viz.chapters.divergences import explore_divergence, explore_game
from flowlib.viz.chapters.formulas import explore_formulas
from flowlib.viz.chapters.image_explorers import bin_width, explore_scales, scrub_image_layers
from flowlib.viz.chapters.knots import drag_knots
from flowlib.viz.chapters.latent_explorers import explore_attributes, explore_interpolation, scrub_patches
from flowlib.viz.chapters.look_up import look_up
from flowlib.viz.chapters.losses import losses
from flowlib.viz.chapters.mosaics import image_panel, redraw, scale_names, show_images, snapshot, to_unit
from flowlib.viz.chapters.noise_explorers import explore_black, explore_noise
from flowlib.viz.chapters.posteriors import explore_pendulum, explore_two_moons
from flowlib.viz.chapters.rivals import explore_judges, explore_rings, scrub_rivals
from flowlib.viz.chapters.scrub_layers import scrub_layers
from flowlib.viz.chapters.scrub_time import scrub_time
from flowlib.viz.chapters.scrub_training import scrub_training
from flowlib.viz.chapters.sketch import sketch

__all__ = [
    "bin_width",
    "choose_alarm",
    "cobweb",
    "cut_or_chance",
    "drag_knots",
    "explore_attributes",
    "explore_black",
    "explore_codes",
    "explore_divergence",
    "explore_formulas",
    "explore_game",
    "explore_interpolation",
    "explore_judges",
    "explore_noise",
    "explore_pendulum",
    "explore_rings",
    "explore_scales",
    "explore_two_moons",
    "image_panel",
    "inject_defect",
    "look_up",
    "losses",
    "mix_game_and_likelihood",
    "nearest_digits",
    "redraw",
    "scale_names",
    "scrub_digit_rivals",
    "scrub_image_layers",
    "scrub_layers",
    "scrub_patches",
    "scrub_rivals",
    "scrub_time",
    "scrub_training",
    "show_defects",
    "show_images",
    "sketch",
    "snapshot",
    "to_unit",
]
