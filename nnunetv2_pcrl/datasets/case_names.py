"""Names of cases: plain, short, stable, and none that nnU-Net takes for something else."""

import hashlib
import re
from collections.abc import Container

# With "_0000.nii.gz" and the folders of results far below what any file system allows.
MAX_LENGTH = 60
_DIGEST_LENGTH = 8
# nnU-Net's preprocessed segmentation of CASE is CASE_seg.
_RESERVED = re.compile(r"_seg$", re.IGNORECASE)


def check_plain_name(name: object, what: str) -> str:
    """Returns a name that stays inside the folder it is put into.

    Args:
        name: read from a file that another person may have written.
        what: it is, for the message.

    Raises:
        ValueError: if it is empty, no text, hidden, or has parts of a path.
    """
    is_plain = (
        isinstance(name, str)
        and 0 < len(name) <= 200
        and not name.startswith(".")
        and not re.search(r"[/\\\x00-\x1f]", name)
    )
    if not is_plain:
        raise ValueError(f"{what} {name!r} is no plain file name")
    return name


def check_case_name(name: object) -> str:
    """Returns the name of a case that nnU-Net will find among the preprocessed ones.

    Raises:
        ValueError: if it is no plain file name, or means something else to nnU-Net.
    """
    name = check_plain_name(name, "case name")
    if _RESERVED.search(name):
        raise ValueError(
            f'case name {name!r} ends with "_seg", which nnU-Net takes for a segmentation: rename '
            f"its files"
        )
    return name


def case_name(text: str, taken: Container[str]) -> str:
    """Name for a case, made of a path or a title.

    Args:
        text: any text; letters, digits and hyphens are kept.
        taken: names that others have, in lower case.

    Returns:
        At most `MAX_LENGTH` characters; the same for the same arguments.
    """
    base = re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_-") or "case"
    if _RESERVED.search(base):
        base += "_image"
    if len(base) > MAX_LENGTH:
        base = _shortened(base, text)
    name, number = base, 1
    while name.lower() in taken:
        number += 1
        ending = f"_{number}"
        name = base[: MAX_LENGTH - len(ending)] + ending
    return name


def _shortened(base: str, text: str) -> str:
    """Beginning and end, which mostly tell the patient and the image, and a digest of the whole."""
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_LENGTH]
    room = MAX_LENGTH - _DIGEST_LENGTH - 2
    head, tail = base[: room // 2].rstrip("_-"), base[-(room - room // 2) :].lstrip("_-")
    return f"{head}_{digest}_{tail}"
