"""Sentences that readers found to be wrong stay away, what is right stands there, and its figures are computed."""

import math

import nbformat
import pytest
import torch

from flowlib.datasets import toy
from flowlib.support import roots
from flowlib.transforms.planar import admissible
from tools import notebooks
from tools.glossary import bare

PAGES = {path.stem[:2]: nbformat.read(path, as_version=4).cells for path in notebooks.course() if path.stem < "09"}
TEXTS = {page: " ".join(" ".join(bare(cell.source) for cell in cells).split()) for page, cells in PAGES.items()}

GONE = {
    "01": ["where that is admissible with room to spare", "without bars | $\\lvert (f^{-1})'(x)\\rvert$"],
    "02": [
        "as well as any method can",
        "as many as $A$ has, so nothing is lost",
        "$A^{-1}$ is huge",
        "**Time** 45 minutes",
    ],
    "03": [
        '"w·û > −1"',
        "the nearest parameters that do not fold space",
        "the nearest thing that an invertible map can do",
        "the paper's amber one nowhere",
        "Twelve fixed steps",
    ],
    "04": ["turns the moons into a round cloud", '"p blue, q amber"'],
    "05": [
        "Nearly every flow that has drawn a face",
        "needs the derivative almost everywhere only",
        "the freer the volume, the better",
        "climbs with slope 3",
    ],
    "06": [
        "NICE cannot do the eight Gaussians",
        "a smooth map that may not stretch cannot",
        "A loss below the entropy of the data is always a bug",
        "obody's inverse is an approximation",
        "beats the Gaussian on unseen wines",
    ],
    "07": [
        "no code in the world",
        "only noise of width exactly one cell",
        "more alike, not more typical",
        "goes on winning",
        "what the best compressors reach",
    ],
    "08": ["where its gain comes from"],
}
STANDS = {
    "00": ["about ten minutes to read", "the **push-forward** of $p_Z$", "## Appendix: who writes what"],
    "01": ["($uw = -0.5$ becomes $-0.3934$)", "**No misprint.** Equation 17.3", "the **push-forward** of $p_Z$"],
    "02": [
        "two sittings of 35 minutes",
        "**Half time.**",
        'first, second = ("A₁₁", "A₂₁"), ("A₁₂", "A₂₂") # the columns',
        "training never changes the sign of the determinant",
        "the swap of two coordinates or a quarter turn",
        "the inverse costs $D$ divisions",
        "as well as any Gaussian can",
        "The density $p_X$ is the **push-forward** of $p_Z$",
        "stretches some direction by 2.97, just after it by 6.20; the gradient grows with it, from 1.7 to 5.7",
        "$\\mathbf{V} \\boldsymbol\\lambda^{-1} \\mathbf{U}^{-1}$; and the determinant printed needs",
        "if *any* of the layers is invertible, the composition is | if *all* are",
    ],
    "03": [
        "($-0.5$ becomes $-0.3934$)",
        "at $x = -\\log(e - 1) = -0.5413$",
        "it tends to $x - 1$",
        "not the nearest of all that do not fold",
        "it jumps to and fro for ever",
        "takes ten steps, the last two of them with gradients",
        "which is triangular in blocks",
        "the identity is missing, without which the determinant would be 0",
    ],
    "04": [
        "two bent sausages",
        "When is KL zero?",
        "the best Gaussian of forward KL has the mean and the variance of $p$",
        "each by the factor $\\sqrt{1 - \\rho^2}$",
        'the evidence lower bound of a VAE "is $p_\\theta(x\\mid z)$"',
    ],
    "05": [
        "with Cantor's staircase",
        "which is Fubini's theorem",
        "The moons cost an additive stack 0.9965 nats",
        "tends to slope 3",
        "a second line belongs to it, $y_1 = x_1$",
        "its *determinant* is not; a matrix does not equal 1",
        "a translation only; the scale is what RealNVP adds",
        "the determinant *of* that matrix",
    ],
    "06": [
        "A *held-out* loss below the entropy of the data, by more than its error bar, is always a bug",
        "which is 1.4234 above the floor",
        "this is no minimum but a **saddle**",
        "are level within the error bar",
        "On the moons NICE and RealNVP are level",
    ],
    "07": [
        "no code that looks at one pixel at a time, and at nothing else",
        "more alike *and* more typical",
        "And $T = 0$: the black image",
        "It need not be even within the cell: section 3",
    ],
    "08": [
        "Gaussian noise on the images in training",
        "a step after sampling that takes this noise away again, and guidance",
        "2 h 17 min on an RTX 3090 in PyTorch (in JAX 0 h 58)",
        "2 h 37 min (1 h 18)",
        "3 h 25 min (1 h 37)",
        "the gain of the last line belongs to all of these changes together",
    ],
}


@pytest.mark.parametrize("page", GONE)
def test_what_was_not_so_is_gone(page: str) -> None:
    assert not [words for words in GONE[page] if words in TEXTS[page]]


@pytest.mark.parametrize("page", STANDS)
def test_what_is_so_stands_there(page: str) -> None:
    assert not [words for words in STANDS[page] if words not in TEXTS[page]]


def test_the_first_screen_of_the_course_is_sliders() -> None:
    (_, first, second, *_) = PAGES["00"]
    assert all(cell.metadata.jupyter.source_hidden for cell in (first, second))
    assert "text/plain" in second.outputs[0].data and "Explorer" in second.outputs[0].data["text/plain"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_how_long_it_takes_on_a_slower_laptop(page: str) -> None:
    (times,) = [line for cell in PAGES[page][:4] for line in cell.source.splitlines() if line.startswith("**Time**")]
    assert "minutes" in times and "to run" in times and "slower laptop" in times


def test_the_figures_of_the_planar_cure() -> None:
    x = torch.tensor([-0.5, -math.log(math.e - 1), 30.0], dtype=torch.float64)
    assert admissible(x)[0].item() == pytest.approx(-0.3934, abs=5e-5)
    paper = -1 + torch.nn.functional.softplus(x)
    assert x[1].item() == pytest.approx(-0.5413, abs=5e-5) and paper[1].item() == pytest.approx(x[1].item(), abs=1e-12)
    assert paper[2].item() == pytest.approx(29.0, abs=1e-10)


def test_newton_alone_may_go_round_for_ever() -> None:
    """w·û = 3, b = 0, w·x = 0.3, from the right end of the bracket."""
    a = 0.3 + 3.0
    for _ in range(1000):
        a -= (a + 3.0 * math.tanh(a) - 0.3) / (1.0 + 3.0 / math.cosh(a) ** 2)
    assert abs(a + 3.0 * math.tanh(a) - 0.3) > 1.0
    assert roots.NEWTON_STEPS + 2 == 10


def test_the_jump_of_a_matrix_over_the_singular_ones() -> None:
    """Plain gradient steps on four entries, as in notebook 02: ‖A⁻¹‖ and the gradient before and after the jump."""
    matrix, root = torch.eye(2).double(), torch.linalg.cholesky(torch.tensor([[1.0, 0.95], [0.95, 1.0]]).double())

    def loss(a: torch.Tensor) -> torch.Tensor:
        return torch.linalg.slogdet(a).logabsdet + 0.5 * torch.linalg.solve(a, root).square().sum()

    seen = []
    for _ in range(4):
        slope = torch.func.grad(loss)(matrix)
        seen.append((matrix.det(), torch.linalg.matrix_norm(matrix.inverse(), 2), slope.norm()))
        matrix = matrix - 0.3 * slope
    found = [round(float(value), digits) for step in seen[2:] for value, digits in zip(step, (2, 2, 1), strict=True)]
    assert found == [0.45, 2.97, 1.7, -0.22, 6.20, 5.7]


def test_one_gaussian_on_the_eight() -> None:
    loss = math.log(2 * math.pi * math.e) + math.log(0.5 * 8 + 1 / 8)
    assert loss == pytest.approx(4.2550, abs=1e-4)
    assert loss - toy.eight_gaussians().entropy == pytest.approx(1.4234, abs=1e-4)
