"""Which slices of a segmented case are shown, how they are cropped, and in which window."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_pcrl.monitoring.planes import Orientation, Plane, plane_across, planes_of

# Of the segmented part's size, on either side of it.
MARGIN = 0.25
# A lesion alone, without its surroundings, shows nobody where it is.
LEAST_PART = 1 / 3
PERCENTILES = (0.5, 99.5)
# Lesions are bright and small: they must not all be white.
HIGHEST_PERCENTILE = 99.9
# In Hounsfield units, where nothing is segmented.
CT_WINDOW = (-160.0, 240.0)
RGB = (("r", "g", "b"), ("red", "green", "blue"))


@dataclass(frozen=True)
class SegmentedCase:
    """An image and its segmentations, on one grid.

    Attributes:
        image: shape [C, D, H, W]; D is 1 for 2D images.
        channels: names of the channels.
        segmentations: label maps [D, H, W], the reference first.
        spacing: of the voxels, in the order of the axes.
        orientation: of the three axes.
        ignore_label: of the reference, if there is one.
    """

    image: np.ndarray
    channels: tuple[str, ...]
    segmentations: tuple[np.ndarray, ...]
    spacing: tuple[float, ...]
    orientation: Orientation
    ignore_label: int | None = None

    @property
    def is_colour(self) -> bool:
        """Whether the channels are red, green and blue."""
        return tuple(name.lower() for name in self.channels) in RGB

    def foreground(self, number: int) -> np.ndarray:
        """Mask of what one of the segmentations has found."""
        labels = self.segmentations[number]
        return (labels > 0) & (labels != self.ignore_label)


@dataclass(frozen=True)
class SliceRow:
    """One plane of a case, as it is shown.

    Attributes:
        words: lines of its label: plane, what is up and right, number of the slice.
        edges: letters at the top, bottom, left and right edge, "" if unknown.
        aspect: height over width of a pixel.
        image: grey [h, w] or colours [h, w, 3], from 0 to 1.
        segmentations: label maps [h, w], the reference first.
    """

    words: tuple[str, ...]
    edges: tuple[str, str, str, str]
    aspect: float
    image: np.ndarray
    segmentations: tuple[np.ndarray, ...]


def slice_rows(case: SegmentedCase, channel: int = 0) -> tuple[SliceRow, ...]:
    """One slice per plane: of those that the reference has a part in, that with most to see.

    That is: most of the reference and of the errors of all predictions.

    Args:
        case: at least one segmentation.
        channel: that is shown, if the image is not in colour.
    """
    box = _shown_box(case)
    shown = _windowed(case, channel, box)
    return tuple(_row(case, plane, box, shown) for plane in _planes(case))


def clearest_channel(case: SegmentedCase) -> int:
    """The channel in which the reference differs most from what surrounds it.

    By the difference of the means in units of the standard deviation; the first channel where
    there is no reference.
    """
    box = _shown_box(case)
    inside, around = case.foreground(0)[box], case.image[(slice(None), *box)]
    if not inside.any() or inside.all():
        return 0
    gaps = around[:, inside].mean(axis=1) - around[:, ~inside].mean(axis=1)
    return int(np.argmax(np.abs(gaps) / np.maximum(around.std(axis=(1, 2, 3)), 1e-12)))


def _planes(case: SegmentedCase) -> tuple[Plane, ...]:
    planes = planes_of(case.orientation)
    if case.image.shape[1] > 1:
        return planes
    flat = plane_across(planes, 0)
    # A film as it is stored: there is no slice to name.
    return (flat if case.orientation.is_known else Plane("", 0, 1, 2),)


def _position(case: SegmentedCase, cut: int) -> int:
    """The slice to show across an axis."""
    reference, *predictions = case.segmentations
    others = tuple(axis for axis in range(3) if axis != cut)
    of_reference = case.foreground(0).sum(axis=others)
    weight = of_reference.copy()
    for prediction in predictions:
        is_wrong = (prediction != reference) & (reference != case.ignore_label)
        weight += is_wrong.sum(axis=others)
    if of_reference.any():
        weight[of_reference == 0] = 0
    # The middle one of several that show equally much, and of all where there is nothing.
    equal = np.flatnonzero(weight == weight.max())
    return int(equal[len(equal) // 2])


def _shown_box(case: SegmentedCase) -> tuple[slice, ...]:
    """Around everything that is segmented; the whole image where nothing is."""
    found = np.zeros(case.image.shape[1:], bool)
    for number in range(len(case.segmentations)):
        found |= case.foreground(number)
    if not found.any():
        return tuple(slice(0, length) for length in case.image.shape[1:])
    box = []
    for axis in range(3):
        size: int = found.shape[axis]
        (where,) = np.nonzero(found.any(axis=tuple(a for a in range(3) if a != axis)))
        start, stop = int(where[0]), int(where[-1]) + 1
        margin = max(MARGIN * (stop - start), (LEAST_PART * size - (stop - start)) / 2)
        box.append(slice(max(0, int(start - margin)), min(size, int(np.ceil(stop + margin)))))
    return tuple(box)


def _windowed(case: SegmentedCase, channel: int, box: tuple[slice, ...]) -> np.ndarray:
    """The shown channels of the whole image from 0 to 1, shape [D, H, W] or [3, D, H, W]."""
    if case.is_colour:
        # Films are stored from 0 to 255, or from 0 to 1.
        return np.clip(case.image / (255.0 if case.image.max() > 1 else 1.0), 0, 1)
    image = case.image[channel]
    foreground = case.foreground(0)
    if case.channels[channel].lower() == "ct":
        low, high = CT_WINDOW
        if foreground.any():
            # Wider than the organ itself, so that its neighbours are told apart too.
            low, high = np.percentile(image[foreground], PERCENTILES)
            low, high = low - (high - low) / 2, high + (high - low) / 2
    else:
        low, high = np.percentile(image[box], (PERCENTILES[0], HIGHEST_PERCENTILE))
    return np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)


def _row(case: SegmentedCase, plane: Plane, box: tuple[slice, ...], shown: np.ndarray) -> SliceRow:
    # Of three axes, which all cases have here, a plane cuts one.
    cut = plane.cut or 0
    position = _position(case, cut)
    crop = tuple(slice(None) if axis == cut else box[axis] for axis in range(3))
    within: tuple[Any, ...] = (..., *crop)
    image = plane.through(shown[within], position)
    count = case.image.shape[1 + cut]
    number = (f"slice {position + 1} of {count}",) if count > 1 else ()
    return SliceRow(
        (*plane.words, *number),
        plane.edges,
        plane.aspect(case.spacing),
        np.moveaxis(image, 0, -1) if case.is_colour else image,
        tuple(plane.through(labels[crop], position) for labels in case.segmentations),
    )
