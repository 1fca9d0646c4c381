"""Image files in a folder tree: found by their endings, and shown to readers in lower case."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ITK_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
NATURAL_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")

# Images that nnU-Net's readers do not know, and what images come wrapped in.
_OTHER_IMAGES = (".mgz", ".mgh", ".mnc", ".img", ".nhdr", ".par", ".gipl")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z")


def ending_of(path: Path) -> str:
    """The image ending of a file's name as it is written there, empty if it has none."""
    name = path.name.lower()
    matching = (e for e in ITK_ENDINGS + NATURAL_ENDINGS if name.endswith(e))
    return path.name[-len(ending) :] if (ending := next(matching, "")) else ""


def hint_on(path: Path) -> str:
    """What a person can do with a file that is no image for nnU-Net; empty if it is none at all."""
    name = path.name.lower()
    if name.endswith(_OTHER_IMAGES):
        return "nnU-Net does not read its format; convert it to NIfTI"
    if name.endswith(_ARCHIVES):
        return "it is an archive; unpack it if it holds images"
    return ""


def is_photograph(path: Path) -> bool:
    """Whether nnU-Net reads a file as a photograph, without a geometry."""
    return ending_of(path).lower() in NATURAL_ENDINGS


@contextmanager
def under_a_lower_case_ending(path: Path) -> Iterator[Path]:
    """A path by which every reader knows the format of an image: SCAN.MHA is not read as such."""
    ending = ending_of(path)
    if ending == ending.lower():
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder) / f"image{ending.lower()}"
        link.symlink_to(path.absolute())
        if ending.lower() == ".mhd":
            # Its voxels are looked for beside it.
            for neighbour in path.absolute().parent.iterdir():
                if neighbour != path.absolute():
                    (Path(folder) / neighbour.name).symlink_to(neighbour)
        yield link


def find_files(images: Path, skipped: Path) -> tuple[list[Path], dict[str, str]]:
    """Regular files below a folder, in order. Links to folders are followed once.

    Args:
        images: the folder.
        skipped: a folder that is not searched, unless it is `images` itself.

    Returns:
        The files without hidden ones; and reasons for folders that cannot be opened, and for
        images that are no regular files or whose name is no text. Other things of the kind, such
        as pipes and links to nowhere, are passed over.
    """
    files, failed = [], {}

    def cannot_open(error: OSError) -> None:
        failed[str(error.filename)] = f"the folder cannot be opened ({error.strerror})"

    seen = {os.path.realpath(skipped)} - {os.path.realpath(images)}
    for root, folders, names in os.walk(images, onerror=cannot_open, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(root) / name
            reason = _why_not(path)
            if not reason:
                files.append(path)
            elif ending_of(path):
                failed[str(path)] = reason
    return files, failed


def _why_not(path: Path) -> str:
    """Why a file cannot be opened as an ordinary one, empty if it can."""
    try:
        str(path).encode()
        if not stat.S_ISREG(path.stat().st_mode):
            return "it is no regular file"
    except UnicodeEncodeError:
        return "its name is no text in UTF-8: rename it"
    except OSError as error:
        if path.is_symlink():
            return f"it is a link to {os.readlink(path)}, which is not there"
        return f"it cannot be opened ({error.strerror})"
    return "" if os.access(path, os.R_OK) else "it cannot be opened (Permission denied)"
