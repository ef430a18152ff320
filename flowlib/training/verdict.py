"""What is the matter with data, or with what a fit made of them: a sentence for each, or nothing.

A loss can look good and be useless. A density has no upper bound where numbers repeat, so a value that many rows share
lets the loss fall without end; rows that stand in both parts of the data are learned by heart; one far row takes the
range of all others. Each sentence names the column or the row, and what to do.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.training.history import History

LOOK = 2**22  # numbers that are looked at, at most
REPEATED, SHARE = 0.5, 0.05  # discrete: fewer different values than this part of the rows, or one of them in so many
TWICE = 0.005  # duplicated: more rows than this part
FAR = 10.0  # outliers: the deviation is so many times that of the middle half
PER_DIM = 10.0  # nats for each dimension below a Gaussian that no honest fit gains
ERRORS = 4.0  # standard errors below a floor that are no luck


def of_data(x: Tensor) -> list[str]:
    """What is the matter with these points (n, *shape)."""
    rows = x.detach().reshape(len(x), -1).double()
    rows = rows[: max(1000, LOOK // rows.shape[1])]
    said = [sentence for sentence in (discrete(rows), outliers(rows)) if sentence]
    return said or [sentence for sentence in (duplicates(rows),) if sentence]


def discrete(rows: Tensor) -> str:
    """Columns whose values repeat, rows (n, D)."""
    n, found = len(rows), []
    for column, values in enumerate(rows.T):
        different, counts = values.unique(return_counts=True)
        most = int(counts.max())
        if len(different) < REPEATED * n or most > max(10, SHARE * n):
            found.append((column, len(different), float(different[counts.argmax()]), most))
    if not found:
        return ""
    column, different, value, most = found[0]
    others = f" (and {len(found) - 1} more columns)" if len(found) > 1 else ""
    return (
        f"Column {column}{others} repeats its values: {different:,} different ones in {n:,} rows, {value:g} alone in "
        f"{most:,}. A density has no upper bound there, and the loss can fall without end: add noise that fills the "
        "steps between them (flowlib.pixels.UniformDequantize for whole numbers), or leave the column out."
    )


def duplicates(rows: Tensor) -> str:
    """Rows that stand there more than once, (n, D)."""
    weights = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0), dtype=rows.dtype)
    keys, order = (rows @ weights.to(rows.device)).sort(stable=True)
    again = (keys[1:] == keys[:-1]).nonzero().flatten()
    if len(again) <= TWICE * len(rows):
        return ""
    first, second = sorted(order[again[0] : again[0] + 2].tolist())
    return (
        f"{len(again):,} of {len(rows):,} rows stand there more than once (row {second} is row {first}): they are in "
        "the training part and in the held-out part, whose loss is then no test. Leave them out: data.unique(dim=0)."
    )


def outliers(rows: Tensor) -> str:
    """A column whose deviation a few far rows make, (n, D)."""
    low, middle, high = rows.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=rows.dtype, device=rows.device), 0)
    robust, deviation = (high - low) / 1.349, rows.std(0)
    ratio = torch.where(robust > 0, deviation / robust, 0.0)
    column = int(ratio.argmax())
    if ratio[column] < FAR:
        return ""
    row = int((rows[:, column] - middle[column]).abs().argmax())
    return (
        f"Row {row} has {rows[row, column]:.3g} in column {column}, where the middle half lies between "
        f"{low[column]:.3g} and {high[column]:.3g}: far rows make the deviation {ratio[column]:.0f} times as large, "
        "and the flow sees all others as one point. Leave such rows out, or take logarithms."
    )


def of_fit(history: History, data: Tensor, nats: Tensor) -> str:
    """What is the matter with a fit to data (n, *shape), whose best weights give held-out points these losses, (m,)."""
    error = float(nats.double().std() / len(nats) ** 0.5)
    said = start(history, error) + below_floor(history, error) + of_data(data)
    return " ".join(said or beside_a_gaussian(data, float(nats.mean())))


def beside_a_gaussian(data: Tensor, loss: float) -> list[str]:
    """Whether the loss is far from that of independent Gaussians with the deviations of the data, (n, *shape)."""
    x = data.detach().reshape(len(data), -1).double()
    dim = x.shape[1]
    gaussian = float(x.std(0).log().sum()) + 0.5 * dim * math.log(2 * math.pi * math.e)
    if loss > gaussian + max(1.0, 0.5 * dim):
        return [
            f"The loss is {loss - gaussian:.1f} nats above that of a Gaussian with the deviations of the data: the fit "
            "has hardly begun, or x is far from where the flow starts. Take more steps, or end the flow in Units."
        ]
    if loss < gaussian - PER_DIM * dim:
        return [
            f"The loss is {gaussian - loss:.0f} nats below that of a Gaussian with the deviations of the data, more "
            "than any shape explains: values that repeat, or rows on a thinner set than D dimensions?"
        ]
    return []


def of_energy(history: History, nats: Tensor, x: Tensor, energy: Callable[[Tensor], Tensor]) -> str:
    """The same for a fit to an energy U: the flow's own samples x (n, D) and log q + U there, (n,)."""
    farther = 10.0 * x
    if energy(farther).mean() < energy(x).mean():
        return (
            f"Samples reach |x| = {float(x.abs().max()):.1g}, and ten times as far U is lower still: exp(−U) has no "
            "finite integral, and the loss falls without end. Is the sign of U turned? p(x) is exp(−U(x))."
        )
    error = float(nats.double().std() / len(nats) ** 0.5)
    return " ".join(start(history, error) + below_floor(history, error))


def start(history: History, error: float) -> list[str]:
    good = history.gap is not None and history.gap < ERRORS * error
    if history.best_step or good or len(history.losses) < 10:
        return []
    return [
        f"The best step is 0 of {len(history.losses)}: the flow is as it began, nothing that was learned held on "
        "points that were not trained on. Try a tenth of lr, or more data."
    ]


def below_floor(history: History, error: float) -> list[str]:
    if history.gap is None or history.gap > -ERRORS * error - 1e-3:
        return []
    errors = -history.gap / max(error, 1e-12)
    return [
        f"The held-out loss is {-history.gap:.2g} nats below the floor, {errors:.0f} standard errors: no density "
        "can be. Is the entropy in nats and of these data? Is log_det right? prove(flow.transform)."
    ]
