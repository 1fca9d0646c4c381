"""Labelled voxels for the probe: which cases, which crops, which voxels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError
from nnunetv2_pcrl.views.seeding import integer, seeded_generator

CASES_TO_FIT, CASES_TO_SCORE = 8, 4
# Where many cases are without any label, as slices are, so many are looked at for each one wanted.
CASES_LOOKED_AT = 10
# Of a case with more classes so many, drawn among them, have a crop.
MOST_CROPS_PER_CASE = 4
# Of a class in a crop, and of all classes in it.
VOXELS_PER_CLASS, MOST_VOXELS_PER_CROP = 60, 1200
PROBE_STREAM = 5
# Runs of all seeds are probed on the same cases, crops and voxels.
PROBE_SEED = 0


@dataclass(frozen=True)
class LabelledCrop:
    """A crop of an image and some of its voxels.

    Attributes:
        image: shape [C, (D,) H, W].
        voxels: positions in the crop, [N, axes].
        labels: class of each voxel, 0 for background, [N].
        case: whose image it is.
    """

    image: Tensor
    voxels: Tensor
    labels: Tensor
    case: str


def split_cases(
    training: Sequence[str], validation: Sequence[str], seed: int
) -> tuple[list[str], list[str]]:
    """Cases to fit and cases to score in the order in which they are taken, none in both.

    Where training and validation are the same (fold all), a third of the cases is to be scored.
    """

    def shuffled(cases: set[str]) -> list[str]:
        names = sorted(cases)
        order = torch.randperm(len(names), generator=seeded_generator(seed, PROBE_STREAM))
        return [names[index] for index in order.tolist()]

    own = set(validation) - set(training)
    scoring = shuffled(own or set(validation))
    if not own:
        scoring = scoring[: len(scoring) // 3 or 1]
    return shuffled(set(training) - set(scoring)), scoring


def draw_both(
    folder: Path,
    training: Sequence[str],
    validation: Sequence[str],
    classes: Mapping[int, int],
    size: Sequence[int],
    stride: Sequence[int],
    seed: int,
    num_cases: tuple[int, int] = (CASES_TO_FIT, CASES_TO_SCORE),
) -> tuple[list[LabelledCrop], list[LabelledCrop]]:
    """Crops to fit the probe to, and crops of other cases to score it on.

    Args:
        training, validation: cases, as `split_cases` takes them.
        num_cases: how many cases to fit it to, and how many to score it on.
        folder, classes, size, stride, seed: as `draw_crops` takes them.
    """
    fitting, scoring = (
        draw_crops(folder, cases, classes, size, stride, seed, number)
        for cases, number in zip(split_cases(training, validation, seed), num_cases, strict=True)
    )
    return fitting, scoring


def draw_crops(
    folder: Path,
    identifiers: Sequence[str],
    classes: Mapping[int, int],
    size: Sequence[int],
    stride: Sequence[int],
    seed: int,
    num_cases: int,
) -> list[LabelledCrop]:
    """Crops about labelled voxels: per case one for every class that it has, but not for many.

    Args:
        folder: preprocessed data of the configuration.
        identifiers: cases in the order in which they are taken; those without a readable image, or
            without a label, are passed over.
        classes: index of each label value; voxels of other values are not used, but for values
            below 0, which nnU-Net takes for background.
        size: voxels per axis of a crop; less where the image is smaller.
        stride: total stride of the network, of which the size of a crop is a multiple.
        seed: of what is drawn.
        num_cases: how many cases to take crops of.

    Returns:
        Crops of so many cases, or of fewer where `CASES_LOOKED_AT` times as many hold no more.
    """
    crops: list[LabelledCrop] = []
    for number, identifier in enumerate(identifiers[: CASES_LOOKED_AT * num_cases]):
        if num_cases_of(crops) == num_cases:
            break
        try:
            image = PreprocessedCase(folder, identifier)
            label = PreprocessedCase(folder, f"{identifier}_seg")
            values = label.read(Box((0, 0, 0), label.image_size))[0].to(torch.int16).clamp_min(0)
        except UnusableCaseError:
            continue
        generator = seeded_generator(seed, PROBE_STREAM, number)
        for value in _classes_with_crops(values, classes, generator):
            places = (values == value).nonzero()
            centre = places[integer(0, len(places) - 1, generator)].tolist()
            crop = _crop_about(centre, image, values, classes, size, stride, generator)
            if crop is not None:
                crops.append(crop)
    return crops


def _classes_with_crops(
    values: Tensor, classes: Mapping[int, int], generator: torch.Generator
) -> list[int]:
    """Foreground values of an image, so many that a crop of each is no work to speak of."""
    there = set(values.unique().tolist())
    found = [value for value in classes if value != 0 and value in there]
    if len(found) <= MOST_CROPS_PER_CASE:
        return found
    drawn = torch.randperm(len(found), generator=generator)[:MOST_CROPS_PER_CASE]
    return [found[index] for index in sorted(drawn.tolist())]


def num_cases_of(crops: Sequence[LabelledCrop]) -> int:
    """How many cases the crops are of."""
    return len({crop.case for crop in crops})


def _crop_about(
    centre: Sequence[int],
    image: PreprocessedCase,
    values: Tensor,
    classes: Mapping[int, int],
    size: Sequence[int],
    stride: Sequence[int],
    generator: torch.Generator,
) -> LabelledCrop | None:
    """The crop about a voxel, inside the image; None if it is smaller than the network takes."""
    is_2d = len(size) == 2
    # 2D configurations store volumes too; a crop lies in one slice.
    size, stride = ((1, *size), (1, *stride)) if is_2d else (tuple(size), tuple(stride))
    sizes = [
        min(wanted, extent) // step * step
        for wanted, extent, step in zip(size, image.image_size, stride, strict=True)
    ]
    least = [min(wanted // step, 2) * step for wanted, step in zip(size, stride, strict=True)]
    if any(a < b for a, b in zip(sizes, least, strict=True)):
        return None
    start = [
        min(max(0, middle - length // 2), extent - length)
        for middle, length, extent in zip(centre, sizes, image.image_size, strict=True)
    ]
    box = Box(tuple(start), tuple(sizes))
    inner = values[box.slices]
    there = set(inner.unique().tolist())
    # The centre's class at least.
    found = {value: index for value, index in classes.items() if value in there}
    most = min(VOXELS_PER_CLASS, MOST_VOXELS_PER_CROP // len(found))
    voxels, labels = [], []
    for value, index in found.items():
        places = (inner == value).nonzero()
        chosen = torch.randperm(len(places), generator=generator)[:most]
        voxels.append(places[chosen])
        labels.append(torch.full((len(chosen),), index))
    region, places = image.read(box), torch.cat(voxels)
    if is_2d:
        region, places = region[:, 0], places[:, 1:]
    return LabelledCrop(region, places, torch.cat(labels), image.identifier)
