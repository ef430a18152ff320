"""How near are samples to data? Five scores that know no model: all they see is two sets of points.

    nearest_neighbour_test   is a point's nearest neighbour of its own set? ½: nobody can tell; below ½: copies
    sliced_wasserstein       how far must mass be carried, seen along lines
    precision_recall         the share of samples that look like data, and of data that samples look like
    frechet                  the distance of two Gaussians with the means and covariances of the sets
    kernel_log_prob          a density made of samples, for models that have none; poor beyond a few dimensions

A density says more than all of them, where there is one: it is told in nats and has a floor. Of a model without a
density these are what one has. Each is of sets and not of laws: compare numbers at equal sizes of the sets only.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlib.bases import LOG_2PI
from flowlib.support.checks import check_above_zero, check_count
from flowlib.training.seeds import seeded


class PrecisionRecall(NamedTuple):
    """Two shares, 0 to 1."""

    precision: float
    recall: float


def nearest_neighbour_test(samples: Tensor, reference: Tensor) -> float:
    """Leave-one-out accuracy of the nearest neighbour that tells samples from data: 1 where it always can, ½ where it
    cannot, near 0 where each sample is a copy of a point of the data.

    Each of the 2 n points is given to the set of its nearest neighbour among the others; a tie counts half.

    Args:
        samples, reference: (n, D) each, equally many, 2 at least.

    Errors: ValueError if one set has more points, because the larger one would be guessed more often.

    Papers: Lopez-Paz and Oquab (2017), arXiv 1610.06545, section 3; leave one out as in Xu et al. (2018), arXiv
    1806.07755.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> nearest_neighbour_test(x + 100.0, x), nearest_neighbour_test(x, x)
    (1.0, 0.0)
    """
    samples, reference = check_sets("nearest_neighbour_test", samples, reference, 2)
    if len(samples) != len(reference):
        raise ValueError(
            f"nearest_neighbour_test needs as many samples as points of reference; got {len(samples)} and "
            f"{len(reference)}. Leave some out of the larger set."
        )
    across = distances(samples, reference)  # (n, n)
    right = []
    for points, other in ((samples, across.amin(1)), (reference, across.amin(0))):
        own = distances(points, points).fill_diagonal_(torch.inf).amin(1)
        right.append((own < other).double() + 0.5 * (own == other).double())
    return float(torch.cat(right).mean())


def sliced_wasserstein(samples: Tensor, reference: Tensor, directions: int = 200, seed: int = 0) -> float:
    """The sliced Wasserstein-2 distance, in the unit of the data: 0 for equal sets.

        SW² = mean over directions θ, |θ| = 1, of ∫ (Q_samples(u) − Q_reference(u))² du,   Q the quantiles of θ · x

    On a line the cheapest way to carry one set into the other is in order, so each term is a sort. A set that is moved
    by v has SW = |v| / √D in the mean over all directions.

    Args:
        samples, reference: (n, D) and (m, D).
        directions: how many lines, drawn at random.
        seed: of the directions. Equal seeds, equal directions: so distances can be compared.

    Paper: Rabin et al. (2012), Wasserstein barycenter and its application to texture mixing.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> sliced_wasserstein(x + 2.0, x)
    2.0
    """
    samples, reference = check_sets("sliced_wasserstein", samples, reference, 1)
    n, m = len(samples), len(reference)
    with seeded(seed, samples.device):
        theta = torch.randn(check_count("sliced_wasserstein", "directions", directions), samples.shape[1])
    theta = torch.nn.functional.normalize(theta.to(samples), dim=-1)  # (directions, D)
    one, other = ((points @ theta.T).sort(0).values for points in (samples, reference))  # (n, ·), (m, ·)
    ends = torch.cat([torch.arange(1, k + 1, dtype=samples.dtype) / k for k in (n, m)]).unique()  # of steps of Q
    width = ends.diff(prepend=ends.new_zeros(1))
    middle = ends - width / 2
    gap = one[(n * middle).long()] - other[(m * middle).long()]  # (steps, directions)
    return float((width @ gap.square()).mean().sqrt())


def precision_recall(samples: Tensor, reference: Tensor, k: int = 3) -> PrecisionRecall:
    """Precision: the share of samples that lie where data are. Recall: the share of data that lie where samples are.

    Where a set is: in a ball around one of its points that reaches to the point's k-th nearest neighbour in the set.
    A model that drops half of the data keeps its precision and loses recall; one that adds noise loses precision.

    Args:
        samples, reference: (n, D) and (m, D), more than k each.
        k: which neighbour a ball reaches; with a larger k both numbers rise.

    Returns:
        `precision` and `recall`, in this order.

    Paper: Kynkäänniemi et al. (2019), arXiv 1904.06991, section 2.

    >>> x = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    >>> precision_recall(x[:3] + 0.5, x, k=1)
    PrecisionRecall(precision=1.0, recall=0.5)
    """
    samples, reference = check_sets("precision_recall", samples, reference, check_count("precision_recall", "k", k) + 1)
    across = distances(samples, reference)  # (n, m)
    near_data, near_samples = across <= radii(reference, k), across <= radii(samples, k)[:, None]
    return PrecisionRecall(
        float(near_data.any(1).double().mean()),
        float(near_samples.any(0).double().mean()),
    )


def frechet(samples_features: Tensor, reference_features: Tensor) -> float:
    """The squared Fréchet distance of two Gaussians with the means and covariances of the sets:

        |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)

    Called FID where the features are those of an Inception network. It sees means and covariances alone, and it is
    biased: sets of one law have a distance above 0, about as 1 / n, the more the more features there are.

    Args:
        samples_features, reference_features: (n, F) and (m, F), 2 at least.

    Papers: Dowson and Landau (1982), The Fréchet distance between multivariate normal distributions; Heusel et al.
    (2017), arXiv 1706.08500, equation 6; Chong and Forsyth (2020), arXiv 1911.07023, for the bias.

    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet(x + torch.tensor([3.0, 4.0]), x), 6), round(frechet(2 * x, x), 6)  # 2: |mean|² = 2, tr Σ = 8 / 3
    (25.0, 4.666667)
    """
    samples, reference = check_sets("frechet", samples_features, reference_features, 2)
    one, other = (torch.cov(points.T).reshape(2 * points.shape[1:]) for points in (samples, reference))  # (F, F)
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp_min(0.0).sqrt() @ vectors.T  # Σ₁^½; Σ₁ Σ₂ has the eigenvalues of Σ₁^½ Σ₂ Σ₁^½
    mixed = torch.linalg.eigvalsh(root @ other @ root).clamp_min(0.0).sqrt().sum()
    apart = (samples.mean(0) - reference.mean(0)).square().sum()
    return max(0.0, float(apart + one.trace() + other.trace() - 2.0 * mixed))


def kernel_log_prob(x: Tensor, samples: Tensor, width: float) -> Tensor:
    """log of the density that has a small Gaussian of this width at each of m samples, at points x: (n, D) -> (n,).

        log p(x) = log (1/m) Σ_j N(x; x_j, width² I)

    The usual stand-in where a model has samples and no density (a Parzen window). In many dimensions no point has a
    near neighbour among the samples: the density then says more of the width than of the model.

    Args:
        x, samples: (n, D) and (m, D).
        width: deviation of each Gaussian, in the unit of the data; choose it on points that are in neither.

    Paper: Theis et al. (2016), arXiv 1511.01844, why not to judge models by it.

    >>> kernel_log_prob(torch.zeros(1, 2), torch.tensor([[0.0, 0.0]]), 1.0).item() == -math.log(2 * math.pi)
    True
    """
    x, samples = check_sets("kernel_log_prob", x, samples, 1)
    width = check_above_zero("kernel_log_prob", "width", width)
    heights = -0.5 * (torch.cdist(x, samples) / width).square() - x.shape[1] * (math.log(width) + 0.5 * LOG_2PI)
    return heights.logsumexp(1) - math.log(len(samples))


def distances(points: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances, exactly 0 between equal points: (n, D), (m, D) -> (n, m)."""
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def radii(points: Tensor, k: int) -> Tensor:
    """From each point to its k-th nearest neighbour, itself not counted: (n, D) -> (n,)."""
    return distances(points, points).fill_diagonal_(torch.inf).kthvalue(k).values


def check_sets(owner: str, samples: Tensor, reference: Tensor, at_least: int) -> tuple[Tensor, Tensor]:
    """Both sets in float64 if they are finite points of one dimension, `at_least` of each; ValueError otherwise."""
    for name, points in (("samples", samples), ("reference", reference)):
        if not isinstance(points, Tensor) or points.dim() != 2 or 0 in points.shape:
            got = f"shape {tuple(points.shape)}" if isinstance(points, Tensor) else type(points).__name__
            raise ValueError(f"{owner}: {name} must be a tensor of points as rows, (n, D); got {got}.")
        if len(points) < at_least:
            raise ValueError(f"{owner} needs {at_least} points or more in each set; {name} has {len(points)}.")
        if not points.isfinite().all():
            raise ValueError(f"{owner}: {name} must be finite; there is nan or inf in it. Did the training diverge?")
    if samples.shape[1] != reference.shape[1]:
        raise ValueError(
            f"{owner}: both sets must have one dimension; got {tuple(samples.shape)} and {tuple(reference.shape)}."
        )
    return samples.detach().double().cpu(), reference.detach().double().cpu()
