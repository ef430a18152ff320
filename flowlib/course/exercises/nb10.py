"""The exercises of notebook 10: small steps, continuous flows and flow matching."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import SUMMED_LOG_PROB, drawn, normal_log_prob

# --- 10.1: how far an elementary step should go (Tabak and Vanden-Eijnden 2010)


def moments(x: Tensor, v: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """E[∇·v − x·v] and E[‖v‖² + tr (∇v)²]: x and v (n, D), ∂v/∂x (n, D, D) -> two numbers."""
    first = jacobian.diagonal(dim1=-2, dim2=-1).sum(-1) - (x * v).sum(-1)
    second = v.square().sum(-1) + (jacobian @ jacobian).diagonal(dim1=-2, dim2=-1).sum(-1)
    return first.mean(), second.mean()


def best_strength(x, v, jacobian):
    """x (n, D) and v(x) (n, D), ∂v/∂x (n, D, D) -> the β with the highest parabola, ()."""
    first, second = moments(x, v, jacobian)
    return first / second


def a_step(n: int, dim: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points, and a linear field at them with its Jacobian, which is not symmetric."""
    x, matrix = 1.4 * drawn(n, dim, seed=seed), drawn(dim, dim, seed=seed + 7)
    return x, x @ matrix.T + 0.3, matrix.expand(n, dim, dim)


strength = Exercise("10_best_strength", best_strength, inputs=[a_step(5, 2, 0), a_step(4, 3, 1), a_step(7, 5, 2)])
strength.mistake(
    "Half of it: the parabola has ½ β² in its last term, so its derivative there is β times the second mean.",
    lambda *a: 0.5 * best_strength(*a),
)
strength.mistake(
    "Twice as far as the top: the parabola is back at its height of β = 0 there, and nothing is gained.",
    lambda *a: 2.0 * best_strength(*a),
)
strength.mistake("The sign is turned: with this β the likelihood falls.", lambda *a: -best_strength(*a))
strength.mistake(
    "The second mean lacks tr (∇v)²: the log-determinant bends as well.",
    lambda x, v, jacobian: moments(x, v, jacobian)[0] / v.square().sum(-1).mean(),
)
strength.mistake(
    "That is ‖∇v‖², the sum of all squared entries. tr (∇v)² is the trace of the matrix times itself.",
    lambda x, v, jacobian: moments(x, v, jacobian)[0] / (v.square().sum(-1) + jacobian.square().sum((-2, -1))).mean(),
)
strength.mistake(
    "That is (tr ∇v)². The trace of a square is not the square of the trace.",
    lambda x, v, jacobian: (
        moments(x, v, jacobian)[0] / (v.square().sum(-1) + jacobian.diagonal(dim1=-2, dim2=-1).sum(-1).square()).mean()
    ),
)
strength.mistake(
    "The divergence is missing in the first mean: without it every step shrinks the data to a point.",
    lambda x, v, jacobian: -(x * v).sum(-1).mean() / moments(x, v, jacobian)[1],
)
strength.mistake(
    "A mean of quotients is not the quotient of the means: average over the points first.",
    lambda x, v, jacobian: torch.stack(
        [best_strength(x[k : k + 1], v[k : k + 1], jacobian[k : k + 1]) for k in range(len(x))]
    ).mean(),
)


# --- 10.2: many small steps and their log-determinant (Chen and others 2018, arXiv:1806.07366)


def swirl(t: float, x: Tensor) -> Tensor:
    """v(t, x) in any dimension: neighbours push each other, and the push grows with time."""
    return (1.0 + t) * torch.sin(x.roll(1, -1)) - 0.5 * x


def swirl_trace(t: float, x: Tensor) -> Tensor:
    """tr ∂v/∂x of swirl: (n, D) -> (n,). On the line a point is its own neighbour."""
    own = (1.0 + t) * torch.cos(x) if x.shape[-1] == 1 else torch.zeros_like(x)
    return (own - 0.5).sum(-1)


def walk(z: Tensor, v, trace, steps: int, late: bool = False, unit: bool = False, backwards: bool = False):
    """Euler's method; `late`: the trace is taken where the point then is; `unit`: without the length of a step."""
    h, x, log_det = 1.0 / steps, z, torch.zeros(len(z))
    for k in range(steps):
        t = 1.0 - k * h if backwards else k * h
        step = x + h * v(t, x)
        log_det = log_det + (1.0 if unit else h) * trace(t + h * late, step if late else x)
        x = step
    return x, log_det


def euler_flow(z, v, trace, steps):
    """z (n, D); v(t, x) -> (n, D), trace(t, x) -> (n,) -> x at t = 1 and ∫ tr ∂v/∂x dt."""
    return walk(z, v, trace, steps)


euler = Exercise(
    "10_euler_flow",
    euler_flow,
    inputs=[
        (drawn(4, 1, seed=1), swirl, swirl_trace, 5),
        (drawn(3, 2, seed=2), swirl, swirl_trace, 8),
        (drawn(5, 3, seed=3), swirl, lambda t, x: swirl_trace(t, x) + t * x[:, 0], 4),
    ],
)
euler.mistake(
    "Each trace counts for a step of length h = 1 / steps only: it is a speed, not a distance.",
    lambda *a: walk(*a, unit=True),
)
euler.mistake(
    "The sign of the log-determinant is turned: from noise to data it grows where the field diverges.",
    lambda *a: (walk(*a)[0], -walk(*a)[1]),
)
euler.mistake(
    "The trace is taken after the step, at the new point and time. Euler's method looks where the step begins.",
    lambda *a: walk(*a, late=True),
)
euler.mistake("The time runs backwards: noise is at t = 0, data at t = 1.", lambda *a: walk(*a, backwards=True))
euler.mistake(
    "The log-determinant is averaged over the batch. Each point has its own.",
    lambda *a: (walk(*a)[0], walk(*a)[1].mean()),
)
euler.mistake(
    "The last step is missing: from k = 0 to steps − 1 there are `steps` of them.",
    lambda z, v, trace, steps: (
        walk(z, v, trace, steps)[0],
        walk(z, v, trace, steps)[1] - trace(1 - 1 / steps, before_last(z, v, steps)) / steps,
    ),
)


def before_last(z: Tensor, v, steps: int) -> Tensor:
    """Where Euler's method is one step before the end."""
    for k in range(steps - 1):
        z = z + v(k / steps, z) / steps
    return z


# --- 10.3: the loss of flow matching (Lipman and others 2023, arXiv:2210.02747)


def pair_loss(v, t: Tensor, z: Tensor, x: Tensor, wanted=None, at=None) -> Tensor:
    """‖v(t, x_t) − wanted‖² of each row."""
    at = torch.lerp(z, x, t) if at is None else at
    return (v(t, at) - (x - z if wanted is None else wanted)).square().sum(-1)


def matching_loss(v, t, z, x):
    """v(t, x) -> (n, D); t (n, 1), noise z (n, D), data x (n, D) -> the loss of the batch, ()."""
    return pair_loss(v, t, z, x).mean()


def a_pair(n: int, dim: int, seed: int) -> tuple:
    t = torch.linspace(0.1, 0.8, n).unsqueeze(-1)
    return (
        lambda t, x: torch.sin(x) * (1.0 + t) + 0.2 * x.roll(1, -1),
        t,
        drawn(n, dim, seed=seed),
        drawn(n, dim, seed=seed + 5),
    )


matching = Exercise("10_matching_loss", matching_loss, inputs=[a_pair(4, 2, 0), a_pair(6, 3, 1), a_pair(3, 1, 2)])
matching.mistake(
    "The mean over the batch is inside the square: errors of different points cancel, and any field with the right "
    "mean velocity has loss zero. Square each point's error first.",
    lambda v, t, z, x: (v(t, torch.lerp(z, x, t)) - (x - z)).mean(0).square().sum(),
)
matching.mistake(
    "The velocity is turned round: from noise z at t = 0 to data x at t = 1 it is x − z.",
    lambda v, t, z, x: pair_loss(v, t, z, x, z - x).mean(),
)
matching.mistake(
    "Time is turned round: at t = 0 the point is the noise z, at t = 1 the data x.",
    lambda v, t, z, x: pair_loss(v, t, z, x, at=torch.lerp(x, z, t)).mean(),
)
matching.mistake(
    "The field is asked at the data. It must learn what to do on the way, at x_t.",
    lambda v, t, z, x: pair_loss(v, t, z, x, at=x).mean(),
)
matching.mistake(
    "The field is asked at the noise. It must learn what to do on the way, at x_t.",
    lambda v, t, z, x: pair_loss(v, t, z, x, at=z).mean(),
)
matching.mistake(
    "The network is asked for the data itself. That is another loss (a denoiser's); the field is a velocity.",
    lambda v, t, z, x: pair_loss(v, t, z, x, x).mean(),
)
matching.mistake(
    "The mean runs over the coordinates too: ‖·‖² is their sum.",
    lambda v, t, z, x: (v(t, torch.lerp(z, x, t)) - (x - z)).square().mean(),
)
matching.mistake("One number for each point: a loss is the mean over the batch.", pair_loss)


# --- 10.4: log p of a flow-matching model


def log_p(solve, x):
    """solve(x, t0, t1) -> where x gets to, and ∫ tr ∂v/∂x dt from t0 to t1, (n,). x (n, D) -> log p(x), (n,)."""
    z, log_det = solve(x, 1.0, 0.0)
    return normal_log_prob(z) + log_det


def solver(rate: float, drift: float):
    """The exact solution of dx/dt = rate · x + drift, and the integral of its trace."""

    def solve(x: Tensor, t0: float, t1: float) -> tuple[Tensor, Tensor]:
        stretch = math.exp(rate * (t1 - t0))
        there = stretch * x + drift * (stretch - 1.0) / rate
        return there, torch.full((len(x),), rate * (t1 - t0) * x.shape[-1])

    return solve


log_prob = Exercise(
    "10_log_prob",
    log_p,
    inputs=[
        (solver(0.7, 0.5), drawn(4, 2, seed=4)),
        (solver(-0.4, 1.0), drawn(3, 3, seed=5)),
        (solver(1.1, -0.3), drawn(5, 1, seed=6)),
    ],
)
log_prob.mistake(
    "The sign of the wrong direction: `solve` from 1 to 0 returns the log-determinant of that way, data to noise, and "
    "it is added. Only one that was found on the way from 0 to 1 is subtracted.",
    lambda solve, x: normal_log_prob(solve(x, 1.0, 0.0)[0]) - solve(x, 1.0, 0.0)[1],
)
log_prob.mistake(
    "You solved from noise to data. The question starts at data: where did x come from?",
    lambda solve, x: normal_log_prob(solve(x, 0.0, 1.0)[0]) + solve(x, 0.0, 1.0)[1],
)
log_prob.mistake(
    "You solved from noise to data. The question starts at data: where did x come from?",
    lambda solve, x: normal_log_prob(solve(x, 0.0, 1.0)[0]) - solve(x, 0.0, 1.0)[1],
)
log_prob.mistake(
    "The base is asked at x. It knows only z, where x came from.",
    lambda solve, x: normal_log_prob(x) + solve(x, 1.0, 0.0)[1],
)
log_prob.mistake(
    "The change of volume is missing: this would be right if the field had no divergence.",
    lambda solve, x: normal_log_prob(solve(x, 1.0, 0.0)[0]),
)
log_prob.mistake(SUMMED_LOG_PROB, lambda solve, x: log_p(solve, x).sum())


# --- 10.5: how many steps are enough


def enough_steps(log_prob_at, x, tolerance):
    """log_prob_at(x, steps) -> log p(x) with so many steps, (n,). The least of 1, 2, 4, 8, ... for which no point's
    log-density changes by more than the tolerance when the steps are doubled."""
    return doubled(log_prob_at, x, tolerance, lambda a, b: (a - b).abs().max())


def doubled(log_prob_at, x: Tensor, tolerance: float, change, after: int = 1) -> int:
    steps = 1
    while change(log_prob_at(x, steps), log_prob_at(x, 2 * steps)) > tolerance:
        steps *= 2
    return steps * after


def of_order(order: int, spread: float):
    """A log-density whose error falls as steps^(−order), more for some points than for others, up and down."""

    def log_prob_at(x: Tensor, steps: int) -> Tensor:
        sign = torch.where(torch.arange(len(x)) % 2 == 0, 1.0, -1.0)
        return normal_log_prob(x) + spread * sign * x.square().sum(-1) / steps**order

    return log_prob_at


steps = Exercise(
    "10_enough_steps",
    enough_steps,
    inputs=[
        (of_order(1, 2.0), torch.tensor([[0.1, 0.2], [1.0, 0.9], [0.1, 0.3]]), 0.02),
        (of_order(2, 3.0), torch.tensor([[1.5], [1.5], [0.2], [0.3]]), 1e-3),
        (of_order(4, 5.0), torch.tensor([[0.7, 0.2, 1.0], [0.7, 0.2, 1.1]]), 1e-4),
    ],
)
steps.mistake(
    "You compared the means. Errors of both signs cancel there: each point must be right.",
    lambda log_prob_at, x, tolerance: doubled(log_prob_at, x, tolerance, lambda a, b: (a.mean() - b.mean()).abs()),
)
steps.mistake(
    "You compared the mean of the changes. One point can be far off among many good ones: take the largest.",
    lambda log_prob_at, x, tolerance: doubled(log_prob_at, x, tolerance, lambda a, b: (a - b).abs().mean()),
)
steps.mistake(
    "A change has two signs: take its size before the largest.",
    lambda log_prob_at, x, tolerance: doubled(log_prob_at, x, tolerance, lambda a, b: (a - b).max()),
)
steps.mistake(
    "That is the doubled number. The one before it was enough.",
    lambda *a: 2 * enough_steps(*a),
)

EXERCISES = [strength, euler, matching, log_prob, steps]
