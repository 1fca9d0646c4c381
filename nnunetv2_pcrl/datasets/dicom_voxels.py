"""Voxels of DICOM series: read by SimpleITK, with the values and the place that the files say."""

import numpy as np
import SimpleITK
from scipy import ndimage

from nnunetv2_pcrl.datasets.dicom_series import Series


def read_series(series: Series) -> SimpleITK.Image:
    """The image of a series; values are those of each plane read alone.

    Planes of a tilted gantry are brought above one another by linear interpolation, on a grid that
    holds all of them; what is outside gets the lowest value.

    Returns:
        Integers where every plane has integers of the same kind, single precision otherwise.

    Raises:
        ValueError, RuntimeError: if a file cannot be read or holds something else than its header
            says.
    """
    warnings = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    # ITK says of every odd series that it is not regular, which was checked.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = _read_files(series) if len(series.headers) > 1 else _read_file(series)
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(warnings)
    if tuple(image.GetSize()) != series.geometry.size:
        raise ValueError(
            f"its voxels have the size {image.GetSize()}, its header says {series.geometry.size}"
        )
    if image.GetPixelID() == SimpleITK.sitkFloat64:
        image = SimpleITK.Cast(image, SimpleITK.sitkFloat32)
    image.SetSpacing(series.geometry.spacing)
    image.SetOrigin(series.geometry.origin)
    image.SetDirection(series.geometry.direction)
    return _straightened(image, series) if series.is_tilted else image


def _read_files(series: Series) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(header.path) for header in series.headers])
    kinds = {header.stored_as for header in series.headers}
    rescales = {(frame.slope, frame.intercept) for frame in series.frames}
    are_integers = all(value.is_integer() for rescale in rescales for value in rescale)
    # The reader takes the type of the first plane for all.
    if (len(kinds) > 1 or len(rescales) > 1 or not are_integers) and _is_grey(series):
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    return reader.Execute()


def _read_file(series: Series) -> SimpleITK.Image:
    image = SimpleITK.ReadImage(str(series.first.path))
    if image.GetDimension() == 2:
        image = SimpleITK.JoinSeries(image)
    stored, frames = series.first.frames, series.frames
    differ = len({(frame.slope, frame.intercept) for frame in stored}) > 1
    is_ordered = series.order == tuple(range(len(series.order)))
    if is_ordered and not differ:
        return image
    array = SimpleITK.GetArrayFromImage(image)
    if len(array) != len(stored):
        raise ValueError(f"it has {len(array)} planes, its header says {len(stored)}")
    array = array[list(series.order)]
    if differ and _is_grey(series):
        # ITK takes the rescaling of the first plane of the file for all.
        raw = (array.astype(np.float64) - stored[0].intercept) / stored[0].slope
        slope, intercept = (
            np.array([getattr(frame, name) for frame in frames]).reshape(-1, 1, 1)
            for name in ("slope", "intercept")
        )
        array = (raw * slope + intercept).astype(np.float32)
    return SimpleITK.GetImageFromArray(array, isVector=not _is_grey(series))


def _is_grey(series: Series) -> bool:
    return series.geometry.num_components == 1


def _straightened(image: SimpleITK.Image, series: Series) -> SimpleITK.Image:
    """Moves every plane within itself to where it lies over the first one."""
    if not _is_grey(series):
        raise ValueError(
            f"its gantry is tilted by {series.tilt_degrees:.0f} degrees, and it is in colour"
        )
    array = SimpleITK.GetArrayFromImage(image)
    # Rows come first in the array, columns first in the image.
    shift = np.array(series.drift[::-1]) / np.array(image.GetSpacing()[1::-1])
    # Whole pixels stay whole: a trifle more would move the first row out of the plane.
    shifts = np.round(np.arange(len(array))[:, None] * shift, 4)
    before = np.ceil(np.maximum(-shifts, 0).max(axis=0)).astype(int)
    after = np.ceil(np.maximum(shifts, 0).max(axis=0)).astype(int)
    margins = ((0, 0), *zip(before, after, strict=True))
    lowest = array.min()
    padded = np.pad(array, margins, constant_values=lowest)
    straight = np.stack(
        [
            ndimage.shift(plane.astype(np.float32), by, order=1, cval=float(lowest))
            for plane, by in zip(padded, shifts, strict=True)
        ]
    )
    if np.issubdtype(array.dtype, np.integer):
        straight = np.rint(straight).astype(array.dtype)
    result = SimpleITK.GetImageFromArray(straight)
    result.SetSpacing(image.GetSpacing())
    result.SetDirection(image.GetDirection())
    corner = [-int(before[1]), -int(before[0]), 0]
    result.SetOrigin(image.TransformIndexToPhysicalPoint(corner))
    return result
