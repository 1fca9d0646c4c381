"""What a finished training leaves of its validation cases: predictions, scores, a report."""

from pathlib import Path

import numpy as np
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_pcrl.tasks.classification.evaluating import scores_in_words, write_evaluation
from nnunetv2_pcrl.tasks.classification.pictures import PreprocessedPictures
from nnunetv2_pcrl.tasks.classification.predictions import (
    PREDICTIONS_NAME,
    Predictions,
    write_predictions,
)
from nnunetv2_pcrl.tasks.encoder.split import ClassSplit
from nnunetv2_pcrl.training.monitored_run import run_of

FOLDER_NAME = "validation"


def write_validation(
    trainer: nnUNetTrainer, split: ClassSplit, predicted: np.ndarray, checkpoint: str
) -> None:
    """Writes the folder beside the checkpoints, and the scores into log and loggers.

    Args:
        trainer: after its training.
        split: its cases.
        predicted: probabilities of the validation cases, shape [N, K].
        checkpoint: name of the one that predicted.
    """
    table = split.val
    folder = Path(trainer.output_folder) / FOLDER_NAME
    folder.mkdir(exist_ok=True)
    predictions = Predictions(table.identifiers, table.names, predicted)
    write_predictions(folder / PREDICTIONS_NAME, predictions)
    about = {**run_of(trainer), "checkpoint": checkpoint, "cases": split.remarks}
    pictures = PreprocessedPictures(trainer.preprocessed_dataset_folder)
    scores = write_evaluation(folder, table, predicted, pictures, about)
    for metric, value in scores.mean.values.items():
        trainer.logger.log_summary(f"final_val/{metric}", value)
    trainer.print_to_log_file("Validation complete\n" + "\n".join(scores_in_words(scores)))
