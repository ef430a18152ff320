"""Variational autoencoders of the 8 × 8 digits with several posteriors and priors, for notebook 11c.

    python -m tools.vae          in about twelve minutes on one core

For each kind and seed, on the 360 test digits, in nats a picture: the ELBO (mean of 50 draws) and the bound of 500
draws. `gains` are the mean bounds above that of the Gaussian posterior of the same seed, which sees the same batches;
`gain` is their mean over the seeds, and `error` the standard error of it over the seeds. Ten seeds for the Gaussian and
for the planar flow, the posterior of the paper, three for the others; seven of the ten were run after the first three
had been seen. `plane` is the median of bound less ELBO, nearly the KL from q to the posterior, with codes of two
numbers. Written are notebooks/data/vae.json and two models with codes of two numbers,
flowlib/models/trained/digit_vaes.safetensors.
"""

import argparse
import json
import time

import safetensors.torch
import torch
from torch import Tensor

from flowlib.datasets import images
from flowlib.models import VAE
from flowlib.models.checkpoint import FOLDER
from flowlib.training import fit_vae
from tools.families import OUT as FAMILIES_OUT

OUT, WEIGHTS = FAMILIES_OUT.with_name("vae.json"), FOLDER / "digit_vaes.safetensors"
COMMAND = "python -m tools.vae"
STEPS, DRAWS = 3000, 500
KINDS = [
    ("gaussian", "gaussian", 10),
    ("planar", "gaussian", 10),
    ("iaf", "gaussian", 3),
    ("spline", "gaussian", 3),
    ("spline", "flow", 3),
]  # posterior, prior, seeds


def rows_of(split: str) -> Tensor:
    """The digits as rows, (n, 64)."""
    return getattr(images.digits(), split).images.flatten(1)


def trained(dim: int, posterior: str, prior: str, seed: int) -> tuple[VAE, float]:
    """The model, in eval mode, and the CPU seconds of its training."""
    torch.manual_seed(seed)
    vae, start = VAE(64, 17, dim, posterior, prior), time.process_time()
    fit_vae(vae, rows_of("train"), steps=STEPS, seed=seed)
    return vae, time.process_time() - start


@torch.no_grad()
def bounds(vae: VAE) -> tuple[Tensor, Tensor]:
    """ELBO and bound of each test digit, (360,) both."""
    torch.manual_seed(0)
    x = rows_of("test")
    return torch.stack([vae.bound(x) for _ in range(50)]).mean(0), vae.bound(x, DRAWS)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rows, reference = [], None
    for posterior, prior, seeds in KINDS:
        fits = [trained(8, posterior, prior, seed) for seed in range(seeds)]
        elbo, bound = (torch.stack(part) for part in zip(*(bounds(vae) for vae, _ in fits), strict=True))
        reference = bound if reference is None else reference
        gains = (bound - reference[:seeds]).mean(1)  # (seeds,)
        row = {"posterior": posterior, "prior": prior, "training_s": round(fits[0][1], 1)}
        means = {"elbo": elbo.mean(1), "bound": bound.mean(1), "gains": gains}
        row |= {name: [round(value, 3) for value in values.tolist()] for name, values in means.items()}
        row |= {"gain": round(gains.mean().item(), 3), "error": round(gains.std().item() / seeds**0.5, 3)}
        rows.append(row)
        print(row, flush=True)
    tensors, plane = {}, {}
    for kind in ("gaussian", "spline"):
        vae, _ = trained(2, kind, "gaussian", 0)
        tensors |= {f"{kind}/{key}": value.contiguous() for key, value in vae.state_dict().items()}
        elbo, bound = bounds(vae)
        plane[kind] = round((bound - elbo).median().item(), 2)
    safetensors.torch.save_file(tensors, WEIGHTS)
    settings = {"command": COMMAND, "steps": STEPS, "draws": DRAWS, "pictures": len(rows_of("test")), "plane": plane}
    OUT.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
