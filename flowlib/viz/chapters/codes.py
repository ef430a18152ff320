"""The true posterior of an autoencoder's code, on a grid, beside the q that stands for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from flowlib.models import VAE
from flowlib.viz.chapters.mosaics import image_panel
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Heat, Panel, Scene
from flowlib.viz.flows.plane import pixels

PLANE, NEAR = (-4.5, 4.5), 0.5  # where codes are looked for; half the side of what is shown around the best of them
SEARCH, FINE, COARSE, DRAWS = 91, 121, 61, 1000  # pixels a side; draws of the ELBO


def explore_codes(vaes: Mapping[str, VAE], x: Tensor) -> Explorer:
    """Which codes explain a picture: exactly, by Bayes' rule on a grid, and by the q of the model.

    Args:
        vaes: {name: model of square pictures with codes of two numbers}.
        x: pictures as rows, (n, pixels).

    >>> from flowlib.models import digit_vaes
    >>> import torch
    >>> len(explore_codes(digit_vaes(), torch.zeros(3, 64)).scene.panels)
    3
    """
    side = math.isqrt(x.shape[-1])
    noise = torch.randn(DRAWS, 1, 2, generator=torch.Generator().manual_seed(0))
    best: dict[tuple[str, int], Tensor] = {}

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        name, digit = values["q"], values["digit"]
        vae, row = vaes[name], x[digit][None]

        def joint(z: Tensor) -> Tensor:
            """log p(x, z) on pixels (H, W, 2)."""
            codes = z.reshape(-1, 1, 2)
            return (vae.log_likelihood(row.float(), codes) + vae.prior.log_prob(codes)).reshape(z.shape[:2])

        if (name, digit) not in best:
            everywhere = pixels(PLANE, PLANE, SEARCH)[0]
            best[name, digit] = everywhere.reshape(-1, 2)[joint(everywhere).argmax()]
        xlim, ylim = ((at - NEAR, at + NEAR) for at in best[name, digit].tolist())
        z, cell = pixels(xlim, ylim, FINE if fine else COARSE)  # (H, W, 2)
        log_p = joint(z)
        evidence = log_p.flatten().logsumexp(0) + math.log(cell)  # log p(x): no code far away explains x
        elbo = vae.log_weights(row, noise).mean()
        exact, guess = (log_p - evidence).exp(), vae.log_q(row, z.reshape(-1, 1, 2)).reshape(z.shape[:2]).exp()
        look = {"scale": 0.4 * float(exact.max())}
        panels = [
            image_panel(row.reshape(1, 1, side, side) / vae.likelihood.throws, 1, "x"),
            Panel(xlim, ylim, "p(z | x), exact", [Heat(exact, "base", **look)]),
            Panel(xlim, ylim, f"q(z | x), {name}", [Heat(guess, "data", **look)]),
        ]
        numbers = [("log p(x)", evidence), ("KL(q ‖ p)", evidence - elbo), ("ELBO", elbo)]
        return Scene(panels, [(word, f"{value:.2f} nats".replace("-", "−")) for word, value in numbers])

    return Explorer(
        draw,
        {"digit": Slider(0, 0, len(x) - 1, 1), "q": Choice(next(iter(vaes)), list(vaes), symbol="q")},
        alt="A digit, the exact posterior of its code in the plane, and the one of the model",
    )
