"""What a fit is given, looked at once, before the first step."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.support.checks import check_above_zero, check_count

LEAST_ROWS = 10


def check_flow(owner: str, flow: Flow, context_given: bool) -> None:
    """Raise unless `flow` is a Flow with parameters, and has a context if, and only if, it needs one."""
    if not isinstance(flow, Flow):
        raise TypeError(f"{owner} expects a Flow first, e.g. real_nvp(dim=2); got {type(flow).__name__}.")
    if not any(parameter.requires_grad for parameter in flow.parameters()):
        raise ValueError(f"{owner}: the flow has no trainable parameters.")
    needed = flow.context_dim
    if needed and not context_given:
        what = "labels or conditions, one row for each row of data" if owner == "fit" else "rows of conditions"
        raise ValueError(f"{owner}: the flow needs a context of {needed} numbers a point ({what}); got none.")
    if context_given and not needed:
        raise ValueError(f"{owner}: got a context, but the flow takes none. Build it with context_dim=...")


def check_data(data: Tensor, flow: Flow, name: str = "data") -> Tensor:
    """The data on the device and, unless it takes any, in the dtype of the flow; an error that names what is wrong."""
    shape = tuple(flow.data_shape)
    expected = f"fit: {name} must have shape (n, {', '.join(map(str, shape))}), the points of the flow"
    if not isinstance(data, Tensor):
        kind = type(data).__name__
        raise TypeError(f"{expected}, or be a sampler; got {kind}. Convert with torch.as_tensor first.")
    if data.dim() != 1 + len(shape) or tuple(data.shape[1:]) != shape:
        raise ValueError(f"{expected}; got {tuple(data.shape)}.")
    if not data.is_floating_point():
        raise TypeError(f"{expected}, and be float; got dtype {data.dtype}. Convert with .float() first.")
    if len(data) < LEAST_ROWS:
        raise ValueError(f"fit: {name} has too few rows: {len(data)}; at least {LEAST_ROWS} are needed.")
    data = data.detach()
    good = data.flatten(1).isfinite().all(-1)
    if not good.all():
        bad = (~good).nonzero().flatten()
        raise ValueError(
            f"fit: {len(bad)} of {len(data)} rows of {name} hold nan or inf, the first is row "
            f"{int(bad[0])}. Leave them out: {name}[{name}.flatten(1).isfinite().all(-1)]."
        )
    constant = (data == data[:1]).all(0).nonzero().tolist()
    if constant:
        where = f"column {constant[0][0]}" if len(shape) == 1 else f"the number at {tuple(constant[0])}"
        raise ValueError(
            f"fit: {where} of {name} has the same value in every row: its density is infinite. Leave it out."
        )
    like = next(flow.parameters())
    return data.to(like.device if flow.transform.takes_any_float else like)


def check_points(owner: str, x: Tensor, dim: int, least: int = 2 * LEAST_ROWS) -> Tensor:
    """Points (n, dim) for a model that is no flow, floats, finite, enough; an error that names what is wrong."""
    expected = f"{owner} expects points, a float tensor of shape (n, {dim}) with {least} rows or more"
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = f"dtype {x.dtype}. Convert with .float() first" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{expected}; got {got}.")
    if x.dim() != 2 or x.shape[1] != dim or len(x) < least:
        raise ValueError(f"{expected}; got shape {tuple(x.shape)}.")
    bad = (~x.isfinite().all(-1)).nonzero().flatten()
    if len(bad):
        raise ValueError(f"{owner}: {len(bad)} of {len(x)} rows hold nan or inf, the first is row {int(bad[0])}.")
    return x.detach()


def check_context(context: Tensor | None, flow: Flow, rows: int, name: str = "data") -> Tensor:
    """The context on the device of the flow, one row for each row of data."""
    needed = flow.context_dim
    expected = f"context must be a tensor of shape ({rows}, {needed}), one row for each row of {name}"
    if not isinstance(context, Tensor):
        raise TypeError(f"{expected}; got {type(context).__name__}. Convert with torch.as_tensor first.")
    if context.shape != (rows, needed):
        hint = ""
        if context.dim() == 1:
            hint = " Turn class labels into torch.nn.functional.one_hot(labels)."
            hint = " Give it a second dimension: context[:, None]." if needed == 1 else hint
        raise ValueError(f"{expected}; got shape {tuple(context.shape)}.{hint}")
    bad = (~context.isfinite().all(-1)).nonzero().flatten()
    if len(bad):
        raise ValueError(f"{len(bad)} of {rows} rows of context hold nan or inf, the first is row {int(bad[0])}.")
    return context.detach().to(next(flow.parameters()).device)


def check_weights(weights: Tensor | None, data: Tensor) -> Tensor:
    """How much each row counts, on the device of the data, divided by their mean; ones where there are none."""
    if weights is None:
        return torch.ones(len(data), device=data.device)
    expected = f"fit: weights must be a tensor of shape ({len(data)},), one for each row of data"
    if not isinstance(weights, Tensor):
        raise TypeError(f"{expected}; got {type(weights).__name__}. Convert with torch.as_tensor first.")
    if weights.shape != (len(data),):
        raise ValueError(f"{expected}; got shape {tuple(weights.shape)}.")
    weights = weights.detach().double()
    if not (weights.isfinite() & (weights >= 0)).all() or weights.sum() == 0:
        raise ValueError(f"{expected}, finite, none below zero and not all zero; got {numbers(weights)}.")
    return (weights / weights.mean()).float().to(data.device)


def check_no_rows(**given: Tensor | None) -> None:
    """Raise if something came that has a row for each row of a tensor."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"fit: {name} goes with a tensor of data; a sampler has no rows for it.")


def numbers(values: Tensor, most: int = 6) -> str:
    """The first few numbers of a tensor, for a message."""
    few = values.flatten()[:most].tolist()
    return f"[{', '.join(f'{value:.4g}' for value in few)}{', …' if values.numel() > most else ''}]"


def check_energy(energy: Callable[..., Tensor], flow: Flow, *contexts: Tensor) -> None:
    """Try the energy on a few samples, with contexts if there are any: one finite number a point, with a gradient."""
    if not callable(energy):
        raise TypeError(f"fit_energy expects an energy, a function x (n, D) -> (n,); got {type(energy).__name__}.")
    given = tuple(rows[torch.arange(4, device=rows.device) % len(rows)] for rows in contexts)
    x = flow.sample(4, *given)
    u = energy(x.requires_grad_(), *given)
    expected = f"fit_energy: the energy must return one number a point, a tensor of shape (4,) for x {tuple(x.shape)}"
    if not isinstance(u, Tensor):
        raise TypeError(f"{expected}; got {type(u).__name__}.")
    if u.shape != (4,):
        hint = " Sum over the last dimension only: .sum(-1)." if u.dim() != 1 else ""
        raise ValueError(f"{expected}; got shape {tuple(u.shape)}.{hint}")
    bad = int((~u.isfinite()).sum())
    if bad:
        raise ValueError(f"fit_energy: the energy is nan or infinite at {bad} of 4 samples of the flow, {x.tolist()}.")
    if not u.requires_grad:
        raise ValueError(
            "fit_energy: the energy has no gradient; write it with torch operations on x, without .detach()."
        )


def check_numbers(
    owner: str, steps: int, batch: int, lr: float, clip: float, snapshots: int, patience: int | None = None
) -> tuple[float, float]:
    """The numbers that both kinds of fit take; lr and clip as floats."""
    for name, value, least in (("steps", steps, 1), ("batch", batch, 1), ("snapshots", snapshots, 0)):
        check_count(owner, name, value, least)
    if patience is not None:
        check_count(owner, "patience", patience)
    return check_above_zero(owner, "lr", lr), check_above_zero(owner, "clip", clip)


def check_fraction(owner: str, name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, float) or not 0.0 < value < 1.0:
        raise ValueError(f"{owner}: {name} must be a fraction between 0 and 1; got {value!r}.")
    return value


def check_floor(entropy: float | None) -> float | None:
    if entropy is None:
        return None
    if isinstance(entropy, bool) or not isinstance(entropy, int | float) or not math.isfinite(entropy):
        raise ValueError(f"fit: entropy must be a finite number of nats; got {entropy!r}.")
    return float(entropy)
