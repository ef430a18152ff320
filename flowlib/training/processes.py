"""One process or many: which device, which share of a batch, and sums over all. `torchrun` starts the many."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Made = TypeVar("Made")


@dataclass(frozen=True)
class Processes:
    """This process among `count` of them, numbered by `rank` from 0; number 0 alone writes and speaks."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's rows of a batch."""
        if batch % self.count:
            raise ValueError(f"A batch of {batch} cannot be shared evenly by {self.count} processes. Use a multiple.")
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def in_turn(self, make: Callable[[], Made]) -> Made:
        """What `make` gives, in the first process before all others: what it has downloaded, they find."""
        if not self.first:
            dist.barrier()
        made = make()
        if self.first and self.count > 1:
            dist.barrier()
        return made

    def total(self, value: Tensor) -> Tensor:
        """The sum of `value` over all processes, in each of them."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def anyone(self, value: bool) -> bool:
        """Whether `value` holds in any process, in each of them."""
        return bool(self.total(torch.tensor(float(value), device=self.device)) > 0)

    def agreed(self, value: float) -> float:
        """The `value` of process 0, in each of them."""
        if self.count == 1:
            return value
        return float(self.total(torch.tensor(value if self.first else 0.0, dtype=torch.float64, device=self.device)))


ALONE = Processes()


@contextmanager
def processes(device: str = "auto") -> Iterator[Processes]:
    """The processes that torchrun has started, joined; or this one alone.

    Args:
        device: "cpu", "cuda", "cuda:1", or "auto": CUDA where there is one.
    """
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if count > 1 and ":" in device:
        raise ValueError(
            f"--device {device} puts all {count} processes on one GPU. Say --device cuda, or leave it out."
        )
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if count == 1:
        yield Processes(device=chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        dist.init_process_group("nccl", device_id=chosen)
    else:
        dist.init_process_group("gloo")
    try:
        yield Processes(rank, count, chosen)
        dist.barrier()  # nobody hangs up while another process may still talk to it
    finally:
        dist.destroy_process_group()


def choose_device(name: str = "auto", local_rank: int = 0) -> torch.device:
    """The device of that name for the process of this number on its machine; ValueError where there is none."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda', 'mps' or e.g. 'cuda:1'; got {name!r}.")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("There is no GPU of Apple's for --device mps on this machine. Use --device cpu.")
        return torch.device("mps")
    if kind == "cpu":
        return torch.device("cpu")
    if not gpus:
        built = torch.version.cuda
        why = f"this PyTorch is built for CUDA {built} and finds no GPU" if built else "this PyTorch is built for CPUs"
        raise ValueError(f"There is no GPU for --device {name}: {why}. Use --device cpu, or leave it out.")
    number = int(index) if index else local_rank
    if number >= gpus:
        raise ValueError(f"There is no GPU number {number}: this machine has {gpus}, numbered from 0.")
    return torch.device("cuda", number)
