"""Training a variational autoencoder: encoder, decoder and the flows in it, all by one bound."""

import torch
from torch import Tensor

from flowlib.models import VAE
from flowlib.training.batches import mean_in_chunks
from flowlib.training.descend import descend
from flowlib.training.history import History
from flowlib.training.inputs import check_numbers
from flowlib.training.seeds import Batches, seeded


def fit_vae(
    vae: VAE,
    x: Tensor,
    steps: int = 3000,
    batch: int = 128,
    lr: float = 2e-3,
    *,
    clip: float = 50.0,
    snapshots: int = 0,
    seed: int = 0,
) -> History:
    """Raise the ELBO: minimise −E log w, one draw of the code for each row of a batch.

    The weights are kept that were best on a tenth of the rows, which is held out, with fixed noise.

    Args:
        vae: what is trained, in place.
        x: pictures as rows of whole numbers, or points, (n, size), 20 at least.
        steps, batch, lr, clip, snapshots, seed: as in `fit`; the losses of whole pictures are large, and so are their
            gradients.

    >>> vae, x = VAE(4, 3, dim=2), torch.randint(0, 3, (100, 4))
    >>> len(fit_vae(vae, x, steps=3).losses)
    3
    """
    lr, clip = check_numbers("fit_vae", steps, batch, lr, clip, snapshots)
    x = vae.check(x)
    if x.dim() != 2:
        raise ValueError(f"fit_vae expects rows, (n, size); got {tuple(x.shape)}.")
    if len(x) < 20:
        raise ValueError(f"fit_vae holds out a tenth of the rows and needs 20 or more; got {len(x)}.")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    vae.likelihood.learn(x)
    held_out, rows = x[order[: len(x) // 10]], x[order[len(x) // 10 :]]
    batches = Batches(len(rows), min(batch, len(rows)), seed=seed)

    def losses(x: Tensor, noise: Tensor) -> Tensor:
        return -vae.log_weights(x, noise)

    def loss_at(step: int) -> tuple[Tensor, Tensor]:
        some = rows[batches.rows(step)]
        loss = losses(some, torch.randn(len(some), vae.dim, device=some.device)).mean()
        return loss, loss

    with seeded(seed, x.device):
        noise = torch.randn(len(held_out), vae.dim, device=x.device)
        return descend(
            vae, loss_at, lambda: mean_in_chunks(losses, (held_out, noise)), lambda: f"Try lr={lr / 10:g}.",
            name="fit_vae", steps=steps, lr=lr, clip=clip, snapshots=snapshots, floor=None,
        )  # fmt: skip
