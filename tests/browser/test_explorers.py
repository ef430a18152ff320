"""In a real JupyterLab: every slider moves its picture, and the last picture belongs to the last value."""

import pytest

from tests.browser.explorers import Explorer, explorers

WITH_HANDLES = [
    "03_planar_and_radial_flows",
    "06_splines_and_autoregressive_flows",
    "09_residual_flows",
    "11a_anomalies",
    "11c_posteriors",
    "12a_rivals_in_the_plane",
]
WITH_SHEETS = ["01_one_dimension", "04_training"]
WITH_IMAGES = ["07_image_flows", "08_glow_and_transformer_flows"]
PLAIN = [
    "05_coupling_layers",
    "04_training",
    "00_start_here",
    "10_infinitely_many_small_steps",
    "11b_noise_and_outliers",
    "12b_rivals_on_digits",
]
NOTEBOOKS = [*WITH_HANDLES, *WITH_IMAGES, *PLAIN]


@pytest.mark.parametrize("page", NOTEBOOKS, indirect=True)
def test_every_slider_moves_its_picture(page):
    found = [explorer for explorer in explorers(page) if not explorer.is_sheet]
    assert found, "no explorer on the page"
    for explorer in found:
        assert explorer.sliders, f"no slider in: {explorer.name}"
        for number, slider in enumerate(explorer.sliders):
            check_slider(explorer, number, slider)


def check_slider(explorer: Explorer, number: int, slider) -> None:
    """A burst of key presses away, back, and away again, one step at a time: same value, same picture."""
    where = f"slider {number} of: {explorer.name}"
    away, back = slider.directions
    start, home = explorer.picture(), slider.value
    slider.burst(away)
    there, value = explorer.picture(unlike=start), slider.value
    assert not explorer.error, f"{explorer.error} with {where}"
    assert there != start, f"the picture did not move with {where}"
    slider.press_until(home, back)
    assert explorer.picture(unlike=there) == start, f"the picture of {home} was another one before, {where}"
    slider.burst(away, after_each=explorer.picture if number == 0 else None)
    assert explorer.picture(unlike=start) == there, f"after a burst it was not the picture of {value}, {where}"
    assert slider.value == value, f"a burst moved it to {value}, as many single steps to {slider.value}: {where}"
    slider.press_until(home, back)


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
        (away, back), value = handle.directions, handle.value
        handle.burst(away)
        assert explorer.picture(unlike=dragged) != dragged, f"the arrow keys did nothing in: {explorer.name}"
        handle.press_until(value, back)
        assert explorer.picture() == dragged, f"after the drag the picture was stale in: {explorer.name}"


@pytest.mark.parametrize("page", WITH_SHEETS, indirect=True)
def test_a_curve_is_drawn_and_the_truth_laid_over_it(page):
    (sheet,) = (explorer for explorer in explorers(page) if explorer.is_sheet)
    blank = sheet.picture()
    sheet.draw(lambda t: 0.2 + 0.3 * t)
    drawn = sheet.picture(unlike=blank)
    assert drawn != blank and "Your curve" not in sheet.words
    sheet.canvas.focus()
    page.keyboard.press("Shift+ArrowUp")  # the last place, a tenth of the panel higher
    raised = sheet.picture(unlike=drawn)
    assert raised != drawn, "the arrow keys did nothing"
    sheet.press("show")
    shown = sheet.picture(unlike=raised)
    assert shown != raised and "Your curve is farthest off at" in sheet.words and not sheet.error
    sheet.press("hide")
    assert sheet.picture(unlike=shown) == raised, "something of the truth stayed"
    sheet.press("reset")
    assert sheet.picture(unlike=raised) == blank, "something of the drawing stayed"
