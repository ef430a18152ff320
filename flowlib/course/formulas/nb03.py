"""The rows of notebook 03: planar, radial and Sylvester flows."""

import torch
from torch import Tensor

from flowlib.core import Compose
from flowlib.course.formulas.proving import draw, gap, worst
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.proof import autograd_log_det
from flowlib.transforms.planar import Planar
from flowlib.transforms.radial import Radial
from flowlib.transforms.sylvester import Sylvester

ROWS = Rows("03_planar_and_radial_flows")
U = torch.tensor([0.7, -0.2, 0.5, 1.1], dtype=torch.float64)
W = torch.tensor([1.0, 0.6, -0.3, 0.8], dtype=torch.float64)


def slope(z: Tensor) -> Tensor:
    """h' of tanh at w·z + 0.3."""
    return 1.0 - torch.tanh(z @ W + 0.3).square()


def planar() -> Planar:
    return Planar(4, u=U, w=W, b=0.3)


def radial() -> Radial:
    return Radial(4, z0=[0.5, -0.2, 0.1, 0.3], alpha=0.7, beta=1.3)


@ROWS.formula(
    "planar flow",
    r"x = z + u\,h(w \cdot z + b)",
    section="1. One neuron moves the plane",
    at="review 13, lecture 17.10",
    code="transforms.Planar",
    exercise="03_planar_log_det",
)
def planar_map() -> float:
    """the layer, and the line of the formula"""
    z = draw(20, 4)
    return gap(planar()(z)[0], z + U * torch.tanh(z @ W + 0.3).unsqueeze(-1))


@ROWS.formula(
    "matrix determinant lemma",
    r"\det(I + a\,u w^{\mathsf T}) = 1 + a\,w \cdot u",
    section="2. Its determinant in two lines",
    at="lecture 17.11",
    code="transforms.Planar",
    exercise="03_planar_log_det",
)
def lemma() -> float:
    """det of the matrix, and 1 + a w·u"""
    return gap(torch.linalg.det(torch.eye(4) + 0.6 * torch.outer(U, W)), 1.0 + 0.6 * U @ W)


@ROWS.formula(
    "planar determinant",
    r"\log\lvert\det J\rvert = \log\lvert 1 + w \cdot u\;h'(w \cdot z + b)\rvert",
    section="2. Its determinant in two lines",
    at="review 15, lecture 17.11",
    code="transforms.Planar",
    exercise="03_planar_log_det",
)
def planar_determinant() -> float:
    """the layer by autograd, and the formula"""
    z = draw(10, 4)
    return gap(autograd_log_det(planar().forward, z), (1.0 + U @ W * slope(z)).abs().log())


@ROWS.claim(
    "a planar flow contracts and expands perpendicular to the hyperplane",
    "yes, if the spacing is meant",
    "points move along u; only the spacing across the line changes, by 1 + w·u h'",
    section="3. Squeeze or stretch: the sign of w·u",
    at="review 14, lecture 17.10b",
    code="viz.warped_grid",
)
def across() -> float:
    """the change of w·z, and (w·u) h; and what does not move: x − z has no part across u"""
    z = draw(20, 4)
    step = planar()(z)[0] - z
    along = step - (step @ U / (U @ U)).unsqueeze(-1) * U
    return max(gap(step @ W, U @ W * torch.tanh(z @ W + 0.3)), gap(along, torch.zeros(20, 4)))


@ROWS.formula(
    "radial flow",
    r"x = z + \beta\,h(\alpha, r)(z - z_0),\quad r = \lVert z - z_0\rVert,\ h = \frac{1}{\alpha + r}",
    section="4. Radial flows: one center",
    at="review 16",
    code="transforms.Radial",
    exercise="03_radial_log_det",
)
def radial_map() -> float:
    """the layer, and the formula"""
    f, z = radial(), draw(20, 4)
    away = z - f.z0
    return gap(f(z)[0], z + f.beta_hat * away / (f.alpha + away.norm(dim=-1, keepdim=True)))


@ROWS.formula(
    "radial determinant",
    r"\lvert\det J\rvert = (1 + \beta h)^{D-1}(1 + \beta h + \beta h' r)",
    section="5. The determinant of a radial flow",
    at="review 17",
    code="transforms.Radial",
    exercise="03_radial_log_det",
)
def radial_determinant() -> float:
    """the layer by autograd, and the formula"""
    f, z = radial(), draw(10, 4)
    r = (z - f.z0).norm(dim=-1)
    h, dh, beta = 1.0 / (f.alpha + r), -1.0 / (f.alpha + r).square(), f.beta_hat
    log_det = 3.0 * (1.0 + beta * h).log() + (1.0 + beta * h + beta * dh * r).log()
    return gap(autograd_log_det(f.forward, z), log_det)


@ROWS.claim(
    "a radial flow contracts and expands around its centre",
    "yes",
    "every point stays on its ray; the effect fades like 1/r, and far points move by nearly β",
    section="4. Radial flows: one center",
    at="review 18",
    code="transforms.Radial",
)
def on_its_ray() -> float:
    """the direction from the centre before and after"""
    f, z = radial(), draw(20, 4)
    before, after = z - f.z0, f(z)[0] - f.z0
    return gap(after / after.norm(dim=-1, keepdim=True), before / before.norm(dim=-1, keepdim=True))


@ROWS.system(
    "figure 2: planar and radial flows on two densities",
    r"p_X = p_Z / \lvert\det J\rvert \;\text{ on a Gaussian and on a square}",
    section="6. Both families on both bases",
    at="review 19",
    code="viz.filmstrip",
)
def figure_two() -> float:
    """ten layers of each family, against autograd"""
    return max(worst(Compose([family(2) for _ in range(10)])) for family in (Planar, Radial))


@ROWS.claim(
    "a · w·u ≠ 1 keeps a planar flow invertible",
    "no",
    "1 + a w·u ≠ 0: the determinant is 2 where a w·u is 1, and 0 where it is −1; in practice w·u > −1",
    section="Sources",
    at="lecture 17.11b",
    code="transforms.Planar",
    exercise="03_u_hat",
)
def which_condition() -> float:
    """the determinant where a w·u is 1 and where it is −1, and 2 and 0"""
    w, eye = torch.tensor([1.0, 0.0]), torch.eye(2)
    found = [torch.linalg.det(eye + sign * torch.outer(w, w)) for sign in (1.0, -1.0)]
    return gap(torch.stack(found), torch.tensor([2.0, 0.0]))


@ROWS.claim(
    "x stands inside its own planar formula",
    "no",
    "with x inside, the determinant is 1 / (1 − a w·u): 1.8119, not the 1.4481 of the next line",
    section="Sources",
    at="lecture 17.10",
    code="transforms.Planar",
)
def with_x_inside() -> float:
    """ε = x − u h(w·x + b) by autograd, and 1 / (1 − a w·u) for x of ε"""
    u, x = 0.3 * U, draw(10, 4)
    log_det = autograd_log_det(lambda x: (x - u * torch.tanh(x @ W + 0.3).unsqueeze(-1), None), x.unsqueeze(1))
    return gap(-log_det, -(1.0 - u @ W * slope(x)).log())


@ROWS.formula(
    "when they can be undone",
    r"w \cdot u > -1; \qquad \beta > -\alpha",
    section="7. Breaking it: folds",
    at="lecture 17.11b",
    code="transforms.Planar",
    exercise="03_u_hat",
    bound=1e-5,
)
def limits() -> float:
    """the least |det J| near both limits: 1 + w·u on the line, (1 + β/α)^D at the centre"""
    at = torch.zeros(1, 2)
    line = Planar(2, u=[-0.9, 0.0], w=[1.0, 0.0], b=0.0, constrain=False)
    ball = Radial(2, z0=[0.0, 0.0], alpha=1.0, beta=-0.9, constrain=False)
    return max(gap(line(at)[1].exp(), 1.0 - 0.9), gap(ball(at)[1].exp(), (1.0 - 0.9) ** 2))


@ROWS.formula(
    "the cure",
    r"\hat u = u + (m(w \cdot u) - w \cdot u)\,\frac{w}{\lVert w\rVert^2},\quad m > -1",
    section="8. The cure: û and β̂",
    code="transforms.admissible",
    exercise="03_u_hat",
)
def cure() -> float:
    """w·û of a layer that was given w·u = −3, and its own m(−3); and it is proved"""
    layer = Planar(2, u=[-3.0, 0.5], w=[1.0, 0.0], b=0.0)
    wanted = layer.u + (layer.w @ layer.u_hat - layer.w @ layer.u) * layer.w / layer.w.square().sum()
    return max(gap(layer.u_hat, wanted), worst(layer))


@ROWS.formula(
    "planar inverse",
    r"a + w \cdot \hat u \tanh(a + b) = w \cdot x,\quad z = x - \hat u\tanh(a + b)",
    section="9. Going back",
    code="support.roots.monotone_root",
    exercise="03_planar_inverse",
)
def planar_inverse() -> float:
    """the root of the layer's inverse put into the equation"""
    f, x = planar(), draw(20, 4)
    a = f.inverse(x)[0] @ W
    return gap(a + U @ W * torch.tanh(a + 0.3), x @ W)


@ROWS.formula(
    "radial inverse",
    r"r^2 + (\alpha + \beta - R)\,r - \alpha R = 0,\quad R = \lVert x - z_0\rVert",
    section="9. Going back",
    code="transforms.Radial",
)
def radial_inverse() -> float:
    """the quadratic at the radius of the layer's inverse, and 0"""
    f, x = radial(), draw(20, 4)
    r, far = (f.inverse(x)[0] - f.z0).norm(dim=-1), (x - f.z0).norm(dim=-1)
    return gap(r.square() + (f.alpha + f.beta_hat - far) * r - f.alpha * far, torch.zeros(20))


@ROWS.claim(
    "many planar flows, one on top of the other, can say a lot",
    "yes, in few dimensions",
    "KL 0.54, 0.07, 0.006 nats with 2, 8, 32 layers (04 §8); in D dimensions K layers bend K directions",
    section="12. What a planar flow cannot do",
    at="lecture 17.11c",
    code="models.planar_flow",
)
def rank() -> float:
    """singular values of J − I of 3 layers in 10 dimensions beyond the third, and 0"""
    f = Compose([Planar(10) for _ in range(3)])
    jacobian = torch.func.jacrev(lambda z: f(z)[0])(draw(10))
    return gap(torch.linalg.svdvals(jacobian - torch.eye(10))[3:], torch.zeros(7))


@ROWS.formula(
    "Sylvester's identity",
    r"\det(I_D + AB) = \det(I_M + BA)",
    section="11. Sylvester flows: many ridges in one layer",
    code="transforms.Sylvester",
)
def sylvester_identity() -> float:
    """both sides, 6 × 6 and 2 × 2"""
    a, b = draw(6, 2), draw(2, 6)
    return gap(torch.linalg.det(torch.eye(6) + a @ b), torch.linalg.det(torch.eye(2) + b @ a))


@ROWS.system(
    "Sylvester flow",
    r"x = z + QR\tanh(\tilde R Q^{\mathsf T} z + b),"
    r"\quad \log\lvert\det J\rvert = \sum_i \log\lvert 1 + r_{ii}\tilde r_{ii} h_i'\rvert",
    section="11. Sylvester flows: many ridges in one layer",
    code="transforms.Sylvester",
)
def sylvester() -> float:
    """every claim, against autograd"""
    return worst(Sylvester(5, 3))


@ROWS.claim(
    "more planar layers come nearer",
    "yes",
    "sixteen are 0.06 nats above the floor of two moons with 80 numbers, RealNVP 0.09 with 35,348 (06 §11)",
    section="10. Stacks",
    at="lecture 17.11c",
    code="models.planar_flow",
    bound=0.1,
)
def sixteen_layers() -> float:
    """numbers of the planar row over those of RealNVP's, as stored"""
    rows = {row["family"]: row for row in stored("families")["toy"] if row["target"] == "two_moons"}
    assert sum(rows["planar"]["gaps"]) < sum(rows["RealNVP"]["gaps"])
    return rows["planar"]["parameters"] / rows["RealNVP"]["parameters"]
