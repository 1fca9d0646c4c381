"""Names of cases: plain, short, stable, and none that nnU-Net takes for something else."""

import hashlib
import re
from collections.abc import Container

from nnunetv2_pcrl.weights.plain_names import plain_name

# With "_0000.nii.gz" and the folders of results far below what any file system allows.
MAX_LENGTH = 60
_DIGEST_LENGTH = 8
# nnU-Net's preprocessed segmentation of CASE is CASE_seg.
_RESERVED = re.compile(r"_seg$", re.IGNORECASE)


def check_case_name(name: object) -> str:
    """Returns the name of a case that nnU-Net will find among the preprocessed ones.

    Raises:
        ValueError: if it is no plain file name, or means something else to nnU-Net.
    """
    name = plain_name(name, "case name")
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
