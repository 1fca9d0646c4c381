"""One batch of images shared by several processes, and what they tell one another about it.

Every process computes the heads and the comparison of the whole batch from gathered features, so
the heads' batch normalisation sees all images; the backbone sees the process's own images only.
Gradients are averaged once per step, after all backward passes. Knows nothing of nnU-Net.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Gradients are averaged in pieces of so many values: large enough to be fast, small beside a model.
BUCKET_VALUES = 2**23


@dataclass(frozen=True)
class JointBatch:
    """The images of a step and how they are shared.

    Attributes:
        num_images: of all processes together.
        rank: number of this process.
        num_ranks: processes; 1 for a training in one process, which sends nothing.
    """

    num_images: int
    rank: int = 0
    num_ranks: int = 1

    def __post_init__(self):
        if self.num_images < self.num_ranks:
            raise ValueError(
                f"{self.num_images} images of a comparison batch cannot be shared by "
                f'{self.num_ranks} processes: use fewer, or a larger "batch_size" in the plans.'
            )

    @classmethod
    def of_this_process(cls, num_images: int) -> "JointBatch":
        """The share of this process in the default process group, if there is one."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls(num_images)
        return cls(num_images, dist.get_rank(), dist.get_world_size())

    @property
    def counts(self) -> list[int]:
        """Images per process; they differ by 1 at most."""
        least, more = divmod(self.num_images, self.num_ranks)
        return [least + (rank < more) for rank in range(self.num_ranks)]

    @property
    def own(self) -> range:
        """Places of this process's images in the batch."""
        start = sum(self.counts[: self.rank])
        return range(start, start + self.counts[self.rank])

    @property
    def weight(self) -> float:
        """Makes a mean over own images a part of the joint one: its mean over processes."""
        return len(self.own) * self.num_ranks / self.num_images

    def gather(self, features: Iterable[Tensor]) -> list[Tensor]:
        """Features of all images; gradient flows back to those of this process only.

        That gradient is multiplied by the number of processes, as gradients are averaged later.

        Args:
            features: of own images, each of shape [V, own images, C].

        Returns:
            Each of shape [V, images, C].
        """
        features = list(features)
        if self.num_ranks == 1:
            return features
        # One message: all features side by side, images first, filled up to the largest share.
        packed = torch.cat([f.detach().movedim(1, 0).flatten(1) for f in features], dim=1)
        room = packed.new_zeros(max(self.counts), packed.shape[1])
        room[: len(packed)] = packed
        received = [torch.empty_like(room) for _ in range(self.num_ranks)]
        with _explained_loss_of_a_process():
            dist.all_gather(received, room)
        widths = [f.shape[0] * f.shape[2] for f in features]
        shares = [
            part[:count].split(widths, 1) for part, count in zip(received, self.counts, strict=True)
        ]
        joint = []
        for index, own in enumerate(features):
            parts = [share[index].unflatten(1, (len(own), -1)).movedim(0, 1) for share in shares]
            parts[self.rank] = _with_gradient_times(own, self.num_ranks)
            joint.append(torch.cat(parts, dim=1))
        return joint

    def mean(self, values: Tensor) -> Tensor:
        """Mean of the same values over the processes."""
        if self.num_ranks == 1:
            return values
        values = values.detach().clone()
        with _explained_loss_of_a_process():
            dist.all_reduce(values)
        return values / self.num_ranks

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is up in any of the processes, which meet on the device."""
        if self.num_ranks == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=device)))

    def collect(self, values: list[Any]) -> list[Any]:
        """Lists of all processes, joined; for small things that are seldom sent."""
        if self.num_ranks == 1:
            return values
        received: list[list[Any]] = [[]] * self.num_ranks
        with _explained_loss_of_a_process():
            dist.all_gather_object(received, values)
        return [value for part in received for value in part]

    @torch.no_grad()
    def average_gradients(self, module: nn.Module) -> None:
        """Makes every gradient the mean over the processes.

        All processes must have used the same parameters, which equal draws of levels make sure.
        """
        if self.num_ranks == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        for bucket in _buckets(gradients):
            flat = self.mean(torch.cat([gradient.flatten() for gradient in bucket]))
            sizes = [gradient.numel() for gradient in bucket]
            for gradient, values in zip(bucket, flat.split(sizes), strict=True):
                gradient.copy_(values.view_as(gradient))

    @torch.no_grad()
    def broadcast(self, module: nn.Module) -> None:
        """Gives every process the parameters and buffers of the first one."""
        if self.num_ranks == 1:
            return
        with _explained_loss_of_a_process():
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.data, 0)


def _with_gradient_times(values: Tensor, factor: int) -> Tensor:
    return values + (factor - 1) * (values - values.detach())


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbouring gradients of one type, at least one a bucket, in the order of the parameters."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        is_other = bucket and bucket[0].dtype != gradient.dtype
        if bucket and (is_other or size + gradient.numel() > BUCKET_VALUES):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket


@contextmanager
def _explained_loss_of_a_process() -> Iterator[None]:
    """Says what a broken connection means: the libraries' own errors name sockets."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            f"Rank {dist.get_rank()} lost the connection to another rank, which has most likely "
            f"ended; its own output says why. Checkpoints are intact: go on with --c. ({error})"
        ) from error
