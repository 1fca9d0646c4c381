"""Reads what a network sees of preprocessed images."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.tasks.classification.framing import Framing
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError


@dataclass(frozen=True)
class CaseReader:
    """Reads inputs of preprocessed cases.

    Attributes:
        folder: preprocessed data of the configuration.
        framing: of the inputs.
    """

    folder: str | os.PathLike
    framing: Framing

    def drawn(self, identifier: str, generator: torch.Generator) -> Tensor:
        """One input of a case, shape [C, *patch]."""
        case = self._opened(identifier)
        return self._read(case, self.framing.drawn_box(case.image_size, generator))

    def inputs(self, identifier: str) -> Iterator[tuple[str, Tensor]]:
        """All inputs of a case, each of shape [C, *patch], with its identifier."""
        case = self._opened(identifier)
        for box in self.framing.boxes(case.image_size):
            yield identifier, self._read(case, box)

    def _opened(self, identifier: str) -> PreprocessedCase:
        try:
            return PreprocessedCase(self.folder, identifier)
        except UnusableCaseError as error:
            raise _unusable(identifier, error) from error

    def _read(self, case: PreprocessedCase, box: Box) -> Tensor:
        try:
            return self.framing.framed(case.read(box))
        except UnusableCaseError as error:
            raise _unusable(case.identifier, error) from error


def _unusable(identifier: str, error: UnusableCaseError) -> ValueError:
    return ValueError(
        f"Case {identifier} cannot be used: {error}. Preprocess it again, or take it out of "
        f"classes.csv."
    )
