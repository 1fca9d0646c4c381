"""What a person should know before an experiment starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.experiments.trainers import Trainer
from nnunetv2_pcrl.weights.file_names import WEIGHTS_VARIABLE
from nnunetv2_pcrl.weights.remarks import remarks_on
from nnunetv2_pcrl.weights.sources import PretrainedSource


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


def remarks_on_given_weights(
    trainers: Sequence[Trainer],
    source: PretrainedSource,
    dataset_name: str,
    normalization: Sequence[str],
) -> list[str]:
    """What is odd about the weights, and where a trainer's name says something else than they.

    Args:
        trainers: of the experiment.
        source: the weights that those start from which are pretrained.
        dataset_name: of the data set.
        normalization: nnU-Net's scheme per input channel.
    """
    remarks = remarks_on(source, dataset_name, normalization)
    others = [trainer.name for trainer in trainers if trainer.method not in (None, source.method)]
    if source.method is not None and others:
        remarks.append(
            f"WARNING: {', '.join(others)} starts from weights of {source.method}: its name says "
            f"another method."
        )
    return remarks
