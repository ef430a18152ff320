"""The colours: monotone, the same everywhere, and apart for colour-blind eyes."""

import numpy as np
import pytest

from flowlib.viz import det_key
from flowlib.viz.engine import theme

# Machado, Oliveira and Fernandes (2009), table of full deuteranopia and protanopia, on linear RGB
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def linear(table):
    c = np.asarray(table, dtype=float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def luminance(table):
    return linear(table) @ np.array([0.2126, 0.7152, 0.0722])


def lab(light):
    """Linear RGB -> CIE L*a*b* (D65), in which a distance of about 2 is just seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(light, 0, 1) @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


@pytest.mark.parametrize("role", ["base", "data"])
@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA])
def test_density_tables_rise_in_luminance(role, eye):
    seen = np.clip(linear(theme.TABLES[role]) @ eye.T, 0, 1) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(seen) > -1e-3).all()
    assert seen[-1] - seen[0] > 0.6


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA])
def test_ends_of_the_diverging_table_stay_apart(eye):
    seen = lab(linear(theme.TABLES["diverging"]) @ eye.T)
    first, middle, last = seen[0], seen[theme.LEVELS // 2], seen[-1]
    for a, b in ((first, last), (first, middle), (last, middle)):
        assert np.linalg.norm(a - b) > 25
    assert np.linalg.norm(middle[1:]) < 6  # the middle is neutral


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA])
def test_base_and_data_stay_apart(eye):
    base, data = (lab(linear(theme.rgb(theme.COLOURS[role])) @ eye.T) for role in ("base", "data"))
    assert np.linalg.norm(base - data) > 50


def test_every_grid_colour_stands_out_from_the_night():
    night = luminance(theme.rgb(theme.NIGHT)) + 0.05
    assert ((luminance(theme.TABLES["diverging"]) + 0.05) / night > 4.5).all()


@pytest.mark.parametrize("page", [255, 17])
def test_text_is_readable_on_white_and_on_near_black(page):
    ink, back = luminance(theme.rgb(theme.INK)), luminance([page] * 3)
    assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) > 4


def test_tone_means_the_same_density_everywhere_and_bears_anything():
    assert theme.tone([0.0, 0.1, 0.3], 0.1).tolist() == [0, 128, 191]
    assert theme.tone([np.inf, np.nan, -1.0, 1e38], 0.1).tolist() == [255, 0, 0, 255]


def test_det_level():
    assert theme.det_level([-99.0, 0.0, 99.0, np.nan, -np.inf]).tolist() == [0, 7, 14, 7, 0]


def test_unknown_colour_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown colour 'azure'.*base, data"):
        theme.colour("azure")


def test_a_stretch_of_one_and_a_half_is_not_white():
    white, light = theme.TABLES["diverging"][7].astype(int), theme.det_level(np.log([1 / 1.5, 1.0, 1.5]))
    colours = theme.TABLES["diverging"][light].astype(int)
    assert (colours[1] == white).all()
    assert all(abs(colours[i] - white).max() > 25 for i in (0, 2))


def test_the_key_has_a_mark_at_two():
    assert [text for _, text in det_key()["ticks"]] == ["⅛", "½", "1", "2", "8"]
