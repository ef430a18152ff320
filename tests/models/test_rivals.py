"""Flows' rivals: each learns a law that is known, and what each says of itself is held against that law."""

import math

import pytest
import torch
from torch.nn.functional import softplus

from flowlib.datasets import toy
from flowlib.models import GAN, VAE, Diffusion, real_nvp
from flowlib.training import ais, fit_diffusion, fit_gan, fit_vae
from flowlib.training.fit_gan import GAMES

CENTER, DEVIATION = torch.tensor([300.0, -0.02]), torch.tensor([40.0, 0.001])


def gaussian(n: int, seed: int = 0) -> torch.Tensor:
    """Points of a Gaussian far from standard units, (n, 2)."""
    return CENTER + DEVIATION * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("game", GAMES)
def test_a_game_records_what_it_was(game: str) -> None:
    gan = GAN(2, hidden=[8])
    history = fit_gan(gan, gaussian(1000), steps=20, batch=50, game=game, snapshots=3)
    assert len(history.losses) == 20 and sorted(history.snapshots) == [0, 5, 20] and not gan.training
    assert len(history.critic) == 20 * GAMES[game].critic_steps
    gan.load_state_dict(history.snapshots[0])


def test_a_generator_learns_where_the_data_are_in_their_units() -> None:
    torch.manual_seed(0)
    gan = GAN(2, hidden=[32])
    gan.generator[-1].bias.data += 10.0  # deviations away
    fit_gan(gan, gaussian(1000), steps=600, batch=128, lr=3e-3)
    apart = (gan.sample(2000).mean(0) - CENTER) / DEVIATION
    assert apart.abs().max() < 9.0


def test_each_game_pulls_the_generator_to_the_data() -> None:
    """Data N(0, 1), a generator z + b: the best critic is a line, and the slopes of the losses in b have formulas."""
    z, b = torch.randn(500, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    telling = 0.5 * 3.0**2 - 3.0 * (z + b)  # log p − log q, with what it knows of b held fixed
    share = telling.detach().sigmoid()
    wanted = {"non-saturating": 3.0 * (1.0 - share).mean(), "saturating": 3.0 * share.mean(), "wasserstein": 1.0}
    for game, slope in wanted.items():
        d = -(z + b) if game == "wasserstein" else telling
        (found,) = torch.autograd.grad(GAMES[game].of_generator(d), b, retain_graph=True)
        assert found.item() == pytest.approx(float(slope), rel=1e-10), game


def test_the_best_critic_knows_the_ratio_of_densities() -> None:
    """Where the critic's loss is least, D = log p − log q, and the loss is log 4 − 2 JS: on a grid, by its slope."""
    x = torch.linspace(-6, 6, 601, dtype=torch.float64)
    p, q = (torch.distributions.Normal(mean, 1.0).log_prob(x).exp() * 0.02 for mean in (-0.7, 0.7))

    def loss(d: torch.Tensor) -> torch.Tensor:
        return (p * softplus(-d) + q * softplus(d)).sum()

    best = (p.log() - q.log()).requires_grad_()
    value = loss(best)
    (slope,) = torch.autograd.grad(value, best)
    middle = 0.5 * (p + q)
    js = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
    assert slope.abs().max() < 1e-12 and abs(value.item() - (math.log(4.0) - 2.0 * js.item())) < 1e-6


def test_both_games_have_the_same_fixed_point_and_the_steep_one_is_steep_where_the_critic_wins() -> None:
    d = torch.tensor([-8.0], requires_grad=True)  # the critic is certain
    slopes = {
        game: torch.autograd.grad(GAMES[game].of_generator(d), d)[0].item() for game in ("saturating", "non-saturating")
    }
    assert slopes["non-saturating"] == pytest.approx(-1.0, abs=1e-3)
    assert slopes["saturating"] == pytest.approx(-math.exp(-8.0), rel=1e-3)


def test_the_penalty_is_zero_for_slope_one() -> None:
    real, made = torch.randn(9, 3), torch.randn(9, 3)
    direction = torch.tensor([0.6, 0.0, 0.8])
    value = GAMES["wasserstein"].of_critic(lambda x: x @ direction, real, made)
    assert value.item() == pytest.approx(((made - real).mean(0) @ direction).item(), abs=1e-5)
    steep = GAMES["wasserstein"].of_critic(lambda x: x @ (3.0 * direction), real, made)
    assert steep.item() == pytest.approx(3.0 * value.item() + 40.0, rel=1e-4)


def test_a_flow_may_be_the_generator() -> None:
    torch.manual_seed(0)
    gan = GAN(2, hidden=[16], generator=real_nvp(layers=2, hidden=[8]))
    x = gaussian(400)
    before = gan.generator.log_prob(x).mean()
    fit_gan(gan, x, steps=100, likelihood=1.0)
    after = gan.generator.log_prob(gan.sample(5)).isfinite().all() and gan.generator.log_prob(x).mean()
    assert after > before
    with pytest.raises(ValueError, match="likelihood needs a generator with a density"):
        fit_gan(GAN(2), x, likelihood=1.0)
    with pytest.raises(ValueError, match=r"a Flow whose points have shape \(3,\); got \(2,\)"):
        GAN(3, generator=real_nvp(2))


def test_bad_points_for_a_game() -> None:
    gan = GAN(2)
    for x, words in (
        (torch.zeros(30, 3), r"shape \(n, 2\) with 20 rows or more; got shape \(30, 3\)"),
        (torch.zeros(3, 2), r"got shape \(3, 2\)"),
        (torch.full((30, 2), torch.nan), "30 of 30 rows hold nan or inf, the first is row 0"),
    ):
        with pytest.raises(ValueError, match=words):
            fit_gan(gan, x)
    with pytest.raises(TypeError, match=r"dtype torch.int64. Convert with .float\(\)"):
        fit_gan(gan, torch.zeros(30, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="game must be one of"):
        fit_gan(gan, gaussian(30), game="chess")


def test_a_game_that_explodes_says_so_and_keeps_finite_weights() -> None:
    gan = GAN(2, hidden=[8])
    with pytest.raises(FloatingPointError, match="a loss is nan or infinite at step"):
        fit_gan(gan, gaussian(100), steps=200, lr=1e30)
    assert all(value.isfinite().all() for value in gan.state_dict().values() if value.is_floating_point())


def linear_vae() -> VAE:
    """x = W z + b + noise: a Gaussian, whose density has a formula."""
    torch.manual_seed(0)
    vae = VAE(3, dim=2, hidden=[])
    torch.nn.init.normal_(vae.decoder[-1].weight)
    torch.nn.init.normal_(vae.decoder[-1].bias)
    vae.likelihood.learn(torch.randn(50, 3) * torch.tensor([5.0, 0.1, 1.0]))
    return vae.eval()


def exact(vae: VAE, x: torch.Tensor) -> torch.Tensor:
    scale, shift = vae.likelihood.units.scale, vae.likelihood.units.shift
    w, b = vae.decoder[-1].weight.double(), vae.decoder[-1].bias.double()
    noise = torch.diag((2.0 * vae.likelihood.log_noise.double()).exp())
    covariance = scale[:, None] * (w @ w.T + noise) * scale
    return torch.distributions.MultivariateNormal(scale * b + shift, covariance).log_prob(x.double())


def test_annealing_finds_the_density_of_a_linear_model_and_the_bounds_lie_below() -> None:
    vae = linear_vae()
    x = vae.sample(40)
    with torch.no_grad():
        truth = exact(vae, x)
        assert abs((ais(vae, x, steps=200, chains=32) - truth).mean()) < 0.3
        elbo = torch.stack([vae.bound(x) for _ in range(200)]).mean(0)
        assert (elbo < truth).all()
        assert (vae.bound(x, 100_000) - truth).abs().median() < 0.1


def test_a_vae_of_points_knows_their_units() -> None:
    torch.manual_seed(0)
    vae = VAE(2, dim=2, hidden=[16])
    history = fit_vae(vae, gaussian(1000), steps=300, lr=1e-2, snapshots=2)
    truth = torch.distributions.Normal(CENTER, DEVIATION).log_prob(gaussian(1000, seed=1)).sum(-1).mean()
    bound = vae.bound(gaussian(1000, seed=1), 100).mean()
    assert truth - 0.3 < bound < truth + 0.1 and sorted(history.snapshots) == [0, 300]
    with pytest.raises(ValueError, match="1 of 30 rows hold nan or inf, the first is row 4"):
        fit_vae(vae, gaussian(30).index_fill(0, torch.tensor([4]), torch.nan))
    with pytest.raises(ValueError, match=r"VAE expects a float tensor of shape \(..., 2\); got shape \(3, 5\)"):
        vae.bound(torch.zeros(3, 5))


def test_both_ends_of_a_diffusion_make_its_point() -> None:
    """sin φ û + cos φ ε̂ = x_t, and the equation's velocity is what both ends say, whatever the network says."""
    torch.manual_seed(0)
    model = Diffusion(2, hidden=[8], steps=4).double()
    layer, *_ = model.flow.transform.layers()
    torch.nn.init.normal_(layer.field.last.weight)
    t, x = torch.rand(7, 1).double(), torch.randn(7, 2).double()
    data, noise = model.ends(t, x)
    angle = 0.5 * math.pi * t
    assert torch.allclose(angle.sin() * data + angle.cos() * noise, x, atol=1e-12)
    velocity = 0.5 * math.pi * (angle.cos() * data - angle.sin() * noise)
    assert torch.allclose(layer.field(t.squeeze(-1), x), velocity, atol=1e-12)


def test_a_diffusion_learns_a_law_and_both_its_ways_to_sample_have_it() -> None:
    torch.manual_seed(0)
    model, data = Diffusion(2, hidden=[64, 64]), toy.two_moons(0.1)
    history = fit_diffusion(model, data, steps=1500)
    assert history.nats < 2.0
    x = data.sample(20_000, seed=2)
    for samples in (model.sample(20_000), model.flow.sample(20_000)):
        assert (samples.mean(0) - x.mean(0)).abs().max() < 0.2 and (samples.std(0) - x.std(0)).abs().max() < 0.2


def test_fit_diffusion_wants_a_diffusion() -> None:
    with pytest.raises(TypeError, match="expects a Diffusion first; got Flow"):
        fit_diffusion(real_nvp(), gaussian(100))
