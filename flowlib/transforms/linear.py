"""Linear flows: x = W z + bias, with W held in factors that make its determinant and its inverse cheap.

A general determinant costs O(D³). Each parametrization below keeps W as a product of factors whose determinant is a
product of D numbers, log |det W| = Σ_i log s_i with s_i > 0, so W can never become singular. All three spend exactly
D² numbers: the two triangles and the diagonal of one free matrix `raw`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from flowlib.core import Transform
from flowlib.support.checks import VectorLike, check_choice, check_count, check_image, check_numbers, check_shape
from flowlib.support.precision import full_precision


class Linear(Transform):
    """Rotate, shear and stretch the whole space; the only flow that is its own local linearization.

    Map: x = W z + bias. Log-determinant: log |det W| = Σ_i log s_i, the same at every point.
    Invertible always, because s = exp(diagonal of `raw`) > 0. The inverse takes triangular solves or transposes of
    orthogonal factors, never an explicit inverse.

    Args:
        dim: D.
        parametrization: "lu" W = P L (U + diag(s)); "svd" W = U diag(s) Vᵀ; "qr" W = Q (R + diag(s)).
            L, U, R are triangular; Q and the U, V of the SVD are products of D Householder reflections.
        matrix: the W to start from, (D, D), invertible. A random rotation if not given.
        bias: (D,) or one number.

    Paper: Kingma and Dhariwal (2018, arXiv 1807.03039), Glow, section 3.2 (LU); Hoogeboom et al. (2019, arXiv
    1901.11137), section 3.2 (QR). Some lecture notes print the condition for a linear flow as "A ≠ 0"; it is det A ≠ 0.

    >>> x, log_det = Linear(2, matrix=[[2.0, 1.0], [0.0, 0.5]])(torch.tensor([1.0, 2.0]))
    >>> [round(value, 4) for value in x.tolist()], abs(round(log_det.item(), 4))
    ([4.0, 1.0], 0.0)
    """

    def __init__(
        self,
        dim: int,
        parametrization: str = "lu",
        matrix: VectorLike | None = None,
        bias: VectorLike = 0.0,
    ):
        super().__init__([check_count("Linear", "dim", dim)])
        self.parametrization = check_choice("Linear", "parametrization", parametrization, list(FACTORS))
        self.factors = FACTORS[parametrization](start_matrix("Linear", matrix, dim))
        self.bias = nn.Parameter(check_shape("Linear", "bias", bias, [dim]))

    @property
    def matrix(self) -> Tensor:
        """W, (D, D)."""
        return self.factors.matrix()

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return self.factors.times(z) + self.bias, self.factors.log_det().expand(z.shape[:-1])

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return self.factors.solve(x - self.bias), (-self.factors.log_det()).expand(x.shape[:-1])

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}, parametrization={self.parametrization!r}"


def start_matrix(owner: str, matrix: VectorLike | None, dim: int) -> Tensor:
    """A random rotation, or `matrix` if it is an invertible (D, D); ValueError otherwise."""
    if matrix is None:
        return torch.linalg.qr(torch.randn(dim, dim)).Q
    matrix = check_shape(owner, "matrix", check_numbers(owner, "matrix", matrix, dims=2), [dim, dim])
    in_one_unit = normalize(normalize(matrix.double(), dim=1), dim=0)  # rows and columns may have units of their own
    if not matrix.is_meta and torch.linalg.matrix_rank(in_one_unit, rtol=6e-8) < dim:  # 6e-8: float32 rounds so
        raise ValueError(f"{owner}: matrix must be invertible (det ≠ 0); got {matrix.tolist()}.")
    return matrix


class Factors(nn.Module):
    """W as a product: `raw` (D, D) holds log s on its diagonal and the other factors in its two triangles."""

    def __init__(self, lower: Tensor, log_s: Tensor, upper: Tensor):
        super().__init__()
        self.raw = nn.Parameter(lower.tril(-1) + log_s.diag() + upper.triu(1))

    def log_det(self) -> Tensor:
        """log |det W| = Σ_i log s_i, ()."""
        return self.raw.diagonal().sum()

    def matrix(self) -> Tensor:
        """W, (D, D)."""
        return self.times(torch.eye(len(self.raw)).to(self.raw)).mT

    def times(self, z: Tensor) -> Tensor:
        """W z for every row of z (..., D)."""
        raise NotImplementedError

    def solve(self, x: Tensor) -> Tensor:
        """W⁻¹ x for every row of x (..., D)."""
        raise NotImplementedError


class LU(Factors):
    """W = P L (U + diag(sign · s)): P a fixed permutation, L unit lower and U strictly upper triangular."""

    def __init__(self, matrix: Tensor):
        p, lower, upper = torch.linalg.lu(matrix)
        diagonal = upper.diagonal()
        super().__init__(lower, diagonal.abs().log(), upper)
        self.register_buffer("order", p.argmax(1))  # (P v)_i = v_order_i
        self.register_buffer("sign", diagonal.sign())

    def triangles(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(sign · s), both (D, D)."""
        return lu_triangles(self.raw, self.sign)

    def matrix(self) -> Tensor:
        return lu_matrix(self.raw, self.sign, self.order)

    def times(self, z: Tensor) -> Tensor:
        lower, upper = self.triangles()
        return (z @ upper.mT @ lower.mT)[..., self.order]

    def solve(self, x: Tensor) -> Tensor:
        lower, upper = self.triangles()
        return solve_rows(upper, solve_rows(lower, x[..., self.order.argsort()], upper=False), upper=True)


class QR(Factors):
    """W = Q (R + diag(sign · s)): Q orthogonal, R strictly upper triangular."""

    def __init__(self, matrix: Tensor):
        vectors = reflectors(matrix)
        r = orthogonal(vectors).mT @ matrix
        super().__init__(vectors, r.diagonal().abs().log(), r)
        self.register_buffer("sign", r.diagonal().sign())

    def pair(self) -> tuple[Tensor, Tensor]:
        """Q and R + diag(sign · s), both (D, D)."""
        return orthogonal(self.raw), self.raw.triu(1) + (self.sign * self.raw.diagonal().exp()).diag()

    def times(self, z: Tensor) -> Tensor:
        q, r = self.pair()
        return z @ r.mT @ q.mT

    def solve(self, x: Tensor) -> Tensor:
        q, r = self.pair()
        return solve_rows(r, x @ q, upper=True)


class SVD(Factors):
    """W = U diag(sign · s) Vᵀ with U and V orthogonal: rotate, stretch along the axes, rotate."""

    def __init__(self, matrix: Tensor):
        u, s, vh = torch.linalg.svd(matrix)
        vectors_u, vectors_v = reflectors(u), reflectors(vh.mT)
        super().__init__(vectors_u, s.log(), vectors_v.mT)
        # U and V are fixed by their reflections up to the signs of their columns
        signs = (orthogonal(vectors_u).mT @ u).diagonal() * (orthogonal(vectors_v).mT @ vh.mT).diagonal()
        self.register_buffer("sign", signs.sign())

    def triple(self) -> tuple[Tensor, Tensor, Tensor]:
        """U (D, D), sign · s (D,), V (D, D)."""
        return orthogonal(self.raw), self.sign * self.raw.diagonal().exp(), orthogonal(self.raw.mT)

    def times(self, z: Tensor) -> Tensor:
        u, s, v = self.triple()
        return (z @ v * s) @ u.mT

    def solve(self, x: Tensor) -> Tensor:
        u, s, v = self.triple()
        return (x @ u / s) @ v.mT


FACTORS = {"lu": LU, "svd": SVD, "qr": QR}


def lu_triangles(raw: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """L and U + diag(sign · s) of `LU`, or of several of one size: raw (..., D, D), sign (..., D) -> (..., D, D)."""
    log_s = raw.diagonal(dim1=-2, dim2=-1)
    return raw.tril(-1) + torch.ones_like(log_s).diag_embed(), raw.triu(1) + (sign * log_s.exp()).diag_embed()


def lu_matrix(raw: Tensor, sign: Tensor, order: Tensor) -> Tensor:
    """W of `LU`, or of several of one size: raw (..., D, D), sign and order (..., D) -> (..., D, D)."""
    lower, upper = lu_triangles(raw, sign)
    return (lower @ upper).gather(-2, order.unsqueeze(-1).expand_as(raw))


def orthogonal(raw: Tensor) -> Tensor:
    """The product of the D Householder reflections I − 2 v vᵀ / ‖v‖² whose vectors are the columns of the strict lower
    triangle of raw (D, D) with a 1 on top: an orthogonal matrix, (D, D), to the precision of the dtype."""
    lower = raw.tril(-1)
    return torch.linalg.householder_product(lower, 2.0 / (1.0 + lower.square().sum(0)))


def reflectors(matrix: Tensor) -> Tensor:
    """The vectors, in the form `orthogonal` takes, of the Q of matrix = Q R, (D, D)."""
    return torch.geqrf(matrix).a.tril(-1)


def solve_rows(triangle: Tensor, rows: Tensor, upper: bool) -> Tensor:
    """triangle⁻¹ v for every row v of `rows` (..., D)."""
    flat = rows.reshape(-1, rows.shape[-1])  # (N, D): one call for all rows
    return torch.linalg.solve_triangular(triangle.mT, flat, upper=not upper, left=False).reshape(rows.shape)


class Conv1x1(Transform):
    """The C numbers of each pixel are mixed by one matrix: a permutation of the channels that is learned.

    Map: x_{:, i, j} = W z_{:, i, j}, a convolution with a 1 × 1 kernel. Log-determinant: H · W · log |det W|.
    Invertible always: W = P L (U + diag(s)) with |s| > 0, undone by triangular solves. `Inverse(Conv1x1(shape))` is
    Glow's layer, with the convolution from data to noise and the solves from noise to data.

    Args:
        shape: (C, H, W).
        matrix: the W to start from, (C, C), invertible. A random rotation if not given.

    Paper: Kingma and Dhariwal (2018, arXiv 1807.03039), Glow, section 3.2 and equation 10.

    >>> layer = Conv1x1((2, 3, 3), matrix=[[2.0, 0.0], [1.0, 1.0]])
    >>> round(layer(torch.zeros(2, 3, 3))[1].item(), 4)  # 9 log 2
    6.2383
    """

    def __init__(self, shape: Sequence[int], matrix: VectorLike | None = None):
        super().__init__(check_image("Conv1x1", shape))
        self.pixels = self.event_shape[1:].numel()
        self.factors = LU(start_matrix("Conv1x1", matrix, self.event_shape[0]))

    @property
    def matrix(self) -> Tensor:
        """W, (C, C)."""
        return self.factors.matrix()

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        # not conv2d: on a GPU that one may keep 10 bits (TF32), and would not be undone by the solves
        x = linear(z.movedim(-3, -1), self.matrix).movedim(-1, -3)
        return x, (self.pixels * self.factors.log_det()).expand(z.shape[:-3])

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        z = self.factors.solve(x.movedim(-3, -1)).movedim(-1, -3)
        return z, (-self.pixels * self.factors.log_det()).expand(x.shape[:-3])


class Rotation(Transform):
    """Turn space about the origin.

    Map: x = exp(A) z with A antisymmetric. Log-determinant: 0, a rotation keeps every volume.
    Invertible always: z = exp(A)ᵀ x.

    Args:
        dim: D.
        angles: the D (D − 1) / 2 entries of A below its diagonal, in radians; in the plane one angle,
            counter-clockwise. Random if not given.

    Paper: Papamakarios et al. (2021, arXiv 1912.02762), section 3.2 (orthogonal transformations).

    >>> x, log_det = Rotation(2, angles=torch.pi / 2)(torch.tensor([1.0, 0.0]))
    >>> [abs(round(value, 4)) for value in x.tolist()], log_det
    ([0.0, 1.0], tensor(0.))
    """

    def __init__(self, dim: int, angles: VectorLike | None = None):
        super().__init__([check_count("Rotation", "dim", dim)])
        count = dim * (dim - 1) // 2
        self.angles = nn.Parameter(
            check_shape("Rotation", "angles", torch.randn(count) if angles is None else angles, [count])
        )
        self.register_buffer("below", torch.tril_indices(dim, dim, -1))  # (2, count)

    @property
    def matrix(self) -> Tensor:
        """exp(A), (D, D)."""
        dim = self.event_shape[0]
        lower = self.angles.new_zeros(dim, dim).index_put((self.below[0], self.below[1]), self.angles)
        return torch.linalg.matrix_exp(lower - lower.mT)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return z @ self.matrix.mT, z.new_zeros(z.shape[:-1])

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return x @ self.matrix, x.new_zeros(x.shape[:-1])


class Permutation(Transform):
    """Reorder the coordinates.

    Map: x_i = z_{order_i}. Log-determinant: 0. Invertible always, by the inverse permutation.

    Args:
        order: each of 0, ..., D − 1 once.

    Paper: Dinh et al. (2015, arXiv 1410.8516), NICE, section 3.2 (exchanging the halves between coupling layers).

    >>> Permutation([2, 0, 1])(torch.tensor([10.0, 11.0, 12.0]))[0]
    tensor([12., 10., 11.])
    """

    def __init__(self, order: VectorLike):
        numbers = check_numbers("Permutation", "order", order, dims=1)
        if sorted(numbers.tolist()) != list(range(len(numbers))) or len(numbers) == 0:
            raise ValueError(f"Permutation: order must hold each of 0, ..., D − 1 once; got {numbers.tolist()}.")
        super().__init__(numbers.shape)
        self.register_buffer("order", numbers.long())

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return z[..., self.order], z.new_zeros(z.shape[:-1])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return x[..., self.order.argsort()], x.new_zeros(x.shape[:-1])
