"""From whole numbers to bits: a flow as a model of images.

dequantize      whole numbers -> real ones, and what that costs
pixel_flow      dequantization, logit and flow as one model of pixels
ledger          every term of its bits per dimension, by name
latents         where an image comes from, its coarse and its fine part, and ways between two images
path            what noise looks like after each layer
"""

from flowlib.pixels.dequantize import UniformDequantize, VariationalDequantize
from flowlib.pixels.latents import lerp, scales, slant, slerp, thickness, to_latent
from flowlib.pixels.ledger import Ledger
from flowlib.pixels.path import image_path
from flowlib.pixels.pixel_flow import PixelLogit, PixelFlow

__all__ = [
    "Ledger",
    "PixelLogit",
    "PixelFlow",
    "UniformDequantize",
    "VariationalDequantize",
    "image_path",
    "lerp",
    "scales",
    "slant",
    "slerp",
    "thickness",
    "to_latent",
]
