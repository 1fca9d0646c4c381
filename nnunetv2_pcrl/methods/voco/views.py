"""The views of VoCo: base crops that tile a part of the image, and queries anywhere in it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.methods.voco.settings import VoCoSettings
from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.cases import UnusableCaseError
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.corruption import draw_corruption
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import (
    CorruptedView,
    PlacedView,
    PreparedGroup,
    prepare_group,
    region_of,
)
from nnunetv2_pcrl.views.resample import Deformation
from nnunetv2_pcrl.views.seeding import uniform


def grid_cells(tiled: Box, grid: Sequence[int]) -> tuple[Box, ...]:
    """Boxes that tile a box exactly, row by row; their sizes differ by one voxel at most.

    Args:
        tiled: the box, no axis shorter than its number of cells.
        grid: cells per axis.
    """
    edges = [
        [start + size * number // cells for number in range(cells + 1)]
        for start, size, cells in zip(tiled.start, tiled.size, grid, strict=True)
    ]
    spans = [list(itertools.pairwise(of_axis)) for of_axis in edges]
    return tuple(
        Box(tuple(a for a, _ in cell), tuple(b - a for a, b in cell))
        for cell in itertools.product(*spans)
    )


def overlaps_of(queries: Sequence[Box], bases: Sequence[Box]) -> Tensor:
    """Part of every query that each base crop has.

    Args:
        queries: inside the boxes' union.
        bases: that tile it.

    Returns:
        Shape [Q, N]; each row sums to 1.
    """
    return torch.tensor([[q.overlap(b) / q.volume for b in bases] for q in queries])


@dataclass(frozen=True)
class PreparedCrops:
    """Crops of one image as small tensors.

    Attributes:
        queries, bases: resized to one view size.
        overlaps: see `overlaps_of`.
    """

    queries: PreparedGroup
    bases: PreparedGroup
    overlaps: Tensor

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the crops.

        Returns:
            `queries` [Q, C, (d,) h, w], `bases` [N, C, (d,) h, w] and `overlaps` [Q, N].
        """
        prepared = on_device(self, region.device)
        return {
            "queries": prepared.queries.made(region),
            "bases": prepared.bases.made(region),
            "overlaps": prepared.overlaps.clone(),
        }


@dataclass(frozen=True)
class DrawnCrops:
    """The crops of one image.

    Attributes:
        queries, bases: where they lie and how they are changed.
        region: the box to read from the image.
    """

    queries: tuple[CorruptedView, ...]
    bases: tuple[CorruptedView, ...]
    region: Box

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """The queries: one that shows nothing cannot be placed."""
        return self.boxes["queries"]

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """Of base crops and queries."""
        return {
            "base crops": tuple(view.place.box for view in self.bases),
            "queries": tuple(view.place.box for view in self.queries),
        }

    def prepared(self) -> PreparedCrops:
        """Does all that can be done without the image's voxels."""
        boxes = self.boxes
        return PreparedCrops(
            prepare_group(self.queries, self.region),
            prepare_group(self.bases, self.region),
            overlaps_of(boxes["queries"], boxes["base crops"]),
        )


@dataclass(frozen=True)
class VoCoRecipe(SettingsRecipe[VoCoSettings]):
    """A grid of base crops on as much of the image as it can cover, and queries in it.

    Crops are resized, mirrored and changed in intensity, each on its own. They are not turned or
    scaled: what a crop shows is its box, so that overlaps stay true.
    """

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnCrops:
        """Draws the grid's place, then the queries, any of their places alike likely.

        Raises:
            UnusableCaseError: if the image has fewer voxels than the grid has cells, on an axis.
        """
        settings = self.settings
        for axis, (size, cells) in enumerate(zip(image_size, settings.grid, strict=True)):
            if size < cells:
                raise UnusableCaseError(
                    f'its {size} voxels along axis {axis} cannot be divided by a "grid" of {cells}'
                )
        extent = [
            min(size, cell * cells)
            for size, cell, cells in zip(image_size, settings.cell_size, settings.grid, strict=True)
        ]
        whole = Box((0,) * len(image_size), tuple(image_size))
        tiled = draw_box_within(extent, whole, generator)
        query = [size // cells for size, cells in zip(extent, settings.grid, strict=True)]
        queries = [draw_box_within(query, tiled, generator) for _ in range(settings.num_queries)]
        ranges, still = settings.intensities, Deformation.identity(self.num_axes)

        def changed(box: Box) -> CorruptedView:
            flips = tuple(uniform(0, 1, generator) < settings.p_mirror for _ in self.spacing)
            mirrored = Deformation(flips, still.scales, still.angles)
            place = PlacedView(box, mirrored, settings.view_size, self.spacing)
            corruption = draw_corruption(settings.view_size, channels, ranges, generator)
            return CorruptedView(place, corruption)

        of_queries = tuple(changed(box) for box in queries)
        of_bases = tuple(changed(box) for box in grid_cells(tiled, settings.grid))
        places = [view.place for view in (*of_queries, *of_bases)]
        return DrawnCrops(of_queries, of_bases, region_of(places, image_size))
