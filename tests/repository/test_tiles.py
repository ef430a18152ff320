"""What notebook 11a says of real tiles is what its commands stored, and their folds keep tiles whole."""

import json

import torch

from flowlib.course import stored
from flowlib.datasets import textures
from flowlib.models.checkpoint import FOLDER
from flowlib.viz.chapters.defects import square
from tools.tile_labels import FOLDS, UNet, dealt, on_maps

FOUND = stored("tiles")
PAGE = FOLDER.parents[2] / "notebooks" / "11a_anomalies.ipynb"


def text() -> str:
    return "".join("".join(cell["source"]) for cell in json.loads(PAGE.read_text(encoding="utf-8"))["cells"])


def test_tiles_are_dealt_whole_and_each_kind_of_defect_to_every_fifth() -> None:
    data = textures(tiles=60, defective=30, size=16, seed=1)
    fold = dealt(data)
    assert sorted(fold.unique().tolist()) == list(range(FOLDS))
    for tile in data.groups.unique():
        assert len(fold[data.groups == tile].unique()) == 1
    assert {len(data.groups[fold == each].unique()) for each in range(FOLDS)} == {60 // FOLDS}
    assert all(data.anomalous[fold == each].any() for each in range(FOLDS))


def test_the_networks_with_labels_answer_on_their_grids() -> None:
    torch.manual_seed(0)
    assert on_maps(5)(torch.randn(2, 5, 12, 12)).shape == (2, 1, 12, 12)
    assert UNet()(torch.randn(2, 1, 64, 64)).shape == (2, 1, 32, 32)


def test_the_shown_photographs_are_the_ends_of_each_kind() -> None:
    shown = FOUND["tiles"]["shown"]
    kinds = [name for name in FOUND["tiles"]["by_kind"] if not name.startswith("against")]
    assert [(each["kind"], each["which"]) for each in shown] == [
        (kind, which) for kind in kinds for which in ("highest", "lowest")
    ]
    for high, low in zip(shown[::2], shown[1::2], strict=True):
        assert square(high["photograph"]).shape == square(high["mask"]).shape == (1, 64, 64)
        assert square(high["mask"]).max() == 1  # there is a defect
        assert square(high["score"]).max() > square(low["score"]).max()
        assert high["alarm"] == bool(square(high["score"]).max() == 1)


def test_the_page_says_what_the_commands_found() -> None:
    flow = next(row for row in FOUND["tiles"]["rows"] if row["method"] == "flow, log p")
    with_labels = {row["of"]: row["image_auroc"] for row in FOUND["labels"]}
    assert f"{with_labels['maps'][0]:.2f} on the same maps" in text()
    assert f"{with_labels['photographs'][0]:.2f} on the photographs" in text()
    assert f"flow without labels: {flow['image_auroc'][0]:.2f}" in text()
    assert all(low < value < high for value, low, high in [*with_labels.values(), flow["image_auroc"]])
