"""The change of variables: the whole theory of normalizing flows in one short file.

A flow turns noise into data. `forward` goes z -> x (generate), `inverse` goes x -> z (normalize):

    z ~ p_Z,   x = f(z),   log p_X(x) = log p_Z(f⁻¹(x)) + log |det ∂f⁻¹/∂x|

`Transform` is f, `Compose` is f_K ∘ ... ∘ f_1, `Inverse` swaps the directions, `Flow` joins f to its base
density p_Z. The formula above stands once, in `Flow.log_prob`.

Paper: Papamakarios et al. (2021), Normalizing flows for probabilistic modeling and inference, section 2.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from flowlib.bases import Base
from flowlib.support.checks import check_count, check_event

CHUNK = 2**18  # numbers: 8192 points of 32 dimensions or less, 334 images of 28 × 28 pixels


class Transform(nn.Module):
    """An invertible map f: z -> x that knows the log |det| of its Jacobian.

    Subclasses write two methods. Each returns the new point and `log_det`, the log of the absolute
    determinant of the Jacobian of *that call*; so at a pair (z, x) the two log-determinants are opposite.

    Args:
        event_shape: shape of one point z, `(D,)` for vectors, `(C, H, W)` for images. Every dimension to its left is
            a batch dimension; there may be any number of those, also none, also of size zero.
        data_shape: shape of one point x, where it is another one (the same numbers in another arrangement).
    """

    def __init__(self, event_shape: Iterable[int], data_shape: Iterable[int] | None = None):
        super().__init__()
        self.event_shape = torch.Size(event_shape)
        self.data_shape = self.event_shape if data_shape is None else torch.Size(data_shape)
        self.event_dims, self.data_dims = len(self.event_shape), len(self.data_shape)
        self.axes = tuple(range(-self.event_dims, 0))  # of z: what a sum over one point runs along

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (..., D) -> x = f(z) (..., D) and log |det ∂f/∂z| (...)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(z, context=None) -> (x, log_det).")

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (..., D) -> z = f⁻¹(x) (..., D) and log |det ∂f⁻¹/∂x| (...)."""
        raise NotImplementedError(f"{type(self).__name__} must define inverse(x, context=None) -> (z, log_det).")

    def check_input(self, value: Tensor) -> None:
        """Raise a clear error unless `value` is a float tensor of shape (..., *event_shape)."""
        check_event(type(self).__name__, value, self.event_shape)

    def check_data(self, value: Tensor) -> None:
        """Raise a clear error unless `value` is a float tensor of shape (..., *data_shape)."""
        check_event(type(self).__name__, value, self.data_shape)

    def batch_shape(self, z: Tensor) -> torch.Size:
        """The dimensions of z to the left of the event, (...)."""
        return z.shape[: z.dim() - self.event_dims]

    def extra_repr(self) -> str:
        if self.data_shape != self.event_shape:
            return f"{tuple(self.event_shape)} → {tuple(self.data_shape)}"
        return f"dim={self.event_shape[0]}" if self.event_dims == 1 else f"shape={tuple(self.event_shape)}"


class Compose(Transform):
    """f = f_K ∘ ... ∘ f_1: the first transform in the list acts first on z.

    log |det ∂f/∂z| = Σ_k log |det ∂f_k/∂z_{k-1}|, each taken where the point then is (the chain rule).
    Invertible because every part is; the inverse runs the list backwards. `Compose([])` is the identity.

    Args:
        transforms: [f_1, ..., f_K], each taking points of the shape that the one before it gives.

    >>> from flowlib.transforms import Planar, Radial
    >>> x, log_det = Compose([Planar(2), Radial(2)])(torch.zeros(5, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, transforms: Iterable[Transform]):
        transforms = list(transforms)
        for k, transform in enumerate(transforms):
            if not isinstance(transform, Transform):
                raise TypeError(f"Compose expects Transforms; item {k} is a {type(transform).__name__}.")
            if k > 0 and transform.event_shape != transforms[k - 1].data_shape:
                raise ValueError(
                    f"Compose: item {k - 1} ({type(transforms[k - 1]).__name__}) gives points of shape "
                    f"{tuple(transforms[k - 1].data_shape)}, item {k} ({type(transform).__name__}) takes "
                    f"{tuple(transform.event_shape)}. Give them one shape."
                )
        super().__init__(*((transforms[0].event_shape, transforms[-1].data_shape) if transforms else ((),)))
        # no transforms: the identity on vectors of every size
        self.event_dims = transforms[0].event_dims if transforms else 1
        self.data_dims = transforms[-1].data_dims if transforms else 1
        self.transforms = nn.ModuleList(transforms)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        log_det = z.new_zeros(self.batch_shape(z))
        for transform in self.transforms:
            z, term = transform(z, context)
            log_det = log_det + term
        return z, log_det

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        log_det = x.new_zeros(x.shape[: x.dim() - self.data_dims])
        for transform in reversed(self.transforms):
            x, term = transform.inverse(x, context)
            log_det = log_det + term
        return x, log_det

    def trace(self, z: Tensor, context: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (z_k, Σ_{i≤k} log-dets) for k = 0, ..., K: the path of each point, for pictures."""
        self.check_input(z)
        log_det = z.new_zeros(self.batch_shape(z))
        yield z, log_det
        for transform in self.transforms:
            z, term = transform(z, context)
            log_det = log_det + term
            yield z, log_det

    def extra_repr(self) -> str:
        return ""


class Inverse(Transform):
    """The same map with its two directions swapped: Inverse(f).forward is f.inverse.

    >>> from flowlib.transforms import Sigmoid
    >>> Inverse(Sigmoid(1))(torch.tensor([0.5]))[0]
    tensor([0.])
    """

    def __init__(self, transform: Transform):
        if not isinstance(transform, Transform):
            raise TypeError(f"Inverse expects a Transform; got {type(transform).__name__}.")
        super().__init__(transform.data_shape, transform.event_shape)
        self.event_dims, self.data_dims = transform.data_dims, transform.event_dims
        self.transform = transform

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(z, context)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(x, context)

    def extra_repr(self) -> str:
        return ""


class Flow(nn.Module):
    """A base density p_Z and a transform f: together the density p_X of x = f(z).

    Args:
        transform: f, from noise to data.
        base: p_Z, a density with the event shape of f.

    >>> from flowlib.bases import StandardNormal
    >>> from flowlib.transforms import Planar
    >>> flow = Flow(Planar(2), StandardNormal(2))
    >>> flow.log_prob(flow.sample(5)).shape
    torch.Size([5])
    """

    def __init__(self, transform: Transform, base: Base):
        super().__init__()
        if not isinstance(transform, Transform):
            raise TypeError(f"Flow expects a Transform first; got {type(transform).__name__}.")
        if not isinstance(base, Base):
            raise TypeError(f"Flow expects a base density second, e.g. StandardNormal(2); got {type(base).__name__}.")
        if transform.event_shape and transform.event_shape != base.event_shape:
            raise ValueError(
                f"Flow: the transform works on events of shape {tuple(transform.event_shape)}, the base on "
                f"{tuple(base.event_shape)}. Give both the same shape."
            )
        self.transform = transform
        self.base = base
        self.data_shape = transform.data_shape or base.event_shape

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p_X(x) = log p_Z(f⁻¹(x)) + log |det ∂f⁻¹/∂x| in nats: x (..., D) -> (...)."""
        check_event("Flow.log_prob", x, self.data_shape)
        z, log_det = in_chunks(self.transform.inverse, x, context, len(self.data_shape))
        return self.base.log_prob(z) + log_det

    def sample(self, n: int, context: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """n points x = f(z), z ~ p_Z: shape (n, D). A temperature below 1 draws z closer to the mode."""
        z = self.base.sample(check_count("Flow.sample", "n", n, 0), temperature)
        return in_chunks(self.transform, z, context, len(self.base.event_shape))[0]

    def sample_with_log_prob(self, n: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """n points (n, D) and their log p_X (n,), by one pass forward: log p_X(f(z)) = log p_Z(z) − log |det ∂f/∂z|."""
        z = self.base.sample(check_count("Flow.sample_with_log_prob", "n", n, 0))
        x, log_det = self.transform(z, context)
        return x, self.base.log_prob(z) - log_det

    def bits_per_dim(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """−log₂ p_X(x) / D in bits: x (..., D) -> (...). A nat is 1 / log 2 bits."""
        return bits(self.log_prob(x, context), self.data_shape.numel())


def bits(nats: Tensor | float, dim: int) -> Tensor | float:
    """−nats / (D log 2): a log-probability of D numbers as bits for each of them."""
    return -nats / (math.log(2.0) * dim)


def in_chunks(
    call: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]], points: Tensor, context: Tensor | None, dims: int
) -> tuple[Tensor, Tensor]:
    """call(points, context), where no gradient is wanted a CHUNK of numbers at a time: what a network makes of so many
    vectors stays in the processor's cache, and what it makes of so many images in memory. A point counts as 32 numbers
    at least, because a network makes that many of it. The last `dims` dimensions of `points` are one point."""
    shape, event = points.shape[: points.dim() - dims], points.shape[points.dim() - dims :]
    size = max(1, CHUNK // max(32, event.numel()))  # points at a time
    if shape.numel() <= size or torch.is_grad_enabled():
        return call(points, context)
    parts = points.reshape(-1, *event).split(size)
    if context is None or context.dim() == 1:
        contexts = [context] * len(parts)
    else:
        contexts = context.expand(*shape, context.shape[-1]).reshape(-1, context.shape[-1]).split(size)
    moved, log_det = zip(*map(call, parts, contexts), strict=True)
    log_det = [term.expand(len(part)) for term, part in zip(log_det, parts, strict=True)]
    moved = torch.cat(moved)
    return moved.reshape(*shape, *moved.shape[1:]), torch.cat(log_det).reshape(shape)
