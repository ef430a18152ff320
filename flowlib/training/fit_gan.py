"""Training by a game: a critic learns to tell samples from data, a generator learns to deceive it.

With D(x) the number that the critic gives to a point and σ the logistic function, the critic of the first two games
minimises −E_data log σ(D(x)) − E_z log(1 − σ(D(G(z)))). Where it is best, σ(D(x)) = p_data / (p_data + p_G), and its
loss is log 4 − 2 JS(p_data, p_G): the generator would descend the Jensen–Shannon divergence, if it had that critic.

    saturating        the generator minimises E log(1 − σ(D(G(z)))), which is flat where the critic wins
    non-saturating    it minimises −E log σ(D(G(z))): the same fixed point, steep where the critic wins
    wasserstein       the critic maximises E_data D(x) − E_z D(G(z)) with slopes near 1, the generator minimises it:
                      near the distance W₁ by which mass has to be moved

No loss of a game says how good the samples are, so there are no best weights to keep: what stays is the last step's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowlib.core import Flow
from flowlib.models import GAN
from flowlib.support.checks import check_above_zero, check_choice
from flowlib.training import loop
from flowlib.training.history import History
from flowlib.training.inputs import check_numbers, check_points
from flowlib.training.loop import REPORT, Bar, Descent, NotFinite, copies, learn_units, stopped_again
from flowlib.training.seeds import Batches, seeded

Critic = Callable[[Tensor], Tensor]
BETAS = (0.5, 0.9)  # the opponent moves, so old gradients are soon out of date
SLOPE = 10.0  # weight of the penalty on slopes that are not 1
LOOK = 100  # steps between two looks at the losses


@dataclass(frozen=True)
class Game:
    """Args:
    of_critic: (critic, real (n, D), made (n, D)) -> its loss ().
    of_generator: D of what was made (n,) -> loss of the generator ().
    critic_steps: steps of the critic for one of the generator.
    """

    of_critic: Callable[[Critic, Tensor, Tensor], Tensor]
    of_generator: Callable[[Tensor], Tensor]
    critic_steps: int


def telling_apart(critic: Critic, real: Tensor, made: Tensor) -> Tensor:
    """−E log σ(D(x)) − E log(1 − σ(D(G(z)))), by softplus(d) = log(1 + eᵈ)."""
    return softplus(-critic(real)).mean() + softplus(critic(made)).mean()


def distance(critic: Critic, real: Tensor, made: Tensor) -> Tensor:
    """E D(G(z)) − E D(x) + 10 E (‖∂D/∂x‖ − 1)², the slope taken between a point of each kind.

    Paper: Gulrajani et al. (2017), arXiv 1704.00028, equation 3.
    """
    between = torch.lerp(real, made, torch.rand(len(real), 1, device=real.device)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    steep = (slope.square().sum(-1) + 1e-12).sqrt()
    return critic(made).mean() - critic(real).mean() + SLOPE * (steep - 1.0).square().mean()


GAMES = {
    "non-saturating": Game(telling_apart, lambda d: softplus(-d).mean(), critic_steps=1),
    "saturating": Game(telling_apart, lambda d: -softplus(d).mean(), critic_steps=1),
    "wasserstein": Game(distance, lambda d: -d.mean(), critic_steps=5),
}


def fit_gan(
    gan: GAN,
    x: Tensor,
    steps: int = 5000,
    batch: int = 256,
    lr: float = 1e-3,
    *,
    game: str = "non-saturating",
    likelihood: float = 0.0,
    clip: float = 50.0,
    snapshots: int = 0,
    seed: int = 0,
) -> History:
    """Let generator and critic play. The history holds the losses of both, `losses` and `critic`.

    Args:
        gan: what is trained, in place.
        x: points (n, D), 20 or more.
        steps: of the generator; each comes after one step of the critic, or after five in Wasserstein's game.
        batch, lr, clip, seed: as in `fit`.
        game: "non-saturating", "saturating" or "wasserstein" (with gradient penalty).
        likelihood: of a generator that is a flow: the weight of −log p(x) of the data beside the game.
        snapshots: how many states of the GAN to record.

    Paper: Goodfellow et al. (2014), arXiv 1406.2661, equation 1 and section 3; Arjovsky et al. (2017), arXiv
    1701.07875; Gulrajani et al. (2017), arXiv 1704.00028; Grover et al. (2018), arXiv 1705.08868.

    >>> gan = GAN(2, hidden=[8])
    >>> history = fit_gan(gan, torch.randn(100, 2), steps=3, batch=10)
    >>> len(history.losses), len(history.critic)
    (3, 3)
    """
    lr, clip = check_numbers("fit_gan", steps, batch, lr, clip, snapshots)
    rules = GAMES[check_choice("fit_gan", "game", game, tuple(GAMES))]
    is_flow = isinstance(gan.generator, Flow)
    if check_above_zero("fit_gan", "likelihood", likelihood, or_zero=True) and not is_flow:
        raise ValueError("fit_gan: likelihood needs a generator with a density; build the GAN with generator=a Flow.")
    x = check_points("fit_gan", x, gan.dim).to(gan.judge[0].weight.device)
    wanted, batches = loop.recorded(steps, snapshots), Batches(len(x), min(batch, len(x)), seed=seed)
    bar, started = Bar(steps), time.perf_counter()
    with seeded(seed, x.device):
        gan.units.learn(x)
        if is_flow:
            learn_units(gan.generator, x)
        gan.train()
        makes = Descent(dict(gan.generator.named_parameters()), clip, betas=BETAS)
        judges = Descent(dict(gan.judge.named_parameters()), clip, betas=BETAS)
        history, good = History(makes.losses, critic=judges.losses), copies(gan.state_dict())

        def take_step(lr: float) -> None:
            for _ in range(rules.critic_steps):
                real = x[batches.rows(judges.step)]
                judges.take_step(lr, rules.of_critic(gan.critic, real, gan.sample(len(real))))
            loss = rules.of_generator(gan.critic(gan.draw(len(real))))
            if likelihood:
                loss = loss - likelihood * gan.generator.log_prob(real).mean()
            makes.take_step(lr, loss)

        def words() -> str:
            return f"generator {makes.pending[-1] if makes.pending else makes.losses[-1]:.3f}"

        def record() -> None:
            if makes.step in wanted:
                history.snapshots[makes.step] = copies(gan.state_dict())

        def after(done: bool, stop: bool) -> None:
            nonlocal good
            record()
            if makes.step % LOOK == 0 or done:
                judges.read()
                makes.read()
                good, history.best_step = copies(gan.state_dict()), makes.step
            if makes.step % REPORT == 0 or done:
                bar.show(makes.step, words)

        try:
            record()
            loop.run(take_step, lambda: makes.step / steps, after, lr=lr)
        except KeyboardInterrupt:
            history.stopped = f"stopped by hand after {makes.step} of {steps} steps"
            bar.stay(history.stopped)
            judges.read()
            makes.read()
            history.best_step = makes.step
            if stopped_again():
                raise
        except NotFinite as error:
            gan.load_state_dict(good)
            raise FloatingPointError(
                f"fit_gan: a loss is nan or infinite at step {error.step}. Likely cause: the steps are too long; try "
                f"lr={lr / 10:g}. The GAN holds the weights of step {history.best_step} again."
            ) from None
        finally:
            gan.eval()
            history.seconds = time.perf_counter() - started
            bar.close()
    return history
