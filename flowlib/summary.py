"""`summary(flow)`: what a flow is made of, line by line, and which of its two directions is cheap."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from flowlib.core import Compose, Flow, Inverse, Transform
from flowlib.nets import MADE, CausalTransformer
from flowlib.transforms import Autoregressive, Coupling, CouplingStack, Planar, PlanarStack, Sylvester

ONE_PASS = "one pass"


@dataclass(frozen=True)
class Line:
    """One layer, or several equal ones in a row."""

    layer: str
    what: str
    parameters: int


class Summary:
    """What `summary` found: prints as a short table, shows as one in a notebook."""

    def __init__(self, title: str, lines: list[Line], costs: list[tuple[str, str]]):
        self.title, self.lines, self.costs = title, lines, costs

    def __repr__(self) -> str:
        rows = [(line.layer, line.what, f"{line.parameters:,}") for line in self.lines]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [f"  {a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}" for a, b, c in rows]
        return "\n".join([self.title, *table, *(f"  {call}: {cost}" for call, cost in self.costs)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="text-align:left">{html.escape(line.layer)}</td><td style="text-align:left">'
            f"{html.escape(line.what)}</td><td>{line.parameters:,}</td></tr>"
            for line in self.lines
        )
        costs = " · ".join(f"{html.escape(call)}: <b>{html.escape(cost)}</b>" for call, cost in self.costs)
        head = '<tr><th style="text-align:left">layer</th><th></th><th>parameters</th></tr>'
        return f"<table><caption>{html.escape(self.title)}<br>{costs}</caption>{head}{rows}</table>"


def summary(flow: Flow) -> Summary:
    """The layers of a flow from noise to data, their sizes and parameters, and what each direction costs.

    >>> from flowlib.models import planar_flow
    >>> summary(planar_flow(layers=4))
    Flow on points of shape (2,), from noise to data:
      p_Z  StandardNormal(dim=2)          0
      1    PlanarStack(dim=2, length=4)  20
      all                                20
      sample: one pass
      log_prob: root finding in every layer
    """
    if not isinstance(flow, Flow):
        raise TypeError(f"summary expects a Flow; got {type(flow).__name__}.")
    layers = list(flow.transform.transforms) if isinstance(flow.transform, Compose) else [flow.transform]
    lines = [Line("p_Z", describe(flow.base), 0)]
    first = 1
    for (what, count), group in groupby((describe(layer), parameters(layer)) for layer in layers):
        last = first + len(list(group)) - 1
        lines.append(Line(str(first) if last == first else f"{first}–{last}", what, count * (last - first + 1)))
        first = last + 1
    lines.append(Line("all", "", parameters(flow)))
    forward, inverse = cost(flow.transform)
    title = f"Flow on points of shape {tuple(flow.base.event_shape)}, from noise to data:"
    return Summary(title, lines, [("sample", forward), ("log_prob", inverse)])


def describe(module: nn.Module) -> str:
    """A layer on one line: its law, its network, its sizes."""
    name = type(module).__name__
    if isinstance(module, Inverse):
        return f"{name}({describe(module.transform)})"
    if isinstance(module, Coupling):
        return f"{name}: {describe(module.law)}, {network(module.conditioner)}, {module.partition.extra_repr()}"
    if isinstance(module, CouplingStack):
        first, count = module.couplings[0], len(module.couplings)
        sizes = f"{module.partition.kind}, {first.partition.kept} and {first.partition.moved} in turns"
        return f"{count} × Coupling: {describe(first.law)}, {network(first.conditioner)}, {sizes}"
    if isinstance(module, Autoregressive):
        return f"{name}: {describe(module.law)}, {network(module.conditioner)}"
    sizes = module.extra_repr()
    return f"{name}({sizes})" if sizes else name


def network(net: nn.Module) -> str:
    """A conditioner by its sizes, e.g. "MLP 1 → 64 → 64 → 2"."""
    name = type(net).__name__
    if isinstance(net, CausalTransformer):
        width = net.embed.out_features
        return f"{name} {net.dim} tokens of {width}, {len(net.blocks)} blocks → {net.dim} × {net.n_params}"
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    sizes = [str(layers[0].in_features), *(str(layer.out_features) for layer in layers)] if layers else []
    if isinstance(net, MADE):
        sizes[-1] = f"{net.dim} × {net.n_params}"
    return f"{name} {' → '.join(sizes)}".strip()


def cost(transform: Transform) -> tuple[str, str]:
    """What forward and inverse cost: "one pass", "D steps" or "root finding"; the dearest part decides."""
    if isinstance(transform, Inverse):
        return tuple(reversed(cost(transform.transform)))
    if isinstance(transform, Compose):
        return tuple(map(dearest, zip(*map(cost, transform.transforms), strict=True))) or (ONE_PASS, ONE_PASS)
    if isinstance(transform, Autoregressive):
        return f"{transform.event_shape[0]} steps, one for each coordinate", ONE_PASS
    if isinstance(transform, Planar | PlanarStack | Sylvester):
        return ONE_PASS, "root finding in every layer"
    return ONE_PASS, ONE_PASS


def dearest(costs: Iterable[str]) -> str:
    return next((one for one in costs if one != ONE_PASS), ONE_PASS)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
