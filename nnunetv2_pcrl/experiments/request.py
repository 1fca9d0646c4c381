"""What a person asks of an experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExperimentRequest:
    """Trainers x numbers of labels on a data set.

    Attributes:
        dataset: number or name.
        configuration: e.g. 3d_fullres.
        plans_name: of the data set's plans.
        trainers: names without their length.
        cases: numbers of labelled cases; None: all that there are label folds for.
        folds: ordinary folds; None: all.
        num_repeats: the first so many repeats; None: all.
        budget: epochs of every trainer; None leaves the names as they are.
        pretrain_epochs: of every pretraining; None: as the plans say.
        seeds: of every trainer that takes one; none leaves the names as they are, and None gives
            each label fold a seed of its own, its number, which all trainers share.
        transductive: pretrain on the images of all cases, not of the fold only.
        weights: file that all pretrained trainers start from; None pretrains for each.
        device: cuda, cpu or mps.
        num_gpus: of one training.
    """

    dataset: str
    configuration: str
    plans_name: str
    trainers: Sequence[str]
    cases: Sequence[int] | None = None
    folds: Sequence[int] | None = None
    num_repeats: int | None = None
    budget: int | None = None
    pretrain_epochs: int | None = None
    seeds: Sequence[int] | None = None
    transductive: bool = False
    weights: Path | None = None
    device: str = "cuda"
    num_gpus: int = 1
