"""What a person should know before an experiment starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.experiments.trainers import Trainer
from nnunetv2_pcrl.weights.file_names import WEIGHTS_VARIABLE


def remarks_before(
    trainers: Sequence[Trainer],
    sections: Mapping[str, Mapping[str, Any]],
    weights: Path | None = None,
) -> list[str]:
    """What pretraining sees, and what would make a comparison doubtful.

    Args:
        trainers: of the experiment.
        sections: of the tasks in the plans file, by name.
        weights: file that pretrained trainers start from; None if each has its own pretraining.
    """
    remarks = []
    pretrained = [trainer for trainer in trainers if trainer.pretraining is not None]
    if weights is not None:
        names = ", ".join(trainer.name for trainer in pretrained) or "no trainer"
        remarks.append(f"Nothing is pretrained: {names} starts from {weights}.")
    own = pretrained if weights is None else []
    if any(not trainer.transductive for trainer in own):
        remarks.append("Pretraining uses the training cases of the fold only, without labels.")
    if any(trainer.transductive for trainer in own):
        remarks.append(
            "Transductive: pretraining of *_transductive uses the images of all cases, those that "
            "are validated on too, without labels."
        )
    if len(pretrained) == len(trainers):
        remarks.append(
            "WARNING: none of the trainers starts from scratch. What pretraining gains shows only "
            "beside one that does: nnUNetTrainer or PCRLv2FinetuneTrainer_fromScratch, and for "
            "classes PCRLv2ClassificationTrainer_fromScratch."
        )
    named = [section["weights"] for section in sections.values() if section.get("weights")]
    if pretrained and named:
        remarks.append(
            f"The plans name the weights {', '.join(named)}: they are not used here, because "
            f"{WEIGHTS_VARIABLE} with this experiment's weights comes before them."
        )
    if len({trainer.num_epochs for trainer in trainers}) > 1:
        lengths = ", ".join(
            f"{trainer.name}: {trainer.num_epochs or 'its own number of'} epochs"
            for trainer in trainers
        )
        remarks.append(
            f"WARNING: the trainers differ in length ({lengths}), so a difference between them may "
            f"come from that alone. --budget EPOCHS gives all the same."
        )
    return remarks
