"""What a finished training leaves of its validation scans: scores, the challenge's score, a report.

Judged by the tables beside dataset.json; without annotations.csv there is no score of the
challenge, and AUROC and average precision over the candidates are left.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnunetv2_pcrl.datasets.candidates import row_of
from nnunetv2_pcrl.datasets.positions import PROBABILITY, Positions, write_positions
from nnunetv2_pcrl.tasks.classification.evaluating import Further, scores_in_words, write_evaluation
from nnunetv2_pcrl.tasks.nodules.challenge import (
    ANNOTATIONS,
    MARKS_PER_SCAN,
    NUM_RESAMPLES,
)
from nnunetv2_pcrl.tasks.nodules.evaluating import write_curve
from nnunetv2_pcrl.tasks.nodules.hits import judge
from nnunetv2_pcrl.tasks.nodules.pictures import CandidatePictures
from nnunetv2_pcrl.tasks.nodules.report import summary_of
from nnunetv2_pcrl.tasks.nodules.tables import read_nodules
from nnunetv2_pcrl.training.monitored_run import run_of

if TYPE_CHECKING:
    from nnunetv2_pcrl.tasks.nodules.trainer import NoduleTrainer

FOLDER_NAME, SCORES_NAME = "validation", "scores.csv"


def write_validation(trainer: "NoduleTrainer", predicted: np.ndarray, checkpoint: str) -> None:
    """Writes the folder beside the checkpoints, and the scores into log and loggers.

    Args:
        trainer: after its training.
        predicted: probabilities of the validation candidates, shape [N].
        checkpoint: name of the one that predicted.
    """
    split = trainer.split
    table, folder = split.val, Path(trainer.output_folder) / FOLDER_NAME
    folder.mkdir(exist_ok=True)
    marks = scored(trainer.candidates, table.identifiers, predicted)
    write_positions(folder / SCORES_NAME, marks, PROBABILITY)
    preprocessed = Path(trainer.preprocessed_dataset_folder_base)
    further, remark = _challenge(preprocessed, marks, split.val_scans, folder)
    about = {**run_of(trainer), "checkpoint": checkpoint, "cases": split.remarks}
    scores = write_evaluation(
        folder,
        table,
        predicted[:, None],
        CandidatePictures(trainer.reader()),
        {**about, "score of the challenge": remark},
        further,
    )
    cpm = further.summary["cpm"]
    values = {**scores.mean.values, **({} if cpm is None else {"cpm": cpm})}
    for metric, value in values.items():
        trainer.logger.log_summary(f"final_val/{metric}", value)
    lines = ["Validation complete", *scores_in_words(scores), remark]
    trainer.print_to_log_file("\n".join(lines))


def scored(
    candidates: Positions, identifiers: Sequence[str], probabilities: np.ndarray
) -> Positions:
    """Candidates with probabilities in the place of their classes.

    Args:
        candidates: of the whole table.
        identifiers: of N of them.
        probabilities: shape [N].
    """
    rows = np.array([row_of(identifier) for identifier in identifiers], dtype=np.int64)
    scans = tuple(candidates.scans[row] for row in rows)
    return replace(
        candidates,
        scans=scans,
        points_mm=candidates.points_mm[rows],
        values=np.asarray(probabilities, np.float64),
    )


def _challenge(
    preprocessed: Path, marks: Positions, scans: Sequence[str], folder: Path
) -> tuple[Further, str]:
    """Numbers and curve by the challenge's rule, and in words."""
    title, counted = "Nodule candidates", "{num_cases} candidates in {num_patients} scans"
    tables = read_nodules(preprocessed)
    if tables is None:
        remark = f"none: there is no {ANNOTATIONS} beside dataset.json"
        return Further(title, counted, summary={"cpm": None}), remark
    judgement = judge(marks, *tables, list(scans), MARKS_PER_SCAN)
    if not judgement.num_nodules.sum():
        remark = f"none: the {len(scans)} validation scans have no nodule in {ANNOTATIONS}"
        return Further(title, counted, summary={"cpm": None}), remark
    summary = summary_of(judgement, NUM_RESAMPLES)
    figure, _ = write_curve(judgement, summary, NUM_RESAMPLES, folder)
    low, high = summary["cpm_interval"]
    remark = (
        f"CPM {summary['cpm']:.4f} ({low:.4f} to {high:.4f}), {summary['num_nodules']} nodules in "
        f"{summary['num_scans']} scans"
    )
    cards = {"CPM": f"{summary['cpm']:.3f} ({low:.3f} to {high:.3f})"}
    figures = {"Sensitivity over false positives per scan": figure}
    return Further(title, counted, cards, summary, figures), remark
