"""What labels would give: networks that are shown the defects of other tiles, for notebook 11a.

    python -m tools.tile_labels        adds `labels` to notebooks/data/tiles.json; needs what `tools.tiles` needs

A detector sees normal photographs alone. What does that cost, and what is lost before, in the photographs and in their
maps? Here all tiles, a fifth of each kind of defect at a time, are scored by networks that have learned from the
photographs and masks of the other four fifths. `maps`: convolutions on the very maps of the detectors of `tools.tiles`.
`photographs`: a small U-Net on the leveled photographs themselves. Both say of each pixel whether it belongs to a
defect, and a photograph has the score of its worst pixel. The areas are of the photographs that test the detectors.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, binary_cross_entropy_with_logits, max_pool2d

from flowlib.datasets import Inspection, magnetic_tiles, split_by_group
from flowlib.models import Scores, efficientnet_lite0
from flowlib.models.anomaly_baselines import aligned
from flowlib.models.features import level
from tools.parts import write_parts
from tools.tiles import BLOCKS, FLIPS, OUT, SIZE, by_kind, kinds_of, measures

FOLDS, BATCH, STEPS, LR, DECAY = 5, 32, 500, 2e-3, 1e-2


def dealt(data: Inspection, seed: int = 0) -> Tensor:
    """The fifth that each photograph is in, (n,): whole tiles, and those of each kind of defect in turns."""
    generator, fold, turn = torch.Generator().manual_seed(seed), torch.zeros(len(data), dtype=torch.long), 0
    tiles = data.groups.unique()
    kinds = kinds_of(data, tiles)
    for kind in kinds.unique():
        own = tiles[kinds == kind]
        for tile in own[torch.randperm(len(own), generator=generator)]:
            fold[data.groups == tile] = turn % FOLDS
            turn += 1
    return fold


def conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def on_maps(channels: int) -> nn.Module:
    """Maps (n, channels, H, W) -> logits (n, 1, H, W)."""
    first = nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, 96, 1), nn.ReLU(), nn.Dropout2d(0.2))
    return nn.Sequential(first, conv(96, 96), nn.Conv2d(96, 1, 1))


class UNet(nn.Module):
    """Photographs (n, 1, H, W) -> logits (n, 1, H/2, W/2); it looks at halves, quarters and eighths."""

    def __init__(self):
        super().__init__()
        self.at_1, self.at_2 = nn.Sequential(conv(1, 16), conv(16, 16)), nn.Sequential(conv(16, 32), conv(32, 32))
        self.at_4, self.at_8 = nn.Sequential(conv(32, 48), conv(48, 48)), nn.Sequential(conv(48, 64), conv(64, 64))
        self.back_to_4, self.back_to_2, self.head = conv(112, 48), conv(80, 32), nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        half = self.at_2(max_pool2d(self.at_1(x), 2))
        quarter = self.at_4(max_pool2d(half, 2))
        eighth = self.at_8(max_pool2d(quarter, 2))
        quarter = self.back_to_4(torch.cat([twice(eighth), quarter], 1))
        return self.head(self.back_to_2(torch.cat([twice(quarter), half], 1)))


def twice(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def scored(make: Callable[[], nn.Module], inputs: list[Tensor], masks: list[Tensor], data: Inspection) -> Scores:
    """Each photograph's logits by a network that was shown the other fifths; inputs and masks: of each flip."""
    fold, found = dealt(data), None
    for each in range(FOLDS):
        torch.manual_seed(each)
        net, shown = make(), fold != each
        optimizer = torch.optim.AdamW(net.parameters(), LR, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, STEPS)
        halves = [(shown & rows).nonzero().flatten() for rows in (data.anomalous, ~data.anomalous)]
        for _ in range(STEPS):  # half of a batch has defects
            rows = torch.cat([part[torch.randint(len(part), (BATCH // 2,))] for part in halves])
            flip = int(torch.randint(len(FLIPS), ()))
            loss = binary_cross_entropy_with_logits(net(inputs[flip][rows]), masks[flip][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            logits = torch.cat([net.eval()(part)[:, 0] for part in inputs[0][~shown].split(64)])
        found = torch.zeros(len(data), *logits.shape[1:]) if found is None else found
        found[~shown] = logits
        print(each, round(loss.item(), 4), flush=True)
    return Scores(found.flatten(1).amax(1), found)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    data = magnetic_tiles()
    _, _, test = split_by_group(data, parts=(0.6, 0.1))
    features = efficientnet_lite0(SIZE, BLOCKS, leveled=True)
    flipped = [(data.images.flip(dims), data.masks.flip(dims)) if dims else (data.images, data.masks) for dims in FLIPS]
    maps = [aligned(features(images)) for images, _ in flipped]
    photographs = [level(images.float()) for images, _ in flipped]
    labels = []
    for name, make, inputs in (
        ("maps", lambda: on_maps(maps[0].shape[1]), maps),
        ("photographs", UNet, photographs),
    ):
        grid = make()(inputs[0][:2]).shape[-2:]
        masks = [adaptive_max_pool2d(each[:, None].float(), grid) for _, each in flipped]
        scores = scored(make, inputs, masks, data)
        of_test = Scores(scores.images[test], scores.pixels[test])
        labels.append({"of": name, **measures(of_test, data, test), "by_kind": by_kind(of_test.images, data, test)})
        print(labels[-1], flush=True)
        write_parts(OUT, {"labels": labels}, indent=1)


if __name__ == "__main__":
    main()
