"""In a real JupyterLab: every slider moves its picture, and the last picture belongs to the last value."""

import pytest

from tests.browser.explorers import Explorer, explorers

NOTEBOOKS = ["00_start_here", "03_planar_and_radial_flows", "05_coupling_layers"]
WITH_HANDLES = ["03_planar_and_radial_flows"]
BURST = 5


@pytest.mark.parametrize("page", NOTEBOOKS, indirect=True)
def test_every_slider_moves_its_picture(page):
    found = explorers(page)
    assert found, "no explorer on the page"
    for explorer in found:
        assert explorer.sliders, f"no slider in: {explorer.name}"
        for number, slider in enumerate(explorer.sliders):
            check_slider(explorer, number, slider)


def check_slider(explorer: Explorer, number: int, slider) -> None:
    """A burst of key presses away, back, and away again, one step at a time: same value, same picture."""
    where = f"slider {number} of: {explorer.name}"
    away, back = slider.directions
    start = explorer.picture()
    slider.press(away, BURST)
    there, value = explorer.picture(unlike=start), slider.value
    assert there != start, f"the picture did not move with {where}"
    slider.press(back, BURST)
    assert explorer.picture(unlike=there) != there, f"the picture did not move back with {where}"
    for step in range(BURST):
        before = explorer.picture() if number == 0 and step else None
        slider.press(away)
        if before:
            explorer.picture(unlike=before)
    assert slider.value == value
    assert explorer.picture() == there, f"after a burst the picture was not that of the last value, {value}: {where}"
    slider.press(back, BURST)


@pytest.mark.parametrize("page", WITH_HANDLES, indirect=True)
def test_a_handle_follows_the_mouse(page):
    held = [explorer for explorer in explorers(page) if explorer.handles]
    assert held, "no handle in any picture"
    for explorer in held:
        handle = explorer.handles[0]
        start, value = explorer.picture(), handle.value
        handle.drag(24, -16)
        dragged = explorer.picture(unlike=start)
        assert dragged != start and handle.value != value, f"the drag did nothing in: {explorer.name}"
        away, back = handle.directions
        handle.press(away, BURST)
        assert explorer.picture(unlike=dragged) != dragged, f"the arrow keys did nothing in: {explorer.name}"
        handle.press(back, BURST)
        assert explorer.picture() == dragged, f"after the drag the picture was stale in: {explorer.name}"
