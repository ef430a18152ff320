"""The change of variables: the whole theory of normalizing flows in one short file.

A flow turns noise into data. `forward` goes z -> x (generate), `inverse` goes x -> z (normalize):

    z ~ p_Z,   x = f(z),   log p_X(x) = log p_Z(f⁻¹(x)) + log |det ∂f⁻¹/∂x|

`Transform` is f, `Compose` is f_K ∘ ... ∘ f_1, `Inverse` swaps the directions, `Given` fixes a context, `Base` is p_Z,
and `Flow` joins f to its base. The formula above stands once, in `Flow.log_prob`.

Paper: Papamakarios et al. (2021), Normalizing flows for probabilistic modeling and inference, section 2, arXiv
1912.02762.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowlib.support.checks import check_context, check_count, check_event
from flowlib.support.chunks import in_chunks


@dataclass(frozen=True)
class Cost:
    """What one direction of a transform costs: in words, and about how many passes of a map that is a formula."""

    words: str
    passes: float

    def __str__(self) -> str:
        return self.words


ONE_PASS = Cost("one pass", 1)
ROOTS = Cost("root finding in every layer", 10)


def steps(dim: int) -> Cost:
    """The cost of one pass for each coordinate."""
    return Cost(f"{dim} steps, one for each coordinate", dim)


class Transform(nn.Module):
    """An invertible map f: z -> x that knows the log |det| of its Jacobian.

    Subclasses write two methods. Each returns the new point and `log_det`, the log of the absolute
    determinant of the Jacobian of *that call*; so at a pair (z, x) the two log-determinants are opposite.

    A transform says what it is made of: `costs` of forward and inverse, the size `context_dim` of the context that it
    wants (0 for none), and its `layers()` one after the other.

    Args:
        event_shape: shape of one point z, `(D,)` for vectors, `(C, H, W)` for images. Every dimension to its left is
            a batch dimension; there may be any number of those, also none, also of size zero.
        data_shape: shape of one point x, where it is another one (the same numbers in another arrangement).
    """

    context_dim: int = 0
    costs: tuple[Cost, Cost] = (ONE_PASS, ONE_PASS)
    takes_any_float: bool = False  # whether `inverse` takes points of another precision than its parameters

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

    def layers(self) -> "list[Transform]":
        """The same map as a list, the first to act on z first."""
        return [self]

    def learn(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Make inverse(x) more normal for these points (n, D), where a layer can see from points what it should be. The
        others stay as they are."""

    @property
    def acts_on(self) -> torch.Size:
        """The shape of the numbers that move: all of z, but for a layer that lets some of them wait."""
        return self.event_shape

    @property
    def kind(self) -> str:
        """What reports call it: the name of its class, or of the one that it wraps."""
        return type(self).__name__

    def describe(self) -> str:
        """One line for reports."""
        sizes = self.extra_repr()
        return f"{type(self).__name__}({sizes})" if sizes else type(self).__name__

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
    Invertible because every part is; the inverse runs the list backwards. `f[:k]` is the first k of its `layers()`.

    Args:
        transforms: [f_1, ..., f_K], each taking points of the shape that the one before it gives.
        event_shape: shape of z, needed only where the list is empty: the identity on such points.

    >>> from flowlib.transforms import Planar, Radial
    >>> x, log_det = Compose([Planar(2), Radial(2)])(torch.zeros(5, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, transforms: Iterable[Transform], event_shape: Sequence[int] | None = None):
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
        if transforms:
            super().__init__(transforms[0].event_shape, transforms[-1].data_shape)
        elif event_shape is not None:
            super().__init__(event_shape)
        else:
            raise ValueError(
                "Compose: the list is empty; expected at least one Transform. "
                "For the identity say on what points: Compose([], event_shape=[2])."
            )
        self.transforms = nn.ModuleList(transforms)
        self.context_dim = one_context("Compose", transforms)
        self.costs = dearest(transforms)
        self.takes_any_float = bool(transforms) and transforms[-1].takes_any_float

    def layers(self) -> list[Transform]:
        return [layer for transform in self.transforms for layer in transform.layers()]

    def __getitem__(self, which: slice) -> "Compose":
        if not isinstance(which, slice):
            raise TypeError(f"Compose: f[:k] is the first k layers of f; got f[{which!r}]. One layer: f.layers()[k].")
        return Compose(self.layers()[which], self.event_shape)

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


class Wrapper(Transform):
    """A transform around another one, which says of itself what that one says."""

    def __init__(self, transform: Transform, event_shape: Iterable[int], data_shape: Iterable[int] | None):
        super().__init__(event_shape, data_shape)
        self.transform, self.context_dim, self.costs = transform, transform.context_dim, transform.costs

    @property
    def acts_on(self) -> torch.Size:
        return self.transform.acts_on

    @property
    def kind(self) -> str:
        return self.transform.kind

    def describe(self) -> str:
        return self.transform.describe()

    def extra_repr(self) -> str:
        return ""


class Inverse(Wrapper):
    """The same map with its two directions swapped: Inverse(f).forward is f.inverse.

    >>> from flowlib.transforms import Sigmoid
    >>> Inverse(Sigmoid(1))(torch.tensor([0.5]))[0]
    tensor([0.])
    """

    acts_on = Transform.acts_on

    def __init__(self, transform: Transform):
        if not isinstance(transform, Transform):
            raise TypeError(f"Inverse expects a Transform; got {type(transform).__name__}.")
        super().__init__(transform, transform.data_shape, transform.event_shape)
        self.costs = transform.costs[::-1]

    def layers(self) -> list[Transform]:
        layers = self.transform.layers()
        return [self] if layers == [self.transform] else [Inverse(layer) for layer in reversed(layers)]

    def describe(self) -> str:
        return f"{type(self).__name__}({self.transform.describe()})"

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(z, context)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(x, context)


class Given(Wrapper):
    """A transform with its context fixed: a map like any other, so that proofs and pictures need no second way.

    Map: x = f(z; context). Log-determinant and inverse are those of f at this context.

    Args:
        transform: f, with context_dim = C above zero.
        context: (C,); a number where C = 1.

    >>> from flowlib.models import real_nvp
    >>> Given(real_nvp(layers=2, context_dim=1).transform, 0.5)(torch.zeros(3, 2))[0].shape
    torch.Size([3, 2])
    """

    def __init__(self, transform: Transform, context: Tensor | Sequence[float] | float):
        if not isinstance(transform, Transform):
            raise TypeError(f"Given expects a Transform first; got {type(transform).__name__}.")
        super().__init__(transform, transform.event_shape, transform.data_shape)
        like = next(transform.parameters(), torch.empty(0))  # on a GPU, the context is there too
        dtype = context.dtype if isinstance(context, Tensor) else like.dtype
        context = torch.as_tensor(context, dtype=dtype, device=like.device)
        context = context.reshape(1) if context.dim() == 0 else context
        if context.dim() != 1:
            raise ValueError(
                f"Given fixes one context for all points, ({transform.context_dim},); got shape "
                f"{tuple(context.shape)}. Several contexts go to the transform itself."
            )
        check_context(context, transform.context_dim)
        self.context_dim, self.takes_any_float = 0, transform.takes_any_float
        self.register_buffer("context", context, persistent=False)

    def layers(self) -> list[Transform]:
        layers = self.transform.layers()
        if layers == [self.transform]:
            return [self]
        return [Given(layer, self.context) if layer.context_dim else layer for layer in layers]

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(z, self.context)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(x, self.context)


def one_context(owner: str, transforms: Sequence[Transform]) -> int:
    """The size of the context that these transforms share, 0 if none of them wants one."""
    sizes = sorted({transform.context_dim for transform in transforms} - {0})
    if len(sizes) > 1:
        raise ValueError(f"{owner}: its parts want contexts of different sizes, {sizes}. Build them with one.")
    return sizes[0] if sizes else 0


def dearest(transforms: Sequence[Transform]) -> tuple[Cost, Cost]:
    """What both directions of a chain cost: the dearest part decides."""
    forwards, inverses = zip(*(transform.costs for transform in transforms), strict=True) if transforms else ((), ())
    return tuple(max(costs, key=lambda cost: cost.passes, default=ONE_PASS) for costs in (forwards, inverses))


class Base(nn.Module):
    """A density one can evaluate and sample.

    Args:
        event_shape: shape of one point, `(D,)` for vectors.
    """

    box: tuple[Tensor, Tensor] | None = None  # the corners (low, high) of the box outside which the density is zero

    def __init__(self, event_shape: Iterable[int]):
        super().__init__()
        self.event_shape = torch.Size(event_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., D) -> log p_Z(z) (...), in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define log_prob(z).")

    def sample(self, n: int, temperature: float = 1.0) -> Tensor:
        """n points, shape (n, D), from the density ∝ p_Z^{1/temperature²} (Kingma and Dhariwal 2018, section 6)."""
        raise NotImplementedError(f"{type(self).__name__} must define sample(n, temperature=1.0).")

    def check(self, z: Tensor) -> None:
        check_event(type(self).__name__, z, self.event_shape)


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
        if transform.event_shape != base.event_shape:
            raise ValueError(
                f"Flow: the transform works on events of shape {tuple(transform.event_shape)}, the base on "
                f"{tuple(base.event_shape)}. Give both the same shape."
            )
        self.transform, self.base = transform, base
        self.event_shape, self.data_shape = transform.event_shape, transform.data_shape
        self.context_dim = transform.context_dim

    @in_chunks("data_shape")
    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p_X(x) = log p_Z(f⁻¹(x)) + log |det ∂f⁻¹/∂x| in nats: x (..., D) -> (...)."""
        z, log_det = self.transform.inverse(x, context)
        return self.base.log_prob(z) + log_det

    @torch.no_grad()
    def sample(self, n: int | Sequence[int], context: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """n points x = f(z), z ~ p_Z, without gradients: (n, D). For n points of each of m contexts (m, C) ask for
        (n, m) of them: (n, m, D). A temperature below 1 draws z closer to the mode; at 0 z is the mode."""
        shape = [check_count("Flow.sample", "n", size, 0) for size in (n if isinstance(n, Sequence) else [n])]
        z = self.base.sample(math.prod(shape), temperature).reshape(*shape, *self.event_shape)
        return self.generate(z, context)

    @in_chunks("event_shape")
    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """x = f(z): z (..., D) -> (..., D)."""
        return self.transform(z, context)[0]

    def sample_with_log_prob(self, n: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """n points (n, D) and their log p_X (n,), with gradients: log p_X(f(z)) = log p_Z(z) − log |det ∂f/∂z|."""
        z = self.base.sample(check_count("Flow.sample_with_log_prob", "n", n, 0))
        self.check("sample_with_log_prob", z, self.event_shape, context)
        x, log_det = self.transform(z, context)
        return x, self.base.log_prob(z) - log_det

    def bits_per_dim(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """−log₂ p_X(x) / D in bits: x (..., D) -> (...). A nat is 1 / log 2 bits."""
        return bits(self.log_prob(x, context), self.data_shape.numel())

    def check(self, method: str, points: Tensor, shape: torch.Size, context: Tensor | None) -> None:
        """Raise a clear error unless the arguments of a method are points (..., *shape) and the context they need."""
        check_event(f"Flow.{method}", points, shape)
        check_context(context, self.context_dim, points.shape[: points.dim() - len(shape)])
        like = next(self.parameters(), points)
        if points.dtype != like.dtype and not (method == "log_prob" and self.transform.takes_any_float):
            raise TypeError(
                f"Flow.{method}: the flow computes in {like.dtype}, the points are {points.dtype}. "
                f"Convert the points, .to({like.dtype}), or the flow: flow.to({points.dtype})."
            )

    def given(self, context: Tensor | Sequence[float] | float) -> "Flow":
        """p(x | context) as a flow: `explore(lambda c: flow.given(c), c=Slider(0.0, -1, 1))` moves the condition."""
        return Flow(Given(self.transform, context), self.base)


def bits(nats: Tensor | float, dim: int) -> Tensor | float:
    """−nats / (D log 2): a log-probability of D numbers as bits for each of them."""
    return -nats / (math.log(2.0) * dim)
