"""The tables by which the candidates of a data set are judged."""

from pathlib import Path

from nnunetv2_pcrl.datasets.positions import DIAMETER, Positions, read_positions
from nnunetv2_pcrl.datasets.raw import find_beside
from nnunetv2_pcrl.tasks.nodules.challenge import ANNOTATIONS, EXCLUDED


def read_nodules(preprocessed: Path) -> tuple[Positions, Positions | None] | None:
    """Nodules and irrelevant findings of a data set, as the challenge judges by them.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.

    Returns:
        Values are diameters, mm. The second is None if there is no table of such findings; None
        for both if there is none of nodules.
    """
    found = [_read_if_there(preprocessed, name) for name in (ANNOTATIONS, EXCLUDED)]
    return None if found[0] is None else (found[0], found[1])


def _read_if_there(preprocessed: Path, name: str) -> Positions | None:
    try:
        path = find_beside(preprocessed, name)
    except ValueError:
        return None
    return read_positions(path, DIAMETER)
