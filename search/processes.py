"""The processes of one run: one alone, or those that `torchrun` started (data parallel)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from contract.errors import PhonebookError

CPU = torch.device("cpu")
PATIENCE = timedelta(hours=2)  # the others wait while the first one measures


class Stopped(KeyboardInterrupt):
    """The run was asked to stop and did so between two steps, with its state whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """This process among those of the run. All of them take every step together."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def is_first(self) -> bool:
        """Whether this process writes, prints and measures."""
        return self.rank == 0

    def add_up(self, values: Sequence[float]) -> list[float]:
        """Each value's sum over all processes, the same in every one of them."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return list(map(float, tensor.tolist()))

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes."""
        if self.world == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world

    def adopt_buffers(self, module: nn.Module) -> None:
        """Give the module the first process's running statistics, which are those it writes."""
        if self.world == 1:
            return
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)

    def gather(self, found: dict[str, str]) -> dict[str, str]:
        """What any of the processes found."""
        if self.world == 1:
            return found
        everywhere: list[dict[str, str]] = [{}] * self.world
        dist.all_gather_object(everywhere, found)
        return {name: what for one in everywhere for name, what in one.items()}

    def shared(self, module: nn.Module) -> nn.Module:
        """The module, with gradients averaged over all processes where there are several."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=True)

    def require_equal_shares(self, option: str, batch_size: int) -> None:
        """See to it that every process gets equally many images.

        Raises:
            PhonebookError: the number of processes does not divide the batch.
        """
        if batch_size % self.world:
            raise PhonebookError(
                f"--{option} is {batch_size}, which {self.world} processes cannot share equally; "
                f"give a multiple of {self.world}"
            )


@contextmanager
def join_processes(*, accelerator: bool) -> Iterator[Processes]:
    """This process among those that torchrun names in the environment, if it started it."""
    device = _device(accelerator=accelerator)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(device=device)
        return
    dist.init_process_group(dist.get_default_backend_for_device(device), timeout=PATIENCE)
    try:
        yield Processes(rank=dist.get_rank(), world=world, device=device)
    finally:
        dist.destroy_process_group()


def _device(*, accelerator: bool) -> torch.device:
    found = torch.accelerator.current_accelerator(check_available=True) if accelerator else None
    if found is None:
        return CPU
    device = torch.device(found.type, int(os.environ.get("LOCAL_RANK", "0")))
    torch.accelerator.set_device_index(device.index)
    return device
