"""The true posterior of an autoencoder's code, on a grid, beside the q that stands for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flowlib.models import VAE
from flowlib.viz.chapters.mosaics import image_panel
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Heat, Panel, Scene
from flowlib.viz.flows.plane import pixels

WINDOW, FINE, COARSE = (-4.5, 4.5), 141, 61  # of the codes; pixels a side at rest and while the hand moves


def explore_codes(vaes: Mapping[str, VAE], x: Tensor) -> Explorer:
    """Which codes explain a picture: exactly, by Bayes' rule on a grid, and by the q of the model.

    Args:
        vaes: {name: model of square pictures with codes of two numbers}.
        x: pictures as rows, (n, pixels).

    >>> from flowlib.models import digit_vaes
    >>> len(explore_codes(digit_vaes(), torch.zeros(3, 64)).scene.panels)
    3
    """
    side = math.isqrt(x.shape[-1])

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        vae, row = vaes[values["q"]], x[values["digit"]][None]
        z, cell = pixels(WINDOW, WINDOW, FINE if fine else COARSE)  # (H, W, 2)
        codes = z.reshape(-1, 1, 2)
        joint = (vae.log_likelihood(row.float(), codes) + vae.prior.log_prob(codes)).reshape(z.shape[:2])
        evidence = joint.flatten().logsumexp(0) + math.log(cell)  # log p(x)
        log_q = vae.log_q(row, codes).reshape(z.shape[:2])
        gap = (log_q.exp() * (log_q - joint + evidence)).sum() * cell
        exact, guess = (joint - evidence).exp(), log_q.exp()
        look = {"scale": 0.4 * float(exact.max())}
        panels = [
            image_panel(row.reshape(1, 1, side, side) / vae.throws, 1, "x"),
            Panel(WINDOW, WINDOW, "p(z | x), exact", [Heat(exact, "base", **look)]),
            Panel(WINDOW, WINDOW, f"q(z | x), {values['q']}", [Heat(guess, "data", **look)]),
        ]
        numbers = [("log p(x)", f"{evidence:.2f}"), ("KL(q ‖ p)", f"{gap:.2f}"), ("ELBO", f"{evidence - gap:.2f}")]
        return Scene(panels, [(name, text.replace("-", "−") + " nats") for name, text in numbers])

    return Explorer(
        draw,
        {"digit": Slider(0, 0, len(x) - 1, 1), "q": Choice(next(iter(vaes)), list(vaes), symbol="q")},
        alt="A digit, the exact posterior of its code in the plane, and the one of the model",
    )
