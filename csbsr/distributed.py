"""Several processes of one run under `torchrun`: who am I, and how work is split and gathered."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """This process's place among the processes of the run."""

    rank: int = 0
    world: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes checkpoints, logs and results (only the first does)."""
        return self.rank == 0


def ranks() -> Ranks:
    """Place of this process in the group it has joined (`process_group`); alone outside of one.

    Variables such as WORLD_SIZE, which a cluster or a shell may have left, do not count.
    """
    if not dist.is_available() or not dist.is_initialized():
        return Ranks()
    return Ranks(dist.get_rank(), dist.get_world_size())


@contextmanager
def process_group(device: str = "cpu") -> Iterator[tuple[Ranks, torch.device]]:
    """Join the group that `torchrun` started (nccl on CUDA, gloo elsewhere); leave it at the end.

    Yields the ranks and the device of this process: of several on CUDA each has the GPU of its
    local rank, whatever number `device` has. Without torchrun nothing is started. ValueError when
    there are fewer GPUs than processes.
    """
    target = torch.device(device)
    started = dist.is_torchelastic_launched() and not dist.is_initialized()
    if started:
        target = _own_device(target)
        dist.init_process_group("nccl" if target.type == "cuda" else "gloo")
    try:
        yield ranks(), target
    finally:
        if started:
            dist.destroy_process_group()


def _own_device(device: torch.device) -> torch.device:
    local = int(os.environ["LOCAL_RANK"])
    if device.type != "cuda":
        return device
    if local >= torch.cuda.device_count():
        raise ValueError(
            f"torchrun started process {local + 1} on this machine, which has "
            f"{torch.cuda.device_count()} GPUs; lower --nproc-per-node"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def share(items: Sequence, place: Ranks) -> Sequence:
    """The items that this process works on: every `world`-th one."""
    return items[place.rank :: place.world]


def gather(mine: list, place: Ranks) -> list:
    """Results of all processes in the order of the items that `share` split."""
    if place.world == 1:
        return mine
    parts: list[list] = [[] for _ in range(place.world)]
    dist.all_gather_object(parts, mine)
    whole: list = [None] * sum(map(len, parts))
    for rank, part in enumerate(parts):
        whole[rank :: place.world] = part
    return whole


def everyones(mine: list, place: Ranks) -> list:
    """The lists of all processes, one after the other."""
    if place.world == 1:
        return mine
    parts: list[list] = [[] for _ in range(place.world)]
    dist.all_gather_object(parts, mine)
    return [item for part in parts for item in part]


def agree(value: int, place: Ranks, how: Callable[..., object] = max) -> int:
    """One value for all processes: the largest (`max`) or the smallest (`min`)."""
    if place.world == 1:
        return value
    values: list[int] = [0] * place.world
    dist.all_gather_object(values, value)
    return how(values)


def from_first(value: object, place: Ranks) -> object:
    """The value that the first process has."""
    if place.world == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
