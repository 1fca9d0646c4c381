"""Fixed validation images with drawn views, and what a network makes of them as rows of pictures.

What is learned of the views is the method's to say; here it is cut and turned for a person.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.monitoring.panels import MatrixPanel, Panel, PanelRow, Rectangle
from nnunetv2_pcrl.monitoring.planes import Plane, orientation_of, plane_across, planes_of
from nnunetv2_pcrl.monitoring.vocabulary import Column, Pictures
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError, has_content
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.drawn import Drawn, Recipe
from nnunetv2_pcrl.views.seeding import seeded_generator

# A page shows several cases, so each of them gets few rows.
MOST_ROWS, MOST_EXAMPLES, ROWS_PER_EXAMPLE = 12, 5, 4
MAX_DRAWS_PER_CASE = 10
# Beside the streams of the loader (0 and 1) and of the levels (2 and 3).
EXAMPLE_STREAM = 4
COLOURS = (("r", "g", "b"), ("red", "green", "blue"))

# Channels that are shown together, one or three.
Group = tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """Drawn views of one case.

    Attributes:
        case: that was read.
        drawn: its views, of two axes in 2D.
        views: by name, each [views, C, ...].
        planes: of a picture; one in 2D.
        position: of the slice in 2D; none in 3D.
    """

    case: PreprocessedCase
    drawn: Drawn
    views: Mapping[str, Tensor]
    planes: tuple[Plane, ...]
    position: tuple[int, ...]

    def in_volume(self, box: Box) -> Box:
        """A box of the views in the stored image, whose axes are always three."""
        return Box((*self.position, *box.start), (1,) * len(self.position) + box.size)


def draw_examples(
    folder: Path,
    identifiers: Sequence[str],
    recipe: Recipe,
    channels: Channels,
    transpose: Sequence[int],
    seed: int,
    count: int,
) -> list[Example]:
    """The same views for equal seeds; cases that cannot be used are left out.

    Args:
        folder: preprocessed data of the configuration.
        identifiers: cases to choose from.
        recipe: of the views.
        transpose: transpose_forward of the plans.
        seed: of the run.
        count: examples that are wanted, spread over the cases.
    """
    identifiers = sorted(identifiers)
    count = min(count, len(identifiers))
    chosen = [identifiers[i * len(identifiers) // count] for i in range(count)]
    examples = []
    for number, identifier in enumerate(chosen):
        try:
            case = PreprocessedCase(folder, identifier)
            planes = _planes(case, properties_of(folder, identifier), transpose, recipe.num_axes)
            generator = seeded_generator(seed, EXAMPLE_STREAM, number)
            examples.append(_draw_example(case, planes, recipe, channels, generator))
        except UnusableCaseError:
            continue
    return examples


def properties_of(folder: Path, identifier: str) -> dict:
    """What nnU-Net stored beside a preprocessed case; nothing if it did not."""
    path = folder / f"{identifier}.pkl"
    if not path.is_file():
        return {}
    with open(path, "rb") as file:
        return pickle.load(file)


def _planes(
    case: PreprocessedCase, properties: Mapping, transpose: Sequence[int], num_axes: int
) -> tuple[Plane, ...]:
    planes = planes_of(orientation_of(properties, transpose))
    if num_axes == 3:
        return planes
    if case.image_size[0] == 1 and not planes[0].down:
        # A photograph or a film, which has no other slice.
        return (Plane("", 0, 1, 2),)
    return (plane_across(planes, 0),)


def _draw_example(
    case: PreprocessedCase,
    planes: tuple[Plane, ...],
    recipe: Recipe,
    channels: Channels,
    generator: torch.Generator,
) -> Example:
    is_2d = recipe.num_axes == 2
    size = case.image_size[1:] if is_2d else case.image_size
    position = (case.image_size[0] // 2,) if is_2d else ()
    for _ in range(MAX_DRAWS_PER_CASE):
        drawn = recipe.draw(size, channels, generator)
        example = Example(case, drawn, {}, planes, position)
        region = case.read(example.in_volume(drawn.region))
        region = region[:, 0] if is_2d else region
        if has_content(region, drawn.must_vary, drawn.region):
            break
    return Example(case, drawn, drawn.prepared().make(region), planes, position)


def channel_groups(channels: Sequence[str]) -> list[Group]:
    """Channels that are shown together: red, green and blue as colour, others one by one."""
    if tuple(name.lower() for name in channels) in COLOURS:
        return [(0, 1, 2)]
    return [(channel,) for channel in range(len(channels))]


def rows_of(number: int, num_planes: int, groups: Sequence[Group]) -> list[tuple[int, Group]]:
    """Planes and channels that one example shows.

    All of them where they are few. Otherwise one plane, another in the next example, with as many
    channels as there is room for.

    Args:
        number: of the example.
        num_planes: 1 or 3.
        groups: of channels.
    """
    if num_planes * len(groups) <= ROWS_PER_EXAMPLE:
        return list(product(range(num_planes), groups))
    chosen = sorted(
        groups[(number * ROWS_PER_EXAMPLE + i) % len(groups)]
        for i in range(min(ROWS_PER_EXAMPLE, len(groups)))
    )
    return [(number % num_planes, group) for group in chosen]


def number_of_examples(num_planes: int, groups: Sequence[Group]) -> int:
    """As many as fill a page."""
    return min(MOST_EXAMPLES, MOST_ROWS // len(rows_of(0, num_planes, groups)))


def panel_rows(
    example: Example,
    pictures: Pictures,
    spacing: Sequence[float],
    channels: Sequence[str],
    rows: Sequence[tuple[int, Group]],
) -> list[PanelRow]:
    """Rows of pictures of one example.

    Args:
        example: as it was drawn.
        pictures: of its views.
        spacing: of the images in mm, per axis of the views.
        channels: names.
        rows: plane and channels of each row.
    """
    made = []
    for number, (plane, group) in enumerate(rows):
        cut = _Cut(example, example.planes[plane], group, pictures.box, tuple(spacing))
        name, *directions = cut.plane.words or ("",)
        channel = channels[group[0]] if len(group) == 1 and len(channels) > 1 else ""
        label = (", ".join(filter(None, (name, channel))), *directions)
        source, rectangles = cut.source(pictures.box_names)
        difference = None
        if pictures.difference is not None:
            difference = cut.panel(Column(pictures.difference_title, pictures.difference))
        matrices = tuple(
            MatrixPanel(m.title, m.values.numpy(), m.rows, m.columns) for m in pictures.matrices
        )
        made.append(
            PanelRow(
                example.case.identifier,
                tuple(filter(None, label)),
                _window(pictures.columns[pictures.window_of].image[list(group)]),
                source,
                _window(torch.from_numpy(source.image)),
                rectangles,
                tuple(cut.panel(column) for column in pictures.columns),
                difference,
                matrices if number == 0 else (),
            )
        )
    return made


@dataclass(frozen=True)
class _Cut:
    """One plane and group of channels of an example, through the middle of a box."""

    example: Example
    plane: Plane
    group: Group
    box: Box
    spacing: tuple[float, ...]

    @property
    def _lifted(self) -> tuple[float, ...]:
        """Spacing of three axes."""
        return (*[1.0] * len(self.example.position), *self.spacing)

    @property
    def _centre(self) -> list[int]:
        box = self.example.in_volume(self.box)
        return [start + size // 2 for start, size in zip(box.start, box.size, strict=True)]

    @property
    def _cut(self) -> int:
        # What is shown has three axes, of which every plane cuts one.
        assert self.plane.cut is not None
        return self.plane.cut

    def panel(self, column: Column) -> Panel:
        """The middle of a column's image."""
        image = column.image[:, None] if self.example.position else column.image
        size = image.shape[1:]
        box = self.example.in_volume(self.box)
        voxel = [
            mm * crop / view for mm, crop, view in zip(self._lifted, box.size, size, strict=True)
        ]
        flat = self.plane.through(image[list(self.group)].numpy(), size[self._cut] // 2)
        errors = [column.errors[channel] for channel in self.group] if column.errors else []
        error = sum(errors) / len(errors) if errors else None
        return Panel(column.title, _picture(flat), self.plane.aspect(voxel), error)

    def source(self, names: Mapping[str, tuple[str, ...]]) -> tuple[Panel, tuple[Rectangle, ...]]:
        """The whole image's slice, and where the views, some of them named, lie in it."""
        cut, centre, size = self._cut, self._centre, self.example.case.image_size
        start, extent = [0] * 3, list(size)
        start[cut], extent[cut] = centre[cut], 1
        slab = self.example.case.read(Box(tuple(start), tuple(extent)))[list(self.group)]
        flat = self.plane.through(slab.numpy(), 0)
        rectangles = []
        for kind, boxes in self.example.drawn.boxes.items():
            named = names.get(kind, ("",) * len(boxes))
            for flat_box, name in zip(boxes, named, strict=True):
                box = self.example.in_volume(flat_box)
                place = self.plane.rectangle(box.start, box.size, size)
                is_cut = box.start[cut] <= centre[cut] < box.stop[cut]
                rectangles.append(Rectangle(kind, *place, is_cut, name))
        aspect = self.plane.aspect(self._lifted)
        return Panel("source and views", _picture(flat), aspect), tuple(rectangles)


def _picture(flat: np.ndarray) -> np.ndarray:
    """Shape [h, w], or [h, w, 3] for colour, of [1 or 3, h, w]."""
    return np.ascontiguousarray(flat[0] if len(flat) == 1 else np.moveaxis(flat, 0, -1))


def _window(values: Tensor) -> tuple[float, float]:
    """Lowest and highest shown value: without the outermost percent on either side."""
    low, high = np.percentile(values.numpy(), (1, 99))
    if high - low < 1e-6:
        low, high = float(values.min()) - 0.5, float(values.max()) + 0.5
    return float(low), float(high)
