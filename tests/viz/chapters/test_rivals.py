"""Explorers of stored trainings: what moves with the moment, the game, the ring and the point."""

import torch

from flowlib.course import stored
from flowlib.models import rivals_plane
from flowlib.viz import explore_judges, explore_rings, scrub_rivals

RECORD, RESULTS = rivals_plane(), stored("rivals_plane")
CURVES = {row["model"]: row["curve"][0] for row in RESULTS["results"]}


def test_training_is_scrubbed_for_all_four_at_once() -> None:
    explorer = scrub_rivals(RECORD, CURVES)
    first, last = explorer.scene_at(moment=0), explorer.scene_at(moment=12)
    assert [panel.title for panel in last.panels] == ["flow", "VAE", "GAN", "diffusion"]
    for before, after in zip(first.panels, last.panels, strict=True):
        assert not torch.equal(torch.as_tensor(before.layers[-1].points), torch.as_tensor(after.layers[-1].points))
    assert [len(panel.layers) for panel in last.panels] == [3, 3, 2, 3]  # a GAN has no density to draw
    assert dict(first.numbers)["of the seconds"] == "0%" and dict(last.numbers)["of the seconds"] == "100%"


def test_another_game_changes_the_third_panel_alone() -> None:
    explorer = scrub_rivals(RECORD, CURVES)
    one, other = (explorer.scene_at(game=game).panels for game in ("non-saturating", "Wasserstein"))
    points = [[torch.as_tensor(panel.layers[-1].points) for panel in panels] for panels in (one, other)]
    assert [torch.equal(a, b) for a, b in zip(*points, strict=True)] == [True, True, False, True]


def test_a_density_that_was_stored_as_bytes_has_mass_one() -> None:
    explorer = scrub_rivals(RECORD, CURVES)
    for panel in (explorer.scene.panels[k] for k in (0, 1, 3)):
        mass = float(panel.layers[0].values.sum()) * (8 / 64) ** 2
        assert abs(mass - 1.0) < 0.15  # 64 pixels a side, and bytes


def test_a_ring_has_as_many_gaussians_as_the_slider_says() -> None:
    explorer = explore_rings(RECORD, RESULTS["rings"])
    one = explorer.scene_at(modes=1).panels[0].layers[0].points
    assert float(torch.as_tensor(one).std(0).max()) < 0.3
    assert dict(explorer.scene_at(modes=3).numbers)["flow, least mode"] == f"{RESULTS['rings']['flow'][2]:.0%}"


def test_a_point_of_the_data_is_not_strange_to_the_flow_and_the_middle_is() -> None:
    explorer = explore_judges(RECORD)
    inside, middle = (dict(explorer.scene_at(x=torch.tensor(x)).numbers) for x in ([2.83, 0.0], [0.0, 0.0]))
    share = [float(words["flow"].split("%")[0]) for words in (inside, middle)]
    assert share[0] > 30 and share[1] < 1
