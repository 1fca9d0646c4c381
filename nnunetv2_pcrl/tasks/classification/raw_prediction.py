"""From raw images to probabilities of classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from nnunetv2_pcrl.tasks.classification.framing import Framing, framing_of
from nnunetv2_pcrl.tasks.classification.predictions import Predictions
from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.tasks.encoder.checkpoint import TrainedClassifier
from nnunetv2_pcrl.tasks.encoder.raw_prediction import RawCases, predict_inputs
from nnunetv2_pcrl.tasks.encoder.trained_folds import managers_of


@dataclass(frozen=True)
class RawInputs:
    """Inputs of raw images.

    Attributes:
        cases: the images.
    """

    cases: RawCases

    def inputs(self, identifier: str) -> Iterator[tuple[str, Tensor]]:
        """All inputs of a case, each of shape [C, *patch], with its identifier."""
        image, _ = self.cases.read(identifier)
        trained = self.cases.trained
        framing = _framing_of(trained)
        for box in framing.boxes(image.shape[1:]):
            yield identifier, framing.framed(image[(slice(None), *box.slices)])


def inputs_seen(trained: TrainedClassifier) -> tuple:
    """What the network sees, equal for folds whose inputs are equal."""
    return _framing_of(trained), tuple(managers_of(trained)[1].spacing)


def _framing_of(trained: TrainedClassifier) -> Framing:
    settings = cast(ClassificationSettings, trained.settings)
    return framing_of(managers_of(trained)[1].patch_size, settings)


def predict_raw(
    folds: Sequence[TrainedClassifier],
    files: Mapping[str, Sequence[str]],
    device: torch.device,
    num_workers: int,
) -> Predictions:
    """Probabilities of raw images: the mean over the folds.

    Args:
        folds: that agree in classes and inputs.
        files: image files by case.
        device: to compute on.
        num_workers: processes that read and preprocess; 0 for this one.
    """
    inputs = RawInputs(RawCases(files, folds[0]))
    found = predict_inputs(folds, inputs.inputs, list(files), device, num_workers)
    return Predictions.of_cases(folds[0].names, {case: found[case] for case in files})
