"""The small extractor of features that comes with flowlib, trained on normal textures alone.

    python -m tools.texture_features     writes flowlib/models/trained/texture_features.safetensors, in a minute

In each step, a rectangle of each normal image is replaced by a rectangle of another image, turned, brighter or darker;
the network and a 1 × 1 convolution say for each pixel whether it lies in it (CutPaste, by pixels). The convolution is
then thrown away.
"""

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from flowlib.datasets import textures
from flowlib.models.features import TRAINED, TextureNet

STEPS, BATCH, LR, SEED = 1500, 32, 2e-3, 0


def pasted(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (n, 1, H, W) with one rectangle each from another image, and where it is."""
    x, where, others = x.clone(), torch.zeros_like(x), x.flip(0)
    for k in range(len(x)):
        high, wide = torch.randint(3, 24, (2,), generator=generator).tolist()
        top, left = (int(torch.randint(0, 64 - side, (1,), generator=generator)) for side in (high, wide))
        source = others[k, 0].T if torch.rand(1, generator=generator) < 0.5 else others[k, 0]
        light = 0.15 * torch.randn(1, generator=generator)
        x[k, 0, top : top + high, left : left + wide] = source[top : top + high, left : left + wide] + light
        where[k, 0, top : top + high, left : left + wide] = 1.0
    return x, where


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    images = textures(tiles=200, defective=0, seed=1000).images.float() / 255  # (800, 1, 64, 64)
    net, heads = TextureNet(), nn.ModuleList([nn.Conv2d(16, 1, 1), nn.Conv2d(32, 1, 1)])
    optimizer = torch.optim.Adam([*net.parameters(), *heads.parameters()], LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        x, where = pasted(images[torch.randint(len(images), (BATCH,), generator=generator)], generator)
        maps = net((x - 0.5) / 0.25)
        loss = sum(
            binary_cross_entropy_with_logits(head(each), avg_pool2d(where, 64 // each.shape[-1]))
            for head, each in zip(heads, maps, strict=True)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 300 == 299:
            print(step + 1, round(loss.item(), 3), flush=True)
    save_file(net.state_dict(), TRAINED)


if __name__ == "__main__":
    main()
