"""Is a posterior right? Three checks, from what a reference can tell to what can be told without one.

    c2st        against samples of the true posterior: can a classifier tell the two apart?
    ranks       without a reference: among samples of q(θ | x) the θ that made x has a uniform rank
    coverage    the same for regions: the densest region that holds 80 % of q holds the true θ in 80 % of the cases

Ranks and coverage are necessary and not sufficient: a q that has learned nothing and always answers with the prior
passes both.
"""

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.models import Ensemble
from flowlib.support.checks import check_count
from flowlib.training.seeds import seeded


def c2st(samples: Tensor, reference: Tensor, folds: int = 5, seed: int = 0) -> float:
    """Classifier two-sample test: held-out accuracy of a small network, 0.5 where it cannot tell them apart, 1 where it
    always can.

    Args:
        samples, reference: (n, D) each, equally many.
        folds: of the cross-validation.
        seed: of the folds and of the network.

    Paper: Lopez-Paz and Oquab (2017), arXiv 1610.06545; network and folds as in Lueckmann et al. (2021), arXiv
    2101.04653, appendix B: two hidden layers of 10 D units.

    >>> x = torch.randn(400, 2)
    >>> c2st(x, x + 5.0) > 0.98
    True
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    if samples.shape != reference.shape or samples.dim() != 2:
        raise ValueError(
            f"c2st compares two sets of equally many points, (n, D) each; got {tuple(samples.shape)} and "
            f"{tuple(reference.shape)}."
        )
    points = torch.cat([samples, reference]).double().numpy()
    points = (points - reference.double().numpy().mean(0)) / reference.double().numpy().std(0)
    labels = torch.arange(2).repeat_interleave(len(samples)).numpy()
    width = 10 * samples.shape[1]
    network = MLPClassifier((width, width), max_iter=1000, random_state=seed)
    splits = StratifiedKFold(check_count("c2st", "folds", folds, 2), shuffle=True, random_state=seed)
    return float(cross_val_score(network, points, labels, cv=splits).mean())


def ranks(flow: Flow | Ensemble, theta: Tensor, x: Tensor, n: int = 100, seed: int = 0) -> Tensor:
    """How many of n samples of q(θ | x) lie below the θ that made x, for each parameter: (m, D) whole numbers, 0 to n.

    Where q is the posterior they are uniform; a heap in the middle says that q is too wide, heaps at both ends that it
    is too narrow, a slope that it is shifted.

    Args:
        flow: q.
        theta, x: m pairs of prior and simulator that were not trained on, (m, D) and (m, C).

    Paper: Talts et al. (2018), arXiv 1804.06788, theorem 1.
    """
    with seeded(seed, x.device):
        samples = flow.sample((n, len(theta)), x)  # (n, m, D)
    return (samples < theta).sum(0)


@torch.no_grad()
def coverage(flow: Flow | Ensemble, theta: Tensor, x: Tensor, n: int = 200, seed: int = 0) -> Tensor:
    """For each pair the share of q(θ | x) that is denser than at the θ that made x: (m,), in 0..1.

    `(coverage(...) < 0.8).double().mean()` is how often the densest region of 80 % holds the truth; where q is the
    posterior, 0.8.

    Args:
        flow: q.
        theta, x: m pairs of prior and simulator that were not trained on, (m, D) and (m, C).
        n: samples for each pair.

    Paper: Hermans et al. (2022), arXiv 2110.06581, definition 2 (expected coverage).
    """
    with seeded(seed, x.device):
        samples = flow.sample((n, len(theta)), x)  # (n, m, D)
    return (flow.log_prob(samples, x) > flow.log_prob(theta, x)).double().mean(0)
