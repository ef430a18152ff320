"""The five documents behind the course, line by line: every formula and every claim in them, in their letters.

A place is called by its source and its number. The lecture numbers its formulas itself; what it says without a number
is called after the formula before it ("17.11b"). In the others we count from the top.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """What stands there, in the source's letters or in a few words of ours, and what is wrong with it."""

    number: str
    said: str
    but: str = ""


@dataclass(frozen=True)
class Source:
    """One document."""

    title: str
    direction: str
    places: tuple[Place, ...]


SOURCES = {
    "tutorial": Source(
        "Normalizing Flows and Its Friends (Part 2), a tutorial",
        "noise to data; in its couplings x is what goes in, y what comes out",
        (
            Place(
                "1",
                "a flow learns the map between samples and their latent density",
                "what is called latent is the density of the data",
            ),
            Place("2", "a known density helps to draw data and to find bias"),
            Place(
                "3",
                r"$\theta^\ast = \arg\min \mathrm{dist}(p_\theta, p_D)$",
                "the order matters: 4 needs $(p_D, p_\\theta)$",
            ),
            Place("4", r"$\theta^\ast = \arg\min E_{x \sim p_D}[-\log p_\theta(x)]$"),
            Place("5", "flows learn p(x) itself, by its likelihood"),
            Place("6", "a GAN has its density implicitly, by a game of classification"),
            Place(
                "7",
                "a VAE has it approximately, by the evidence lower bound",
                r"the bound is not $p_\theta(x \mid z)$, which is one part of it",
            ),
            Place("8", "neither GAN nor VAE learns p(x) explicitly"),
            Place("9", r"$z = f^{-1}(x)$ and $x = f(z)$ undo each other exactly"),
            Place("10", r"$f: Z \to X$, made of $f_1, \dots, f_K$"),
            Place("11", r"$p(x') = \pi(z')\,\lvert\det J_{f^{-1}}\rvert$"),
            Place(
                "12",
                r"$\log p(x') = \log\pi(z') + \sum_i \log\lvert\det J_{f^{-1}}\rvert$",
                r"no $i$ inside the sum: each term is $J_{f_i^{-1}}$ at its own point",
            ),
            Place(
                "13",
                "the first term shapes the density of z into that of x",
                "it only looks up the base; both terms do the shaping",
            ),
            Place("14", "the second term is the relative change of volume around z"),
            Place("15", "three requirements: differentiable, invertible, a cheap determinant"),
            Place("16", r"NICE: $y_2 = g(x_2;\, m(x_1))$", r"a second line belongs to it, $y_1 = x_1$"),
            Place("17", "its Jacobian is lower triangular, the determinant a product of the diagonal"),
            Place(
                "18",
                r"$\begin{bmatrix} I & 0 \\ \partial y_2/\partial x_1 & \partial y_2/\partial x_2 \end{bmatrix}$",
            ),
            Place("19", r"$x_1 = y_1,\ x_2 = g^{-1}(y_2, m(y_1))$"),
            Place("20", r"RealNVP: $y_2 = x_2 \odot \exp(s(x_1)) + t(x_1)$"),
            Place(
                "21",
                r"$\begin{bmatrix} I & 0 \\ \partial y_2/\partial x_1 & \mathrm{diag}(\exp s(x_1)) \end{bmatrix}$",
            ),
            Place(
                "22",
                "not always 1, so volume changes, which suits real data better",
                "it is the determinant that is not 1, not the matrix",
            ),
            Place("23", r"$x_2 = (y_2 - t(y_1)) \odot \exp(-s(y_1))$"),
        ),
    ),
    "chef": Source(
        "An intuition page with a pastry chef",
        "noise to data, throughout",
        (
            Place("1", "a simple density, and a sequence of invertible maps to the data"),
            Place("2", "exact likelihood: the density can be asked for, and training is stable"),
            Place("3", "the dough: rolled, folded and pressed, and each step can be undone", "a fold cannot"),
            Place("4", "each map must be invertible and differentiable"),
            Place("5", r"$f_\theta: z \to x$, the decoder"),
            Place("6", "the probability of the data is maximized", "their density; a probability does not exceed 1"),
            Place("7", "the map of points is not the map of densities"),
            Place("8", r"$p_x(x) = p_z(z)\,\lvert\det(dz/dx)\rvert$"),
            Place("9", r"$p_z(f_\theta^{-1}(x))$ can be computed, because $f_\theta$ is invertible"),
            Place("10", "a determinant is often expensive, so f must be designed"),
            Place(
                "11",
                r"$\arg\max_\theta \prod_i p_z(f_\theta^{-1}(x_i))\,\lvert\det(d f_\theta^{-1}(x_i)/dx_i)\rvert$",
            ),
            Place("12", "its negative logarithm, a sum, is the loss (our copy ends before the formula)"),
        ),
    ),
    "review": Source(
        "R. Trombetta (2023), Introduction to Normalizing Flows, a review post",
        "data to noise, f: X → Z; its planar, radial and coupling layers from z",
        (
            Place("1", "complex densities by a sequence of simple invertible maps"),
            Place("2", "fully tractable: likelihood, samples and densities exact and easy"),
            Place("3", "uses: making data, outliers, noise"),
            Place("4", "GAN and VAE do not give the exact density of a new point"),
            Place(
                "5",
                r"$p_X(x) = p_Z(f(x))\,\lvert\det \partial f(x)/\partial x\rvert$",
                r"below it: the Jacobian is $\partial f/\partial x$, not $\partial f/\partial z$; and it is "
                r"$x \sim p_X$ that is made simpler",
            ),
            Place("6", r"$f = f_K \circ \dots \circ f_1$"),
            Place(
                "7",
                r"$\log p(x) = \sum_i \log p_Z(f(x^{(i)})) + \log\lvert\det \partial f/\partial x^{(i)}\rvert$",
                "brackets are missing: both terms are summed over the data",
            ),
            Place("8", "training is direct: no adversary, no lower bound"),
            Place("9", r"new data by $g = f_1^{-1} \circ \dots \circ f_K^{-1}$"),
            Place("10", "the other direction would do as well"),
            Place("11", "two properties: an easy inverse, a cheap determinant, best of a triangle"),
            Place("12", r"$\lvert\det\rvert$ is the factor by which space grows or shrinks"),
            Place("13", r"planar: $f(z) = z + u\,h(w^T z + b)$"),
            Place("14", "it contracts and expands perpendicular to the hyperplane"),
            Place("15", r"$\lvert\det\rvert = \lvert 1 + u^T h'(w^T z + b)\,w\rvert$, in $O(D)$"),
            Place("16", r"radial: $f(z) = z + \beta h(\alpha, r)(z - z_0),\ h = 1/(\alpha + r)$"),
            Place("17", r"$\lvert\det\rvert = [1 + \beta h]^{d-1}\,[1 + \beta h + \beta h' r]$"),
            Place("18", r"it contracts and expands around $z_0$"),
            Place("19", "figure 2: both families on two densities"),
            Place("20", r"coupling: $x_{1:d} = z_{1:d},\ x_{d+1:D} = g(z_{d+1:D}, m(z_{1:d}))$"),
            Place("21", r"$z_{d+1:D} = g^{-1}(x_{d+1:D}, m(x_{1:d}))$"),
            Place("22", r"$\begin{bmatrix} I_d & 0 \\ \ast & \partial x_{d+1:D}/\partial z_{d+1:D} \end{bmatrix}$"),
            Place("23", "m is never inverted: a dense network, a CNN, a transformer"),
            Place("24", "g must stay simple, for example affine"),
            Place("25", "couplings alternate with permutations, which makes them say more"),
            Place("26", "RealNVP (2016), among the first: images like the best of their time"),
            Place("27", "Glow (2018): invertible 1 × 1 convolutions, much better images"),
            Place(
                "28",
                "FastFlow: best on the defects of MVTec AD",
                "its reference says 2018; arXiv 2111.07677 is of November 2021",
            ),
            Place("29", "many uses, in making data and in densities"),
        ),
    ),
    "wiki": Source(
        "A wiki page on the name",
        "data to noise in its history, base to data in its definition",
        (
            Place("1", "the name is not good: with the base, or without?"),
            Place("2", "a gradient flow is one, but any smooth bijection will do, a shift for example"),
            Place(
                "3",
                r"a piecewise diffeomorphic push-forward of a base with $p: \mathcal X \to [0, 1]$",
                r"$[0, \infty)$: a density has no upper bound",
            ),
            Place("4", "Rezende and Mohamed made the name known, in 2014", "in 2015 (arXiv 1505.05770 is of May 2015)"),
            Place("5", "Tabak and Vanden-Eijnden (2010) seem to use it first"),
            Place("6", r"$\rho(x) = \mu(y(x))\,\lvert\mathcal J_y(x)\rvert$"),
            Place("7", r"$\phi_0(x) = x,\ \lim_{t \to \infty} \phi_t(x) = y(x)$"),
            Place("8", r"$\tilde\rho_t(x) = \mu(\phi_t(x))\,\mathcal J_{\phi_t}(x)$"),
            Place("9", r"$\tilde\rho_0 = \mu,\ \lim_{t \to \infty} \tilde\rho_t = \rho$"),
            Place("10", r"$L[\phi_t] = \frac1m \sum_j \log\tilde\rho_t(x^j)$"),
            Place("11", r"$\frac{d}{dt} L[\phi_t] \ge 0$, the limit a local minimizer", "maximizer: L is ascended"),
            Place("12", r"$\frac{dz}{dt} = \frac{1}{\mu}\rho_t \nabla\mu - \nabla\rho_t$"),
            Place(
                "13",
                r"$\rho_t(x) = \rho(x)/\lvert\mathcal J_{\phi_t}(x)\rvert$",
                r"at the left stands $\rho_t(\phi_t(x))$",
            ),
            Place("14", r"$\frac{d\rho_t}{dt} = \partial_t\rho_t + \partial_{z^i}\rho_t\,\frac{dz^i}{dt}$"),
            Place("15", "the dual of the flow carries the data to normality: hence the name"),
            Place("16", "its small additive steps are what are called residual flows today"),
            Place("17", "Gaussianization (2002) is a similar idea", "Chen and Gopinath are of 2000"),
        ),
    ),
    "lecture": Source(
        "Lecture 17, Normalizing Flow Models",
        "noise ε to data x, throughout",
        (
            Place("17.1", r"$\epsilon \sim \rho_\theta,\ x = G_\theta(\epsilon)$"),
            Place("17.2", r"$\min_G \max_D E[\log D(x)] + E[\log(1 - D(G(\epsilon)))]$"),
            Place("17.2b", "a GAN needs no probability of x; a flow computes it"),
            Place("17.3", r"$p(\epsilon)\,d\epsilon = p(G^{-1}(x))\,(G^{-1}(x))'\,dx$"),
            Place("17.4", r"$\int p = 1,\ p(x) = p(G^{-1}(x))\,\lvert (G^{-1}(x))' \rvert$"),
            Place("17.5", r"$p(x) = p_\theta(G^{-1}(x))\,\lvert\det \partial G^{-1}/\partial x\rvert$"),
            Place("17.6", r"the same with $G_\theta$", r"$\epsilon \sim \rho_\theta$, not $\epsilon \in \rho_\theta$"),
            Place("17.6b", r"condition 1: $G^{-1}$ exists"),
            Place(
                "17.6c",
                r"condition 2: $\lvert\det \partial G^{-1}/\partial x\rvert \ne 0$",
                "it must not be infinite either",
            ),
            Place("17.6d", "condition 3: the determinant is easy, as that of a diagonal"),
            Place("17.6e", "condition 4: if any of the layers fulfils 1 and 2, so does the whole", "all of them must"),
            Place(
                "17.7",
                r"$\max_\theta \frac1n \sum_i (\log p_\theta(G^{-1}(x_i)) + "
                r"\log\lvert\det \partial G^{-1}/\partial x_i\rvert)$",
                r"the base is $p_Z$, without $\theta$; the left side is a mean too",
            ),
            Place("17.7b", "GANs: exceptional results on complex data, unstable training"),
            Place("17.7c", "flows: more stable, perhaps less flexible"),
            Place("17.8", r"$x = A\epsilon + b$, correlation between dimensions"),
            Place("17.8b", r"$A \ne 0$ and $A^{-1} \ne 0$", r"$\det A \ne 0$ is what is needed"),
            Place("17.8c", "a diagonal A: inverse in linear time, determinant a product"),
            Place(
                "17.9",
                r"$\lvert\det A^{-1}\rvert = \lvert\det U\lambda^{-1}V^{-1}\rvert = (\prod_i "
                r"\lvert\lambda_i\rvert)^{-1}$",
                r"the inverse of $U\lambda V^{-1}$ is $V\lambda^{-1}U^{-1}$",
            ),
            Place("17.9b", "the result cannot express correlation", "that is true of a diagonal A alone"),
            Place(
                "17.10",
                r"$x = \epsilon + u\,h(w^T x + b)$",
                r"$w^T\epsilon$ inside; $u, w$ are vectors; $G(\epsilon)$ lacks its $\epsilon$",
            ),
            Place("17.10b", "planar flows expand and contract along certain directions"),
            Place("17.11", r"$\lvert\det(I + a\,u w^T)\rvert = \lvert 1 + a\,w^T u\rvert$"),
            Place("17.11b", r"$a\,w^T u \ne 1$", r"$1 + a\,w^T u \ne 0$; in practice $w^T u > -1$"),
            Place("17.11c", "a layer of one hidden unit; many of them say a lot"),
            Place("17.12", r"NICE: $x_2 = \epsilon_2 + m_\theta(\epsilon_1)$", "m is a translation only, no scale"),
            Place("17.13", r"$\det \partial G^{-1}/\partial x = 1$", "a determinant is set equal to a matrix"),
            Place(
                "17.14",
                r"RealNVP: $x_2 = \epsilon_2 \odot e^{s(\epsilon_1)} + m(\epsilon_1)$",
                r"its inverse lacks brackets: $(x_2 - m) \odot e^{-s}$",
            ),
            Place(
                "17.15",
                r"$\partial G^{-1}/\partial x$ with the block $e^{s}$",
                r"the inverse has $e^{-s}$; a determinant is set equal to a matrix",
            ),
            Place("17.15b", "residual flows combine NICE and RealNVP", "a full Jacobian, and no half waits"),
            Place("17.16", r"$x = \epsilon + m_\theta(\epsilon)$"),
            Place(
                "17.17",
                r"$\log\lvert\det(I + m')\rvert \approx \sum_k (-1)^{k+1}\,\mathrm{Tr}(m')^k/k$",
                r"$\mathrm{Tr}((m')^k)$, and $=$, where $\lVert m' \rVert < 1$",
            ),
            Place("17.17b", r"in practice $k = 1$ or 2", "as many as the Lipschitz constant asks for"),
        ),
    ),
}
