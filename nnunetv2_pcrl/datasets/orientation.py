"""Orientation of volumes: which way the axes of the array point in the patient."""

from collections import Counter
from collections.abc import Iterable

import SimpleITK

from nnunetv2_pcrl.datasets.headers import Header

# One letter of each pair, in the order of the array's axes.
_PAIRS = ("LR", "PA", "SI")


def orientation_of(header: Header) -> str:
    """Three letters such as LPS: x to the left, y to the back, z to the head; "" for 2D images."""
    if header.num_axes < 3 or len(header.direction) < 9:
        return ""
    direction = header.direction
    if len(direction) == 16:
        # Of four axes the last is no direction in space.
        direction = tuple(direction[4 * row + column] for row in range(3) for column in range(3))
    name = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
    return name(direction)


def check_orientation(code: str) -> str:
    """Returns a code of three letters in upper case.

    Raises:
        ValueError: if it names no orientation.
    """
    code = code.upper()
    used = sorted(next((i for i, pair in enumerate(_PAIRS) if c in pair), -1) for c in code)
    if used != [0, 1, 2]:
        raise ValueError(
            f"{code!r} is no orientation: it has one letter of each of L and R, P and A, S and I, "
            f"e.g. LPS"
        )
    return code


def oriented(image: SimpleITK.Image, code: str) -> SimpleITK.Image:
    """A volume with its axes turned and flipped, so that they point as the code says."""
    return SimpleITK.DICOMOrient(image, code)


def mixture(headers: Iterable[Header]) -> str:
    """Counts of orientations as text, empty if there are not several."""
    counts = Counter(code for header in headers if (code := orientation_of(header)))
    if len(counts) < 2:
        return ""
    return ", ".join(f"{count} {code}" for code, count in counts.most_common())
