"""PNG, TIFF, BMP and JPEG images: read as nnU-Net reads them, by content and not by name."""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import SimpleITK
from PIL.Image import MAX_IMAGE_PIXELS, DecompressionBombError
from PIL.PngImagePlugin import PngInfo
from tifffile import TiffFile, TiffFileError

from nnunetv2_pcrl.datasets.headers import Header
from nnunetv2_pcrl.datasets.label_like import MAX_VALUES, are_label_values
from nnunetv2_pcrl.weights.atomic import replaced_atomically

# Keyword of a PNG text.
_NOTE = "Comment"
# Pillow warns from half of them on.
_MOST_PIXELS = 2 * (MAX_IMAGE_PIXELS or 0)
# With transparency behind.
_TRANSPARENT = {2: 1, 4: 3}
# nnU-Net's distance between the slices of a photograph, which has one.
_SLICE_DISTANCE = 999.0
# RAS, to which nnU-Net's reorienting reader brings volumes: no reader turns them.
_UNTURNED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def read_photograph_header(path: Path) -> Header:
    """Size and number of colours, without decoding the image.

    Raises:
        ValueError: if the file is no such image, or a stack of images.
    """
    try:
        shape = (
            _tiff_shape(path) if _is_tiff(path) else imageio.improps(path, plugin="pillow").shape
        )
    except (OSError, ValueError, TiffFileError) as error:
        if isinstance(error, PermissionError):
            raise
        if isinstance(error.__cause__, DecompressionBombError):
            raise ValueError(
                f"it has too many pixels for nnU-Net's reader of photographs, which opens "
                f"{_MOST_PIXELS:,} at most: cut it into tiles"
            ) from error
        raise ValueError("it is no PNG, TIFF, BMP or JPEG image, or is damaged") from error
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] <= 4)):
        raise ValueError(f"it is a stack of {len(shape)} axes; convert it to NIfTI")
    components = shape[2] if len(shape) == 3 else 1
    return Header(
        (int(shape[1]), int(shape[0])), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0), components
    )


def num_colours(header: Header) -> int:
    """Components without transparency."""
    return _TRANSPARENT.get(header.num_components, header.num_components)


def read_photograph(path: Path) -> np.ndarray:
    """Pixels [H, W] or [H, W, 3], without transparency.

    Raises:
        ValueError: if the image is damaged.
    """
    try:
        array = imageio.imread(path, plugin="tifffile" if _is_tiff(path) else "pillow")
    except (OSError, ValueError, SyntaxError, TiffFileError) as error:
        raise ValueError(f"it is damaged ({error})") from error
    if array.ndim == 3:
        array = array[..., : _TRANSPARENT.get(array.shape[2], array.shape[2])]
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def is_grey(array: np.ndarray) -> bool:
    """Whether red, green and blue are the same everywhere, or there is only one of them."""
    return array.ndim == 2 or bool((array == array[..., :1]).all())


def write_photograph(array: np.ndarray, path: Path, note: str = "") -> None:
    """Writes a PNG image, never half, with a note in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngInfo()
    text.add_text(_NOTE, note)
    with replaced_atomically(path) as temporary:
        imageio.imwrite(temporary, array, plugin="pillow", extension=".png", pnginfo=text)


def note_in_photograph(path: Path) -> str:
    """The note that `write_photograph` left; empty if there is none, or no such image."""
    try:
        return str(imageio.immeta(path, plugin="pillow").get(_NOTE, ""))
    except (OSError, ValueError, SyntaxError):
        return ""


def with_colours(array: np.ndarray, count: int) -> np.ndarray:
    """The image with one colour or with three.

    Raises:
        ValueError: if it has colours and one is wanted.
    """
    if count == 1:
        if not is_grey(array):
            raise ValueError("it is a colour image; take its colours by --channels R G B")
        return array if array.ndim == 2 else np.ascontiguousarray(array[..., 0])
    return array if array.ndim == 3 else np.repeat(array[..., None], count, axis=2)


def as_volume(plane: np.ndarray) -> SimpleITK.Image:
    """A volume of one slice, which nnU-Net's readers of volumes read as it reads the photograph.

    Args:
        plane: pixels [H, W].
    """
    image = SimpleITK.GetImageFromArray(plane[None].astype(np.float32))
    image.SetSpacing((1.0, 1.0, _SLICE_DISTANCE))
    image.SetDirection(_UNTURNED)
    return image


def may_have_label_values(path: Path, header: Header) -> bool:
    """Whether few values could fill a file of this size, so that decoding it is worth while."""
    pixels = header.size[0] * header.size[1]
    is_compressed = path.suffix.lower() in (".png", ".jpg", ".jpeg")
    bits = 8 * path.stat().st_size / max(1, pixels * num_colours(header))
    # A small file is mostly header.
    return not is_compressed or pixels < 128**2 or bits <= np.log2(MAX_VALUES)


def has_label_values(path: Path, header: Header) -> bool:
    """Whether a photograph is a drawing of few colours, as segmentations are."""
    return may_have_label_values(path, header) and are_label_values([read_photograph(path)])


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff")


def _tiff_shape(path: Path) -> tuple[int, ...]:
    with TiffFile(path) as file:
        pages = len(file.pages)
        return tuple(file.pages[0].shape) if pages == 1 else (pages, *file.pages[0].shape)
