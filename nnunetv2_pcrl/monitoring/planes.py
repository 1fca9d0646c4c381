"""Axial, coronal and sagittal pictures of an array, as a radiologist hangs them.

Which way the axes of an array run in the patient, and how a slice is turned for display: patient
right on the left of the picture, superior (axial: anterior) up, sagittal with anterior on the left.
Pure numpy: nothing is read or drawn here.

    planes = planes_of(orientation_of(properties, plans["transpose_forward"]))
    axial, coronal, sagittal = planes
    picture = axial.through(image, position)        # [..., h, w]
    ax.imshow(picture, aspect=axial.aspect(spacing))
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

# Of SimpleITK and DICOM: x grows to the left, y to the back, z to the head.
ITK_AXES = (("R", "L"), ("A", "P"), ("I", "S"))
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "I": "S", "S": "I"}
WORDS = {
    "R": "right",
    "L": "left",
    "A": "anterior",
    "P": "posterior",
    "I": "inferior",
    "S": "superior",
}
# Name: what runs downwards and what runs to the right of the picture.
RADIOLOGICAL = {"axial": ("P", "L"), "coronal": ("I", "L"), "sagittal": ("I", "P")}
# Headers are rounded, and a gantry's tenth of a degree is no tilt that anybody sees.
LEAST_TILT_DEGREES = 1.0


@dataclass(frozen=True)
class Orientation:
    """How the axes of an array lie in the patient.

    Attributes:
        towards: per array axis, the direction in which its index grows, one of R, L, A, P, I, S;
            "" where nobody knows.
        tilt_degrees: largest angle between an axis and the direction it is named by, 0 to 90.
    """

    towards: tuple[str, ...]
    tilt_degrees: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the header said it."""
        return all(self.towards)


def orientation_from_itk(
    direction: Sequence[float], transpose: Sequence[int] | None = None
) -> Orientation:
    """Orientation of an array that SimpleITK gave, whose axes are (z, y, x).

    Args:
        direction: nine values, row by row, as of SimpleITK.Image.GetDirection; of sixteen, the
            first three axes count, as the fourth holds channels. An image with any other number
            of axes has no known orientation.
        transpose: nnU-Net's transpose_forward, if the array is in the order of the plan.
    """
    order = tuple(transpose or (0, 1, 2))
    if len(direction) == 16:
        direction = np.reshape(direction, (4, 4))[:3, :3].ravel().tolist()
    if len(direction) != 9:
        return Orientation(("",) * math.isqrt(len(direction)))
    # Columns are the axes x, y, z of the image; here one row per axis of the array.
    axes = np.reshape(direction, (3, 3)).T[::-1][list(order)]
    lengths = np.linalg.norm(axes, axis=1)
    if not np.isfinite(lengths).all() or not lengths.all():
        return Orientation(("",) * 3)
    cosines = axes / lengths[:, None]
    # Every direction of the patient once, even at 45 degrees.
    patient = max(permutations(range(3)), key=lambda p: sum(abs(cosines[range(3), p])))
    towards = tuple(ITK_AXES[p][int(cosines[k, p] > 0)] for k, p in enumerate(patient))
    least = float(np.clip(abs(cosines[range(3), patient]).min(), 0, 1))
    return Orientation(towards, math.degrees(math.acos(least)))


def orientation_of(
    properties: Mapping[str, Any], transpose: Sequence[int] | None = None
) -> Orientation:
    """Orientation of an array that one of nnU-Net's readers gave.

    Args:
        properties: of the reader; nnU-Net stores them with every preprocessed case.
        transpose: transpose_forward of the plans, if the array is in their order.

    Returns:
        Three axes, unknown for readers of formats without a direction and for 2D images.
    """
    if "sitk_stuff" in properties:
        found = orientation_from_itk(properties["sitk_stuff"]["direction"], transpose)
        # nnU-Net gives 2D images an axis of length one.
        return found if len(found.towards) == 3 else Orientation(("",) * 3)
    stored = properties.get("nibabel_stuff", {})
    affine = stored.get("reoriented_affine", stored.get("original_affine"))
    if affine is None:
        return Orientation(("",) * 3)
    # NIfTI's x grows to the right and y to the front; the array is turned to (z, y, x) as well.
    direction = np.asarray(affine, dtype=float)[:3, :3] * np.array([[-1.0], [-1.0], [1.0]])
    return orientation_from_itk(direction.ravel().tolist(), transpose)


@dataclass(frozen=True)
class Plane:
    """How slices of an array are cut and turned for display.

    Attributes:
        name: axial, coronal or sagittal; "z slice" and the like where nobody knows; "" in 2D.
        cut: array axis that a slice cuts; None in 2D.
        rows, columns: array axes that run down and to the right of the picture.
        flip_rows, flip_columns: whether they are shown backwards.
        down, right: the direction in the patient at these two edges, "" where nobody knows.
        tilt_degrees: as of the orientation.
    """

    name: str
    cut: int | None
    rows: int
    columns: int
    flip_rows: bool = False
    flip_columns: bool = False
    down: str = ""
    right: str = ""
    tilt_degrees: float = 0.0

    @property
    def edges(self) -> tuple[str, str, str, str]:
        """Letters for the top, bottom, left and right edge of the picture, "" if unknown."""
        return OPPOSITE.get(self.down, ""), self.down, OPPOSITE.get(self.right, ""), self.right

    @property
    def words(self) -> tuple[str, ...]:
        """For the label of a row: its name, what is up and what is right; no empty ones."""
        if not self.down:
            return (self.name,) if self.name else ()
        tilted = self.tilt_degrees >= LEAST_TILT_DEGREES
        tilt = f" (tilted {self.tilt_degrees:.0f}°)" if tilted else ""
        up, _, _, right = self.edges
        return f"{self.name}{tilt}", f"{WORDS[up]} up", f"{WORDS[right]} on the right"

    def through(self, image: np.ndarray, position: int) -> np.ndarray:
        """The picture at a position, a view of the image.

        Args:
            image: shape [..., D, H, W], or [..., H, W] in 2D.
            position: index along the axis `cut`; ignored in 2D.

        Returns:
            Shape [..., h, w], rows from the top.
        """
        if self.cut is None:
            return self.arranged(image)
        return self.arranged(np.take(image, position, axis=self.cut - 3))

    def arranged(self, flat: np.ndarray) -> np.ndarray:
        """The picture of a slice that is cut already, its two axes in the array's order."""
        if self.rows > self.columns:
            flat = np.swapaxes(flat, -1, -2)
        steps = tuple(-1 if flip else 1 for flip in (self.flip_rows, self.flip_columns))
        return flat[..., :: steps[0], :: steps[1]]

    def aspect(self, spacing: Sequence[float]) -> float:
        """Height over width of a pixel.

        Args:
            spacing: of the array's axes, in any unit.
        """
        return float(spacing[self.rows] / spacing[self.columns])

    def rectangle(
        self, start: Sequence[int], size: Sequence[int], shape: Sequence[int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where a box of voxels lies in the picture: first row and column, height and width.

        Args:
            start, size: of the box, per array axis.
            shape: of the array.
        """

        def first(axis: int, flip: bool) -> int:
            return shape[axis] - start[axis] - size[axis] if flip else start[axis]

        return (
            (first(self.rows, self.flip_rows), first(self.columns, self.flip_columns)),
            (size[self.rows], size[self.columns]),
        )


def planes_of(orientation: Orientation) -> tuple[Plane, ...]:
    """Axial, coronal and sagittal; in the array's own order and as stored where nobody knows.

    A 2D array has one plane, shown as it is stored.
    """
    axes = range(len(orientation.towards))
    if len(axes) == 2:
        return (Plane("", None, 0, 1),)
    if not orientation.is_known:
        others = {cut: [axis for axis in axes if axis != cut] for cut in axes}
        return tuple(
            Plane(f"{'zyx'[cut]} slice", cut, rows, columns)
            for cut, (rows, columns) in others.items()
        )

    def axis_along(letter: str) -> tuple[int, bool]:
        """The array axis that runs that way, and whether it does so backwards."""
        for axis, towards in enumerate(orientation.towards):
            if letter in (towards, OPPOSITE[towards]):
                return axis, towards != letter
        raise AssertionError(f"{orientation} names a direction twice")

    planes = []
    for name, (down, right) in RADIOLOGICAL.items():
        (rows, flip_rows), (columns, flip_columns) = axis_along(down), axis_along(right)
        planes.append(
            Plane(
                name,
                3 - rows - columns,
                rows,
                columns,
                flip_rows,
                flip_columns,
                down,
                right,
                orientation.tilt_degrees,
            )
        )
    return tuple(planes)


def plane_across(planes: Sequence[Plane], axis: int) -> Plane:
    """The plane that cuts an array axis, such as the one that a 2D configuration sees (axis 0)."""
    return next(plane for plane in planes if plane.cut in (axis, None))
