"""`summary(flow)`: what a flow is made of, line by line, and which of its two directions is cheap."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from flowlib.core import Flow
from flowlib.support.tables import Report, Table


@dataclass(frozen=True)
class Line:
    """One layer, or several equal ones in a row; without parameters, what the lines below it have in common."""

    layer: str
    what: str
    parameters: int | None

    @property
    def count(self) -> str:
        return "" if self.parameters is None else f"{self.parameters:,}"


class Summary(Report):
    """What `summary` found: prints as a short table, shows as one in a notebook."""

    def __init__(self, title: str, lines: list[Line], costs: list[tuple[str, str]]):
        self.title, self.lines, self.costs = title, lines, costs

    def table(self) -> Table:
        rows = [(line.layer, line.what, line.count) for line in self.lines]
        return Table(self.title, rows, right=[2], foot=self.costs)


def summary(flow: Flow) -> Summary:
    """The layers of a flow from noise to data, their sizes and parameters, and what each direction costs.

    >>> from flowlib.models.vectors import planar_flow
    >>> summary(planar_flow(layers=4))
    Flow on points of shape (2,), from noise to data:
      p_Z  StandardNormal(dim=2)   0
      1–4  Planar(dim=2)          20
      all                         20
      sample: one pass
      log_prob: root finding in every layer
    """
    if not isinstance(flow, Flow):
        raise TypeError(f"summary expects a Flow; got {type(flow).__name__}.")
    lines = [Line("p_Z", f"{type(flow.base).__name__}({flow.base.extra_repr()})", 0), *layer_lines(flow)]
    lines.append(Line("all", "", parameters(flow)))
    forward, inverse = flow.transform.costs
    title = f"Flow on points of shape {tuple(flow.data_shape)}, from noise to data:"
    return Summary(title, lines, [("sample", str(forward)), ("log_prob", str(inverse))])


def layer_lines(flow: Flow) -> Iterator[Line]:
    """One line a layer, or a run of equal ones, or of equal groups; where latents come in, a line says so."""
    layers = flow.transform.layers()
    lines = [(layer.describe(), parameters(layer), layer.acts_on) for layer in layers]
    first, seen = 0, 0
    while first < len(lines):
        shape = lines[first][2]
        if shape.numel() > seen and any(one[2].numel() != shape.numel() for one in lines):
            yield Line("+ z", f"{shape.numel() - seen} latents of scale {tuple(shape)}", None)
        seen = shape.numel()
        size, times = longest_run(lines[first:])
        number = str(first + 1) if size * times == 1 else f"{first + 1}–{first + size * times}"
        if size > 1:
            yield Line(number, f"{times} × {size} layers:", None)
            number = "·"
        for what, count, _ in lines[first : first + size]:
            yield Line(number, what, count * times)
        first += size * times


def longest_run(items: list) -> tuple[int, int]:
    """The group at the head of the list that fills most of it by standing there again: its size, how often."""
    best = 1, 1
    for size in range(1, len(items) // 2 + 1):
        times = 1
        while items[times * size : (times + 1) * size] == items[:size]:
            times += 1
        if times > 1 and size * times > best[0] * best[1]:
            best = size, times
    return best


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
