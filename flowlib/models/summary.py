"""`summary(flow)`: what a flow is made of, line by line, and which of its two directions is cheap."""

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from flowlib.core import Compose, Flow, Inverse, Transform
from flowlib.nets import MADE, CausalTransformer
from flowlib.nets.convolutional import ConvNet, GlowNet
from flowlib.nets.patches import PatchTransformer
from flowlib.transforms import Autoregressive, Coupling, CouplingStack, MultiScale, Planar, PlanarStack, Sylvester

ONE_PASS = "one pass"


@dataclass(frozen=True)
class Line:
    """One layer, or several equal ones in a row; without parameters, what the lines below it have in common."""

    layer: str
    what: str
    parameters: int | None

    @property
    def count(self) -> str:
        return "" if self.parameters is None else f"{self.parameters:,}"


class Summary:
    """What `summary` found: prints as a short table, shows as one in a notebook."""

    def __init__(self, title: str, lines: list[Line], costs: list[tuple[str, str]]):
        self.title, self.lines, self.costs = title, lines, costs

    def __repr__(self) -> str:
        rows = [(line.layer, line.what, line.count) for line in self.lines]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [f"  {a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}" for a, b, c in rows]
        return "\n".join([self.title, *map(str.rstrip, table), *(f"  {call}: {cost}" for call, cost in self.costs)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="text-align:left">{html.escape(line.layer)}</td><td style="text-align:left">'
            f"{html.escape(line.what)}</td><td>{line.count}</td></tr>"
            for line in self.lines
        )
        costs = " · ".join(f"{html.escape(call)}: <b>{html.escape(cost)}</b>" for call, cost in self.costs)
        head = '<tr><th style="text-align:left">layer</th><th></th><th>parameters</th></tr>'
        return f"<table><caption>{html.escape(self.title)}<br>{costs}</caption>{head}{rows}</table>"


def summary(flow: Flow) -> Summary:
    """The layers of a flow from noise to data, their sizes and parameters, and what each direction costs.

    >>> from flowlib.models.vectors import planar_flow
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
    lines = [Line("p_Z", describe(flow.base), 0)]
    first = 1
    for parts, group in groupby(rows(flow.transform)):
        if isinstance(parts, str):
            lines.append(Line("+ z", parts, None))
            continue
        times = len(list(group))
        number = str(first) if times == 1 else f"{first}–{first + times - 1}"
        if len(parts) > 1:
            lines.append(Line(number, f"{times} × {len(parts)} layers:", None))
            number = "·"
        lines += [Line(number, what, count * times) for what, count in parts]
        first += times
    lines.append(Line("all", "", parameters(flow)))
    forward, inverse = cost(flow.transform)
    title = f"Flow on points of shape {tuple(flow.data_shape)}, from noise to data:"
    return Summary(title, lines, [("sample", forward), ("log_prob", inverse)])


def rows(transform: Transform) -> Iterator[tuple[tuple[str, int], ...] | str]:
    """What each layer is and its number of parameters, or those of its parts; a text where latents come in."""
    for layer in transform.transforms if isinstance(transform, Compose) else [transform]:
        if isinstance(layer, MultiScale):
            for level, size in zip(reversed(layer.levels), layer.sizes, strict=True):
                yield f"{size} latents of scale {tuple(level.event_shape)}"
                yield from rows(level)
        else:
            parts = list(layer.transforms) if isinstance(layer, Compose) else []
            yield tuple((describe(part), parameters(part)) for part in parts or [layer])


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
    if isinstance(net, ConvNet | GlowNet | PatchTransformer):
        return f"{name} {net.extra_repr()}"
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    sizes = [str(layers[0].in_features), *(str(layer.out_features) for layer in layers)] if layers else []
    if isinstance(net, MADE):
        sizes[-1] = f"{net.dim} × {net.n_params}"
    return f"{name} {' → '.join(sizes)}".strip()


def cost(transform: Transform) -> tuple[str, str]:
    """What forward and inverse cost: "one pass", "D steps" or "root finding"; the dearest part decides."""
    if isinstance(transform, Inverse):
        return tuple(reversed(cost(transform.transform)))
    if isinstance(transform, Compose | MultiScale):
        parts = transform.levels if isinstance(transform, MultiScale) else transform.transforms
        return tuple(map(dearest, zip(*map(cost, parts), strict=True))) or (ONE_PASS, ONE_PASS)
    if isinstance(transform, Autoregressive):
        return f"{transform.event_shape[0]} steps, one for each coordinate", ONE_PASS
    if isinstance(transform, Planar | PlanarStack | Sylvester):
        return ONE_PASS, "root finding in every layer"
    return ONE_PASS, ONE_PASS


def dearest(costs: Iterable[str]) -> str:
    return next((one for one in costs if one != ONE_PASS), ONE_PASS)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
