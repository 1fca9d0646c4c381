"""The trainer of classifications: whole images, or windows of them, and the classes of a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.classes import ClassTable, find_classes, read_classes
from nnunetv2_pcrl.tasks.classification.case_reader import CaseReader
from nnunetv2_pcrl.tasks.classification.framing import framing_of
from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.tasks.classification.task import CLASSIFICATIONS
from nnunetv2_pcrl.tasks.classification.validation import write_validation
from nnunetv2_pcrl.tasks.encoder.progress import Described
from nnunetv2_pcrl.tasks.encoder.split import ClassSplit, split_cases
from nnunetv2_pcrl.tasks.encoder.streams import InputStreams
from nnunetv2_pcrl.tasks.encoder.trainer import EncoderTrainer


class ClassificationTrainer(EncoderTrainer):
    """Learns the classes of classes.csv."""

    task = CLASSIFICATIONS
    settings: ClassificationSettings

    def read_classes(self) -> ClassTable:
        """The table, with what the settings make of uncertain and empty fields."""
        path = find_classes(Path(self.preprocessed_dataset_folder_base))
        return read_classes(path, self.settings.uncertain, self.settings.blank)

    def split_of(self, there: Sequence[str]) -> ClassSplit:
        """The cases of the fold of which a class is known; folds that are made keep patients."""
        folder = Path(self.preprocessed_dataset_folder_base)
        return split_cases(folder, there, self.classes, self.fold)

    def reader(self) -> CaseReader:
        """Reads images as the settings frame them."""
        framing = framing_of(self.configuration_manager.patch_size, self.settings)
        return CaseReader(self.preprocessed_dataset_folder, framing)

    def cases_of_epoch(self, streams: InputStreams) -> ClassTable:
        """All validation cases, or as many as the settings allow."""
        return streams.some_cases(self.split.val, self.settings.max_val_cases)

    def described(self) -> Described:
        """Its cases, for the record."""
        train, val = self.split.train, self.split.val
        method = "classification with the planned encoder"
        return Described(method, train.names, train.identifiers, val.identifiers, {})

    def write_validation(self, predicted: np.ndarray, checkpoint: str) -> None:
        """Predictions, scores and a report."""
        write_validation(self, self.split, predicted, checkpoint)
