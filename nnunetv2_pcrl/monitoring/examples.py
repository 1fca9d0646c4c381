"""Fixed validation crops whose restorations are shown, and the restorations of a network."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.views import (
    DrawnViews,
    ViewSettings,
    draw_views,
    make_views,
    prepare_views,
)
from nnunetv2_pcrl.monitoring.panels import Panel, PanelRow, Rectangle
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError, has_content
from nnunetv2_pcrl.views.seeding import seeded_generator

MOST_ROWS = 12
MOST_EXAMPLES = 5
MAX_DRAWS_PER_CASE = 10
# Beside the streams of the loader (0 and 1) and of the levels (2 and 3).
EXAMPLE_STREAM = 4


@dataclass(frozen=True)
class Example:
    """A crop of one case.

    Attributes:
        case: identifier.
        target: clean v0, shape [C, (D,) H, W].
        corrupted: the network's input, same shape.
        drawn: the views, whose boxes are shown.
        source: slices of the image through the centre of v0, one per plane, each [C, h, w].
    """

    case: str
    target: Tensor
    corrupted: Tensor
    drawn: DrawnViews
    source: tuple[Tensor, ...]


def planes(num_axes: int) -> list[tuple[str, tuple[int, ...]]]:
    """Name of every shown plane, and the axis that it cuts; none in 2D."""
    return [("", ())] if num_axes == 2 else [(f"{n} slice", (a,)) for a, n in enumerate("zyx")]


def number_of_examples(num_channels: int, num_axes: int) -> int:
    """As many as fill a page."""
    rows = num_channels * len(planes(num_axes))
    return min(MOST_EXAMPLES, max(1, MOST_ROWS // rows))


def draw_examples(
    folder: Path, identifiers: Sequence[str], settings: ViewSettings, seed: int, count: int
) -> list[Example]:
    """The same crops for equal seeds; cases that cannot be used are left out.

    Args:
        folder: preprocessed data of the configuration.
        identifiers: cases to choose from.
        settings: of the views.
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
            example = _draw_example(case, settings, seeded_generator(seed, EXAMPLE_STREAM, number))
        except UnusableCaseError:
            continue
        examples.append(example)
    return examples


def _draw_example(
    case: PreprocessedCase, settings: ViewSettings, generator: torch.Generator
) -> Example:
    is_2d = len(settings.global_size) == 2
    size = case.image_size[1:] if is_2d else case.image_size
    position = (case.image_size[0] // 2,) if is_2d else ()

    def read(box: Box) -> Tensor:
        whole = Box((*position, *box.start), ((1,) if is_2d else ()) + box.size)
        return case.read(whole)[:, 0] if is_2d else case.read(whole)

    for _ in range(MAX_DRAWS_PER_CASE):
        drawn = draw_views(size, case.num_channels, settings, generator)
        region = read(drawn.region)
        if has_content(region, [drawn.global_views[0].box], drawn.region):
            break
    views = make_views(region, prepare_views(drawn, settings))
    box = drawn.global_views[0].box
    source = []
    for _, cut in planes(len(size)):
        start, extent = [0] * len(size), list(size)
        for axis in cut:
            start[axis], extent[axis] = box.start[axis] + box.size[axis] // 2, 1
        slab = read(Box(tuple(start), tuple(extent)))
        source.append(slab.squeeze(cut[0] + 1) if cut else slab)
    return Example(case.identifier, views.target, views.global_views[0], drawn, tuple(source))


@torch.no_grad()
def restore(
    network: PCRLv2Network,
    example: Example,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager],
) -> list[Tensor]:
    """Restorations of one example: from every level, low to high resolution, then the full one.

    Returns:
        Each of the target's shape, on the CPU.
    """
    with autocast():
        pyramid = network.backbone(example.corrupted[None].to(device))
        heads = zip(network.level_restorations, pyramid, strict=True)
        restored = [head(features) for head, features in heads]
        restored.append(network.restoration(pyramid[-1]))
    size = example.target.shape[1:]
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return [
        F.interpolate(r.float(), size=size, mode=mode, align_corners=False)[0].cpu()
        for r in restored
    ]


def panel_rows(
    example: Example, restored: list[Tensor], settings: ViewSettings, channels: Sequence[str]
) -> list[PanelRow]:
    """Rows of pictures of one example: one per plane and channel."""
    target = example.target
    size = target.shape[1:]
    box = example.drawn.global_views[0].box
    voxel_mm = [
        mm * crop / view for mm, crop, view in zip(settings.spacing, box.size, size, strict=True)
    ]
    rows = []
    for plane, (name, cut) in enumerate(planes(len(size))):
        shown = [axis for axis in range(len(size)) if axis not in cut]

        def middle(image: Tensor, cut=cut) -> np.ndarray:
            for axis in cut:
                image = image.select(axis, size[axis] // 2)
            return image.numpy()

        aspect = voxel_mm[shown[0]] / voxel_mm[shown[1]]
        source_aspect = settings.spacing[shown[0]] / settings.spacing[shown[1]]
        rectangles = _rectangles(example.drawn, shown, cut)
        for channel, channel_name in enumerate(channels):
            low, high = _window(target[channel])
            *of_levels, full = restored

            def panel(title, image, error_of=None, channel=channel, aspect=aspect):
                return Panel(
                    title,
                    middle(image[channel]),
                    aspect,
                    None if error_of is None else _relative_error(error_of, target, channel),
                )

            panels = [
                panel("input", example.corrupted),
                panel("target", target),
                panel("restoration", full, full),
                *(
                    panel(f"from level {level}", image, image)
                    for level, image in enumerate(of_levels)
                ),
            ]
            label = [example.case, name, channel_name if len(channels) > 1 else ""]
            rows.append(
                PanelRow(
                    tuple(text for text in label if text),
                    (low, high),
                    Panel(
                        "source and views", example.source[plane][channel].numpy(), source_aspect
                    ),
                    rectangles,
                    tuple(panels),
                    Panel("|restoration - target|", middle((full - target)[channel].abs()), aspect),
                )
            )
    return rows


def _rectangles(drawn: DrawnViews, shown: list[int], cut: tuple[int, ...]) -> tuple[Rectangle, ...]:
    """Boxes of all views as they lie in a plane."""
    first = drawn.global_views[0].box
    position = [first.start[axis] + first.size[axis] // 2 for axis in cut]
    kinds = ["first", "second"] + ["local"] * len(drawn.local_views)
    return tuple(
        Rectangle(
            kind,
            tuple(view.box.start[axis] for axis in shown),
            tuple(view.box.size[axis] for axis in shown),
            all(
                view.box.start[a] <= p < view.box.stop[a]
                for a, p in zip(cut, position, strict=True)
            ),
        )
        for kind, view in zip(kinds, (*drawn.global_views, *drawn.local_views), strict=True)
    )


def _window(values: Tensor) -> tuple[float, float]:
    """Lowest and highest shown value: without the outermost percent on either side."""
    low, high = np.percentile(values.numpy(), (1, 99))
    if high - low < 1e-6:
        low, high = float(values.min()) - 0.5, float(values.max()) + 0.5
    return float(low), float(high)


def _relative_error(restored: Tensor, target: Tensor, channel: int) -> float:
    """Squared error of a channel in units of its variance."""
    error = (restored[channel] - target[channel]).square().mean()
    return float(error / target[channel].var(unbiased=False).clamp_min(1e-12))
