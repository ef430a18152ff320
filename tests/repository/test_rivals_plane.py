"""What notebook 12a compares is comparable: the same size, the same seconds, and files that belong together."""

import math

from flowlib.course import stored
from flowlib.models import rivals_plane
from flowlib.models.checkpoint import FOLDER
from tools.families import parameters
from tools.rivals_plane import RIVALS, SEEDS

FOUND = stored("rivals_plane")
ROWS = {row["model"]: row for row in FOUND["results"]}


def test_all_have_the_same_size_within_ten_percent() -> None:
    sizes = [parameters(rival.recipe()) for rival in RIVALS.values()]
    assert max(sizes) <= 1.1 * min(sizes)
    assert sizes == [ROWS[name]["parameters"] for name in RIVALS]


def test_all_had_about_the_same_seconds() -> None:
    seconds = [sorted(row["seconds"])[SEEDS // 2] for row in ROWS.values()]
    middle = (max(seconds) + min(seconds)) / 2
    assert max(seconds) < 1.125 * middle  # as the page says


def test_the_settings_are_those_of_the_command() -> None:
    assert [(row["steps"], row["lr"]) for row in ROWS.values()] == [(each.steps, each.lr) for each in RIVALS.values()]
    assert all(len(row[key]) == SEEDS for row in ROWS.values() for key in ("seconds", "least", "outside", "curve"))


def test_no_model_is_better_than_the_floor() -> None:
    assert abs(FOUND["entropy"] - (math.log(8) + math.log(2 * math.pi * math.e * FOUND["noise"] ** 2))) < 1e-3
    for name in ("flow", "diffusion"):
        assert min(ROWS[name]["exact"]) > 0
    vae = ROWS["VAE"]
    for elbo, bound, exact in zip(vae["elbo of some"], vae["bound 50 of some"], vae["exact of some"], strict=True):
        assert elbo > bound > exact - 0.02 and exact > 0  # nats above the floor: bounds are above the model's own


def test_the_stored_samples_are_small_and_whole() -> None:
    assert (FOLDER / "rivals_plane.safetensors").stat().st_size < 600_000
    record = rivals_plane()
    assert all(value.float().isfinite().all() for value in record.values())
    assert {key.split("/")[1] for key in record} == set(RIVALS)


def test_the_page_says_what_was_found() -> None:
    """The figures in its table of claims are written by hand from the stored ones."""
    text = (FOLDER.parents[2] / "notebooks" / "12a_rivals_in_the_plane.ipynb").read_text(encoding="utf-8")
    failed = {
        name: sum(least < 0.25 or outside > 0.1 for least, outside in zip(row["least"], row["outside"], strict=True))
        for name, row in ROWS.items()
    }
    games = [failed[name] for name in ("GAN", "GAN, saturating", "GAN, Wasserstein")]
    assert "plain game {} of 10 failed, saturating {}, Wasserstein {}".format(*games) in text
    assert f"{sum(ROWS['flow']['exact']) / 5:.2f} nats above the floor, exact at each point" in text
    astray = [100 * sum(ROWS[name]["outside"]) / SEEDS for name in ("flow", "GAN")]
    assert "astray: flow {:.1f} %, GAN {:.1f} %, truth 0.03 %".format(*astray) in text
