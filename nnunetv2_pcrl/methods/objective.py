"""The loss of one step as data: which views pass which backbone, and what is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from torch import Tensor

from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork

N = TypeVar("N", bound=PretrainingNetwork)

# Each [views, images, ...], by name.
Batch = Mapping[str, Tensor]
# Scalars by name of the term.
Numbers = dict[str, Tensor]
# Pooled features by pass and level, each [views, images, channels].
Pooled = Mapping[str, Mapping[int, Tensor]]


@dataclass(frozen=True)
class Pass:
    """One trip of a population of views through a backbone.

    Attributes:
        name: of this population.
        views: their name in the batch.
        only: number of the one view that is meant; None for all of them.
        levels: of the pyramid, whose pooled features the terms of the batch read.
        maps: whether terms of views read its feature maps; all levels are then computed.
        backbone: name of the network's module that they pass. One whose parameters require no
            gradient is a teacher.
    """

    name: str
    views: str
    only: int | None = None
    levels: frozenset[int] = frozenset()
    maps: bool = False
    backbone: str = "backbone"

    def of(self, batch: Batch) -> Tensor:
        """Its views, shape [views, images, C, (D,) H, W]."""
        views = batch[self.views]
        return views if self.only is None else views[self.only : self.only + 1]


class Objective(Generic[N]):
    """The loss of one step; everything random in it has been drawn.

    Attributes:
        passes: in the order in which they are made.
        weights: of the terms in the loss; numbers without a weight are only watched.
        tables: names of small tensors of the batch that terms of the batch read.
    """

    if TYPE_CHECKING:
        # Fields of some objectives, computed by others.
        @property
        def passes(self) -> tuple[Pass, ...]:
            """In the order in which they are made."""

        @property
        def weights(self) -> Mapping[str, float]:
            """Of the terms in the loss; numbers without a weight are only watched."""

    tables: ClassVar[tuple[str, ...]] = ()

    def of_views(self, network: N, name: str, pyramid: list[Tensor], batch: Batch) -> Numbers:
        """Terms that are computed from feature maps: means over the images of the batch.

        Args:
            network: heads and all.
            name: of the pass.
            pyramid: feature maps of its views, low to high resolution, each [V * B, C, ...],
                view by view.
            batch: the same images.
        """
        return {}

    def of_batch(self, network: N, pooled: Pooled, tables: Batch) -> Numbers:
        """Terms that may bring all images of the batch together, from pooled features alone.

        Args:
            network: heads and all.
            pooled: of all passes with levels, over the images of every process.
            tables: of the same images.
        """
        return {}
