"""Pictures of candidates: the middle slice of the first channel of their cube."""

import numpy as np

from nnunetv2_pcrl.tasks.nodules.candidate_reader import CandidateReader


class CandidatePictures:
    """Pictures for a report."""

    def __init__(self, reader: CandidateReader):
        """Takes a reader of cubes as the network sees them."""
        self._reader = reader

    def of(self, identifier: str) -> np.ndarray:
        """A picture of a candidate, shape [H, W]."""
        ((_, cube),) = self._reader.inputs(identifier)
        return cube[0, cube.shape[1] // 2].numpy()
