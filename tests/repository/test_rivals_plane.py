"""What notebook 12a compares is comparable: the same size, the same seconds, and files that belong together."""

import math
from dataclasses import replace

import pytest
import torch

from flowlib.course import stored
from flowlib.course.formulas.nb12a import failed
from flowlib.models import Diffusion, rivals_plane
from flowlib.models.checkpoint import FOLDER
from tools.families import parameters
from tools.rivals_plane import (
    COMMAND,
    FEW,
    NOISE,
    RIVALS,
    ROWS,
    SEEDS,
    TEST,
    TIMES,
    TRUTH,
    before,
    exact_velocity,
    longer,
)

FOUND = stored("rivals_plane")
PLAIN = {row["model"]: row for row in FOUND["results"]}
LONGER = {row["model"]: row for row in FOUND["longer"]["results"]}


def test_all_have_the_same_size_within_ten_percent() -> None:
    sizes = [parameters(rival.recipe()) for rival in RIVALS.values()]
    assert max(sizes) <= 1.1 * min(sizes)
    assert sizes == [PLAIN[name]["parameters"] for name in RIVALS]


def test_all_had_about_the_same_seconds() -> None:
    seconds = [sorted(row["seconds"])[SEEDS // 2] for row in PLAIN.values()]
    middle = (max(seconds) + min(seconds)) / 2
    assert max(seconds) < 1.125 * middle  # as the page says


def test_the_settings_are_those_of_the_command() -> None:
    assert [(row["steps"], row["lr"]) for row in PLAIN.values()] == [(each.steps, each.lr) for each in RIVALS.values()]
    assert all(len(row[key]) == SEEDS for row in PLAIN.values() for key in ("seconds", "least", "outside", "curve"))


def test_no_model_is_better_than_the_floor() -> None:
    assert abs(FOUND["entropy"] - (math.log(8) + math.log(2 * math.pi * math.e * FOUND["noise"] ** 2))) < 1e-3
    for name in ("flow", "diffusion"):
        assert min(PLAIN[name]["exact"]) > 0
    vae = PLAIN["VAE"]
    for elbo, bound, exact in zip(vae["elbo of some"], vae["bound 50 of some"], vae["exact of some"], strict=True):
        assert elbo > bound > exact - 0.02 and exact > 0  # nats above the floor: bounds are above the model's own


def test_the_longer_run_is_of_all_rivals_with_so_many_times_the_steps() -> None:
    assert FOUND["longer"]["command"] == f"{COMMAND} --longer" and FOUND["longer"]["times"] == TIMES
    assert {name: row["steps"] for name, row in LONGER.items()} == {
        name: TIMES * row["steps"] for name, row in PLAIN.items()
    }
    for name, row in LONGER.items():
        keys = {"exact", "exact of some"} & set(PLAIN[name]) | {"misplaced", "least", "outside", "neighbour", "seconds"}
        assert all(len(row[key]) == FEW and all(map(math.isfinite, row[key])) for key in keys)
    assert min(LONGER["flow"]["exact"] + LONGER["diffusion"]["exact"] + LONGER["VAE"]["exact of some"]) > 0


def test_a_longer_run_of_no_length_writes_what_the_stored_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(RIVALS["diffusion"], steps=3)
    with monkeypatch.context() as patch:
        patch.setitem(RIVALS, "diffusion", short)
        said = before(TRUTH.sample(ROWS, seed=1), TRUTH.sample(TEST, seed=2), seeds=[0])
    assert said.keys() == FOUND["longer"]["before"].keys()
    monkeypatch.setattr("tools.rivals_plane.before", lambda *_: said)
    found = longer(TRUTH.sample(ROWS, seed=1), TRUTH.sample(TEST, seed=2), times=0.005, seeds=[0])
    assert found.keys() == FOUND["longer"].keys()
    for row, there in zip(found["results"], FOUND["longer"]["results"], strict=True):
        assert row.keys() == there.keys() and row["model"] == there["model"]
        assert row["steps"] == round(0.005 * PLAIN[row["model"]]["steps"])


def test_the_exact_velocity_is_that_of_the_score() -> None:
    """E[ε | x] = −cos φ ∇ log p_t(x), by autograd of the mixture that the ring is at time t."""
    flow = Diffusion(2, hidden=[4], steps=2).double().flow
    units = flow.transform.layers()[1]
    units.standard.learn(TRUTH.sample(ROWS, seed=1).double())
    x = torch.randn(50, 2, dtype=torch.double, requires_grad=True)
    t = torch.linspace(0.01, 0.95, 50, dtype=torch.double).unsqueeze(1)
    sin, cos = (0.5 * math.pi * t).sin(), (0.5 * math.pi * t).cos()
    centres = TRUTH.centres.double()
    scales = units.inverse(centres + NOISE)[0] - units.inverse(centres)[0]  # (8, 2)
    middles = sin.unsqueeze(1) * units.inverse(centres)[0]  # (50, 8, 2)
    variances = (sin.unsqueeze(1) * scales) ** 2 + cos.unsqueeze(1) ** 2
    log_p = (-0.5 * ((x.unsqueeze(1) - middles) ** 2 / variances + variances.log()).sum(-1)).logsumexp(-1)
    (score,) = torch.autograd.grad(log_p.sum(), x)
    noise = -cos * score
    velocity = 0.5 * math.pi * (cos * (x - cos * noise) / sin - sin * noise)
    assert torch.allclose(exact_velocity(flow, t, x), velocity, rtol=1e-9, atol=1e-9)


def test_the_stored_samples_are_small_and_whole() -> None:
    assert (FOLDER / "rivals_plane.safetensors").stat().st_size < 600_000
    record = rivals_plane()
    assert all(value.float().isfinite().all() for value in record.values())
    assert {key.split("/")[1] for key in record} == set(RIVALS)


def test_the_page_says_what_was_found() -> None:
    """The figures in its table of claims are written by hand from the stored ones."""
    text = (FOLDER.parents[2] / "notebooks" / "12a_rivals_in_the_plane.ipynb").read_text(encoding="utf-8")
    games = [failed(rows)[name] for rows in (PLAIN, LONGER) for name in ("GAN", "GAN, saturating", "GAN, Wasserstein")]
    said = "plain game {} of 10 failed, saturating {}, Wasserstein {}; with eight times the steps {}, {} and {} of 3"
    assert said.format(*games) in text and TIMES == 8 and FEW == 3
    assert failed(LONGER)["flow"] == failed(LONGER)["diffusion"] == 0
    assert f"{sum(PLAIN['flow']['exact']) / 5:.2f} nats above the floor, exact at each point" in text
    astray = [100 * sum(PLAIN[name]["outside"]) / SEEDS for name in ("flow", "GAN")]
    astray += [100 * sum(LONGER[name]["outside"]) / FEW for name in ("flow", "GAN")]
    said = "astray: flow {:.1f} %, GAN {:.1f} %, truth 0.03 %; with eight times the steps {:.1f} % and {:.1f} %"
    assert said.format(*astray) in text
    for name, worse in (("flow", False), ("VAE", False), ("diffusion", True)):
        key = "exact of some" if name == "VAE" else "exact"
        assert all((b > a) == worse for a, b in zip(PLAIN[name][key][:FEW], LONGER[name][key], strict=True))
