"""Gaussianization: turn the data, make each coordinate normal on its own, turn again.

Whatever the data, each turn and each set of marginal maps bring them nearer to a standard normal density: the
Kullback–Leibler divergence falls by the sum of the marginal ones, and only a normal density is normal in all
directions.

Chen and Gopinath (2000), Gaussianization, NIPS 13; Laparra et al. (2011, arXiv 1602.00229), Iterative Gaussianization:
from ICA to random rotations; Dai and Seljak (2021, arXiv 2007.00674), Sliced iterative normalizing flows.
"""

import torch
from torch import Tensor, nn

from flowlib.core import Transform
from flowlib.laws import Law, RationalQuadratic
from flowlib.support.checks import check_above_zero, check_choice, check_count
from flowlib.support.precision import full_precision
from flowlib.transforms.linear import Linear, Rotation

BANDWIDTH = 0.7  # of the kernels, in deviations times n^(−1/5); Silverman's 1.06 is for one normal hump
ROUNDS, RATE = 50, 0.3  # of the search for directions
KERNELS = 1000  # points that carry a kernel, at most
FOLDS = 4  # of the cross-validation that chooses how much a covariance is shrunk
SHARES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)


class Marginals(Transform):
    """Each coordinate moves by a law of its own: x_i = g(z_i; θ_i), θ free numbers.

    Map: as above. Log-determinant: Σ_i log g'(z_i; θ_i). Invertible always, as the law is. At first the identity.

    Args:
        law: g, for example `RationalQuadratic`.
        dim: D.

    Paper: Meng et al. (2020, arXiv 2003.01941), Gaussianization flows, section 3.1 (trainable marginal layers).

    >>> Marginals(RationalQuadratic(), 3)(torch.zeros(5, 3))[1].shape
    torch.Size([5])
    """

    def __init__(self, law: Law, dim: int):
        super().__init__([check_count("Marginals", "dim", dim)])
        self.law, self.params = law, nn.Parameter(torch.zeros(dim, law.n_params))

    def at(self, points: Tensor) -> Tensor:
        """θ for each point, (..., D, n_params)."""
        return self.params.expand(*points.shape, self.law.n_params)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        x, log_slopes = self.law(z, self.at(z))
        return x, log_slopes.sum(-1)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        z, log_slopes = self.law.inverse(x, self.at(x))
        return z, log_slopes.sum(-1)

    def describe(self) -> str:
        return f"Marginals: {self.law.describe()}, dim={self.event_shape[0]}"


class Gaussianization(Transform):
    """Marginal maps and a turn: one layer of iterative Gaussianization.

    Map: x = Q g(z; θ), with g elementwise and Q orthogonal; from data to noise, turn by Qᵀ and make each coordinate
    normal. Log-determinant: Σ_i log g'(z_i; θ_i). Invertible always.

    `learn` takes both from data: Q by `directions`, then each g so that z goes a part of the way, `stride`, from y to
    Φ⁻¹(F(y)), with F a kernel estimate of the coordinate's distribution function. It is held as a spline through
    quantiles, so that both directions are formulas. Small strides and many turns end nearer to normal than large ones,
    which fold what the next turn would have to unfold. Q is the product of what was learned and of a `Rotation`, so
    `fit` can train all of it.

    Args:
        dim: D.
        directions: "random" turns (Laparra et al. 2011), "pca" (the axes of the data), or "sliced": those in which
            the data are farthest from normal by the squared Wasserstein distance (Dai and Seljak 2021).
        bins, bound: of the splines; beyond ±bound standard deviations nothing moves.
        stride: how far towards normal, above 0, at most 1.

    Paper: Chen and Gopinath (2000), section 3 (kernel estimates of the marginals); Laparra et al. (2011, arXiv
    1602.00229), section II; Dai and Seljak (2021, arXiv 2007.00674), section 3 and algorithm 1.

    >>> x = torch.rand(500, 2)
    >>> layer = Gaussianization(2, stride=1.0)
    >>> layer.learn(x)
    >>> layer.inverse(x)[0].std(0) > 0.9
    tensor([True, True])
    """

    def __init__(self, dim: int, directions: str = "random", bins: int = 24, bound: float = 6.0, stride: float = 0.35):
        super().__init__([check_count("Gaussianization", "dim", dim)])
        self.by = check_choice("Gaussianization", "directions", directions, ("random", "pca", "sliced"))
        self.stride = check_above_zero("Gaussianization", "stride", stride)
        if self.stride > 1.0:
            raise ValueError(f"Gaussianization: stride must be at most 1; got {stride!r}.")
        self.marginals = Marginals(RationalQuadratic(bins, bound), dim)
        self.turn = Rotation(dim, 0.0)
        self.register_buffer("directions", torch.eye(dim))  # what was learned, (D, D); turn goes on from there

    @property
    def matrix(self) -> Tensor:
        """Q, (D, D)."""
        return self.directions @ self.turn.matrix

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, log_det = self.marginals(z)
        return y @ self.matrix.mT, log_det

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return self.marginals.inverse(x @ self.matrix)

    @torch.no_grad()
    def learn(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Directions and marginal maps from points x (n, D)."""
        find = {"random": random_directions, "pca": principal_directions, "sliced": sliced_directions}[self.by]
        self.directions.copy_(find(x, generator))
        self.turn.angles.zero_()
        self.marginals.params.copy_(normal_splines(x @ self.directions, self.marginals.law, self.stride))

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}, {self.by} directions, {self.marginals.law.extra_repr()}"


class Whitening(Linear):
    """A linear layer that learns mean and covariance: alone, the full Gaussian.

    Map: x = W z + bias. Log-determinant: log |det W|. Invertible always, see `Linear`. `learn` takes the mean, and for
    W the Cholesky factor of (1 − s) covariance + s · its diagonal; the share s is the one that cross-validation finds
    best, so a covariance of few rows in many dimensions is not taken at its word.

    Args:
        dim: D.

    Paper: Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, Journal of
    Multivariate Analysis 88 (shrinkage; here by cross-validation).

    >>> layer = Whitening(2)
    >>> layer.learn(3.0 * torch.randn(1000, 2) + 5.0)
    >>> layer.bias > 4.0
    tensor([True, True])
    """

    def __init__(self, dim: int):
        super().__init__(dim, matrix=torch.eye(check_count("Whitening", "dim", dim)))

    @torch.no_grad()
    def learn(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Mean and covariance of points x (n, D)."""
        rows = x.double()
        order = torch.randperm(len(rows), generator=generator).to(x.device)
        folds = [part for part in order.chunk(FOLDS) if len(part) < len(rows)]
        scores = torch.zeros(len(SHARES), dtype=torch.float64)
        for fold in folds:
            rest = torch.ones(len(rows), dtype=torch.bool, device=x.device)
            rest[fold] = False
            mean, covariance = rows[rest].mean(0), rows[rest].T.cov(correction=0)
            scores += torch.stack([gaussian_score(rows[fold] - mean, shrunk(covariance, share)) for share in SHARES])
        covariance = shrunk(rows.T.cov(correction=0).reshape(x.shape[1], -1), SHARES[int(scores.argmax())])
        learned = Linear(x.shape[1], matrix=torch.linalg.cholesky(covariance), bias=rows.mean(0))
        self.load_state_dict(learned.state_dict())


def shrunk(covariance: Tensor, share: float) -> Tensor:
    """(1 − share) covariance + share · diagonal, (D, D)."""
    covariance = covariance.reshape(-1, covariance.shape[-1]) if covariance.dim() else covariance.reshape(1, 1)
    return (1.0 - share) * covariance + share * covariance.diagonal().diag()


def gaussian_score(offsets: Tensor, covariance: Tensor) -> Tensor:
    """The sum of log N(offset; 0, covariance) without its constant; −inf where the covariance is singular: ().

    It is where 1 − R² of a column, given those before it, is rounding, whether Cholesky's algorithm fails there or not.
    """
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed or (factor.diagonal().square() < 2e-14 * len(factor) * covariance.diagonal()).any():  # float64
        return torch.tensor(-torch.inf, dtype=offsets.dtype)
    z = torch.linalg.solve_triangular(factor, offsets.T, upper=False)
    return (-0.5 * z.square().sum() - len(offsets) * factor.diagonal().log().sum()).cpu()


def random_directions(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """An orthogonal matrix, every one as likely as any other, (D, D)."""
    raw = torch.randn(x.shape[1], x.shape[1], generator=generator, dtype=x.dtype).to(x.device)
    q, r = torch.linalg.qr(raw)
    return q * r.diagonal().sign()


def principal_directions(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """The axes of the data, the longest first, (D, D)."""
    return torch.linalg.svd(x - x.mean(0), full_matrices=len(x) < x.shape[1])[2].mT


def sliced_directions(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Orthogonal directions along which the points are far from normal: ascent of Σ_k W₂²(x·q_k, N(0, 1)), (D, D)."""
    q = random_directions(x, generator)
    normal = quantiles(len(x), x).unsqueeze(-1)  # (n, 1)
    for _ in range(ROUNDS):
        along = x @ q
        ordered, order = along.sort(0)
        pull = torch.zeros_like(along).scatter(0, order, ordered - normal)  # ½ ∂W₂²/∂(x·q), row by row
        slope = x.mT @ pull / len(x)
        slope = slope - q @ (q.mT @ slope + slope.mT @ q) / 2.0  # along the orthogonal matrices
        q, r = torch.linalg.qr(q + RATE * slope / slope.norm().clamp_min(1e-12) * len(q) ** 0.5)
        q = q * r.diagonal().sign()
    return q


def quantiles(n: int, like: Tensor) -> Tensor:
    """The n middle quantiles of a standard normal, (n,)."""
    middle = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return torch.special.ndtri(middle).to(like)


def normal_splines(y: Tensor, law: RationalQuadratic, stride: float) -> Tensor:
    """Parameters of splines that bring each column of y (n, D) nearer to normal, (D, 3 K − 1).

    The distribution function is a sum of normal kernels around the points, which are drawn together a little so that
    the kernels do not widen the column. The inner knots are quantiles, in even steps of the normal.
    """
    n, edge = len(y), 0.98 * law.bound
    mean, deviation = y.mean(0), y.std(0, correction=0)
    bandwidth = BANDWIDTH * n**-0.2
    centres = mean + (y if n <= KERNELS else every(y, KERNELS)).sub(mean) / (1.0 + bandwidth**2) ** 0.5  # (m, D)
    h = deviation * bandwidth / (1.0 + bandwidth**2) ** 0.5
    last = torch.special.ndtri(torch.tensor(1.0 - 0.5 / n, dtype=torch.float64)).item()
    parts = torch.special.ndtr(torch.linspace(-last, last, law.bins - 1, dtype=torch.float64)).to(y)
    knots = y.quantile(parts, 0).clamp(-edge, edge)  # (K − 1, D)
    u = (knots.unsqueeze(1) - centres) / h  # (K − 1, m, D)
    below = torch.special.ndtr(u).mean(1).clamp(0.1 / n, 1.0 - 0.1 / n)  # F
    z = torch.special.ndtri(below)
    density = (-0.5 * u.square()).exp().mean(1) / h  # √2π f
    slope = density / (-0.5 * z.square()).exp()  # dΦ⁻¹(F(y)) / dy
    z, slope = stride * z + (1.0 - stride) * knots, stride * slope + 1.0 - stride
    return law.through(z.clamp(-edge, edge).T, knots.T, 1.0 / slope.T)


def every(y: Tensor, count: int) -> Tensor:
    """`count` rows that stand for the distribution of each column of y (n, D): its quantiles."""
    ordered = y.sort(0).values
    return ordered[((torch.arange(count, device=y.device) + 0.5) * len(y) / count).long()]
