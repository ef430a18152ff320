"""What arrives from outside is checked here, once: shapes, numbers, ranges.

Every message says what came, what was expected and what to do, because its reader is a learner in the
middle of a notebook.
"""

import math
from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

Number = float | int
VectorLike = Number | Sequence | Tensor


def check_count(owner: str, name: str, value: int, at_least: int = 1) -> int:
    """`value` as an int if it is a whole number (numpy's too) of at least `at_least`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{owner}: {name} must be a whole number, {at_least} or more; got {value!r}.")
    return int(value)


def check_size(owner: str, size: int | Sequence[int]) -> torch.Size:
    """The event shape that `size` means: a whole number D is (D,), a shape such as (C, H, W) is itself."""
    if not isinstance(size, Sequence) or isinstance(size, str):
        return torch.Size([check_count(owner, "dim", size)])
    if len(size) == 0:
        raise ValueError(f"{owner}: shape must hold whole numbers, such as (C, H, W); got {size!r}.")
    return torch.Size(check_count(owner, "each number of shape", number) for number in size)


def check_image(owner: str, shape: Sequence[int]) -> torch.Size:
    """`shape` if it is that of an image, (C, H, W); ValueError otherwise."""
    if not isinstance(shape, Sequence) or len(shape) != 3:
        got = tuple(shape) if isinstance(shape, torch.Size) else shape
        raise ValueError(f"{owner}: shape must be three whole numbers (C, H, W); got {got!r}.")
    return check_size(owner, shape)


def check_even(owner: str, shape: Sequence[int]) -> torch.Size:
    """`shape` if it is that of an image whose height and width can be halved; ValueError otherwise."""
    channels, height, width = check_image(owner, shape)
    if height % 2 or width % 2:
        raise ValueError(f"{owner}: H and W must be even; got {tuple(shape)}. Use fewer scales, or pad the images.")
    return torch.Size((channels, height, width))


def check_choice(owner: str, name: str, value: str, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`; ValueError otherwise."""
    if value not in allowed:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
    return value


def check_above_zero(owner: str, name: str, value: Number, or_zero: bool = False) -> float:
    """`value` as a float if it is a finite number above zero, or zero where that is allowed; ValueError otherwise."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (value == 0 and not or_zero):
        expected = "a finite number, 0 or more" if or_zero else "a finite number greater than 0"
        raise ValueError(f"{owner}: {name} must be {expected}; got {value!r}.")
    return float(value)


def check_contraction(owner: str, coefficient: Number) -> float:
    """`coefficient` as a float if it is above zero and below 1, the Lipschitz constant of a contraction."""
    if check_above_zero(owner, "coefficient", coefficient) >= 1.0:
        raise ValueError(
            f"{owner}: coefficient must be below 1, or z + g(z) need not have an inverse; got {coefficient!r}."
        )
    return float(coefficient)


def check_numbers(owner: str, name: str, value: VectorLike, dims: int) -> Tensor:
    """`value` as a new tensor of torch's default dtype, finite, with `dims` dimensions (a single number has none)."""
    expected = f"finite numbers with {dims} dimension{'s' if dims != 1 else ''}"
    try:
        tensor = torch.as_tensor(value).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{owner}: {name} must be {expected}; got {value!r}.") from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{owner}: {name} must be {expected}; got dtype {tensor.dtype}.")
    if tensor.dim() != dims:
        raise ValueError(f"{owner}: {name} must be {expected}; got shape {tuple(tensor.shape)}.")
    if not tensor.is_meta and not tensor.isfinite().all():
        raise ValueError(f"{owner}: {name} must be {expected}; got {tensor.tolist()}.")
    return tensor.to(torch.get_default_dtype())


def check_shape(owner: str, name: str, value: VectorLike, shape: Sequence[int]) -> Tensor:
    """`value` as a new tensor of finite floats of `shape`; a single number fills the shape."""
    if isinstance(value, int | float) or (isinstance(value, Tensor) and value.dim() == 0):
        return check_numbers(owner, name, value, 0).expand(tuple(shape)).clone()
    tensor = check_numbers(owner, name, value, len(shape))
    if tensor.shape != torch.Size(shape):
        raise ValueError(f"{owner}: {name} must have shape {tuple(shape)}; got shape {tuple(tensor.shape)}.")
    return tensor


def check_positive(owner: str, name: str, value: VectorLike, shape: Sequence[int]) -> Tensor:
    """As `check_shape`, and every number must be greater than zero."""
    tensor = check_shape(owner, name, value, shape)
    if not tensor.is_meta and not (tensor > 0).all():
        raise ValueError(f"{owner}: {name} must be greater than 0; got {tensor.tolist()}.")
    return tensor


def check_event(owner: str, value: Tensor, event_shape: Sequence[int]) -> None:
    """Raise unless `value` is a float tensor whose last dimensions are `event_shape`."""
    if not isinstance(value, Tensor):
        problem, came = TypeError, f"{type(value).__name__}. Convert with torch.as_tensor first."
    elif not value.is_floating_point():
        problem, came = TypeError, f"dtype {value.dtype}. Convert with .float() first."
    elif value.shape[max(0, value.dim() - len(event_shape)) :] != tuple(event_shape):
        problem, came = ValueError, f"shape {tuple(value.shape)}."
    else:
        return
    shape = ", ".join(["...", *map(str, event_shape)])
    raise problem(f"{owner} expects a float tensor of shape ({shape}); got {came}")


def check_context(context: Tensor | None, context_dim: int, batch: Sequence[int] | None = None) -> Tensor | None:
    """`context` if it has the size that a layer was built for, and one row for all points of a batch of this shape or
    one for each; ValueError otherwise."""
    if context_dim == 0:
        if context is not None:
            raise ValueError(f"this layer takes no context; got one of shape {tuple(context.shape)}.")
        return None
    if context is None or context.shape[-1:] != (context_dim,):
        got = "none" if context is None else f"shape {tuple(context.shape)}"
        hint = " Give it another dimension: context[:, None]." if context_dim == 1 and context is not None else ""
        raise ValueError(f"this layer needs a context of shape (..., {context_dim}); got {got}.{hint}")
    rows = context.shape[:-1]
    if batch is not None and not fits(rows, batch):
        sizes = ", ".join(map(str, [*batch, context_dim]))
        each = f" For {batch[0]} points of each context: sample(({batch[0]}, {rows[0]}), context)." if rows else ""
        raise ValueError(
            f"points {tuple(batch)} need a context of shape ({sizes}), one for each, or ({context_dim},), one for all; "
            f"got shape {tuple(context.shape)}.{each if len(batch) == 1 else ''}"
        )
    return context


def fits(rows: Sequence[int], batch: Sequence[int]) -> bool:
    """Whether something of shape `rows` can be repeated to `batch` (broadcasting)."""
    pairs = zip(reversed(rows), reversed(batch), strict=False)
    return len(rows) <= len(batch) and all(row in (1, size) for row, size in pairs)
