"""The likelihood paradox on Fashion-MNIST and MNIST, its remedies, and a table where the likelihood works.

    python -m tools.paradox          in about six minutes on one core; needs FLOWLIB_DATA

Both models come with flowlib, fashion-glow and mnist-glow; images are from the test parts, with one draw of the noise
of dequantization each. For each direction of the pair, scores of the model's own images and of the others, and the
AUROC with its 95 % interval by bootstrap over images. `black`: bits a pixel of Fashion-MNIST at lower contrasts.
The table: rows of `tables.protein`; an outlier has half of its columns from another row. Written is
notebooks/data/paradox.json.
"""

import argparse
import json
import time

import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor

from flowlib import load
from flowlib.datasets import images, tables
from flowlib.models import (
    input_complexity,
    likelihood_ratio,
    neighbour_background,
    png_bits,
    spline_flow,
    surprise,
    typicality,
)
from flowlib.pixels import PixelFlow
from flowlib.training import auroc_interval, fit
from tools.families import OUT as FAMILIES_OUT

OUT, COMMAND = FAMILIES_OUT.with_name("paradox.json"), "python -m tools.paradox"
COUNT, EDGES = 5000, [0.1 * k for k in range(0, 91)]  # images of each set; bins of bits a pixel
DATA = {"fashion": images.fashion_mnist, "mnist": images.mnist}
CONTRASTS = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]


@torch.no_grad()
def nats(model: PixelFlow, pixels: Tensor, seed: int = 0) -> Tensor:
    """log p of each image, by one draw of noise: (n, 1, 28, 28) -> (n,)."""
    torch.manual_seed(seed)
    return torch.cat([model.log_prob(part) for part in pixels.split(250)])


def scores_of(log_p: dict[str, Tensor], pixels: dict[str, Tensor], background, known: Tensor) -> dict[str, dict]:
    """name -> set -> scores (n,): the higher, the more of an outlier. The last ones are mistakes of units."""
    rows: dict[str, dict[str, Tensor]] = {}
    for who, own in log_p.items():
        x = pixels[who]
        for name, score in {
            "surprise": surprise(own),
            "typicality": typicality(own, known),
            "input complexity": input_complexity(own, x),
            "likelihood ratio": likelihood_ratio(own, background(x)),
            "background alone": surprise(background(x)),
            "PNG alone": png_bits(x),
            "nats less bits": -own - png_bits(x),
            "bits a pixel less bits": surprise(own) / x[0].numel() - png_bits(x),
        }.items():
            rows.setdefault(name, {})[who] = score
    return rows


def direction(inside: str, outside: str) -> dict:
    """All scores of one model: its own images, and the others."""
    model = load(f"{inside}-glow")
    data = {who: DATA[who]() for who in (inside, outside)}
    pixels = {who: each.test.images[:COUNT] for who, each in data.items()}
    background = neighbour_background(data[inside].train.images)
    log_p = {who: nats(model, x) for who, x in pixels.items()}
    known = nats(model, data[inside].validation.images[:COUNT], seed=1)
    dim, found = pixels[inside][0].numel(), []
    for name, score in scores_of(log_p, pixels, background, known).items():
        area = auroc_interval(score[inside], score[outside])
        found.append(
            {"score": name, "auroc": round(area.value, 4), "low": round(area.low, 4), "high": round(area.high, 4)}
        )
        print(inside, found[-1], flush=True)
    sets = {}
    for who in (inside, outside):
        each = surprise(log_p[who]) / dim
        sets[who] = {
            "bits": round(each.mean().item(), 3),
            "median_bits": round(each.median().item(), 3),
            "png_bits": round(png_bits(pixels[who]).mean().item() / dim, 3),
            "background_bits": round(surprise(background(pixels[who])).mean().item() / dim, 3),
            "histogram": torch.histogram(each.clamp(EDGES[0], EDGES[-1]).double(),
                                         torch.tensor(EDGES, dtype=torch.float64)).hist.int().tolist(),
        }  # fmt: skip
    result = {"model": f"{inside}-glow", "inside": inside, "outside": outside, "sets": sets, "scores": found}
    if inside == "fashion":
        some = pixels[inside][:1000]
        result["black"] = [
            [c, round((surprise(nats(model, (c * some).byte())) / dim).mean().item(), 3)] for c in CONTRASTS
        ]
        print(result["black"], flush=True)
    return result


def table() -> dict:
    """Planted outliers among the protein rows: flow, Mahalanobis distance, isolation forest."""
    data = tables.protein()
    torch.manual_seed(0)
    flow, start = spline_flow(data.dim, layers=4, hidden=[64, 64]), time.process_time()
    fit(flow, data.train, steps=1500, batch=512, lr=3e-3, held_out=data.validation, seed=0)
    seconds = time.process_time() - start
    half = len(data.test) // 2
    inside, outside = data.test[:half], mixed(data.test[half:], seed=0)
    forest = IsolationForest(n_estimators=300, random_state=0).fit(data.train.numpy())
    mean, covariance = data.train.mean(0), torch.cov(data.train.T)

    def mahalanobis(x: Tensor) -> Tensor:
        return ((x - mean) @ torch.linalg.inv(covariance) * (x - mean)).sum(-1)

    with torch.no_grad():
        scores = {
            "flow": lambda x: -flow.log_prob(x),
            "Mahalanobis": mahalanobis,
            "isolation forest": lambda x: -torch.from_numpy(forest.score_samples(x.numpy())),
        }
        areas = {name: auroc_interval(score(inside), score(outside)) for name, score in scores.items()}
    rows = [
        {"score": name, "auroc": round(a.value, 4), "low": round(a.low, 4), "high": round(a.high, 4)}
        for name, a in areas.items()
    ]
    print(rows, flush=True)
    return {"data": data.name, "rows": half, "columns": data.dim, "training_s": round(seconds, 1), "scores": rows}


def mixed(rows: Tensor, seed: int) -> Tensor:
    """Rows half of whose columns, drawn anew for each, come from the row that a permutation puts there."""
    draw = torch.Generator().manual_seed(seed)
    other = rows[torch.randperm(len(rows), generator=draw)]
    taken = torch.rand(rows.shape, generator=draw).argsort(-1) < rows.shape[1] // 2
    return torch.where(taken, other, rows)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = {"command": COMMAND, "images": COUNT, "edges": [round(edge, 1) for edge in EDGES], "table": table()}
    found["directions"] = [direction("fashion", "mnist"), direction("mnist", "fashion")]
    OUT.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
