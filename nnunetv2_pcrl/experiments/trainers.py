"""The trainers of an experiment: their full names, and the pretraining that each starts from."""

import difflib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunetv2_pcrl.experiments.seeds import split_seed, with_seed
from nnunetv2_pcrl.settings.plans_file import FINETUNE
from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings
from nnunetv2_pcrl.tasks.encoder.trainer import EncoderTrainer
from nnunetv2_pcrl.tasks.segmentation.finetune_trainer import FinetuneTrainer
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings
from nnunetv2_pcrl.trainers import trainer_names
from nnunetv2_pcrl.training.ssl_trainer import SSLTrainer

# What there is of every seed.
SEEDED = (FinetuneTrainer, EncoderTrainer)
_LENGTH = re.compile(r"_(\d+)epochs?(?=_|$)")


@dataclass(frozen=True)
class Trainer:
    """A trainer of the grid, of segmentations or of classes.

    Attributes:
        name: full class name, e.g. nnUNetTrainer_5epochs.
        pretraining: class name of the pretraining whose weights it starts from; None for a trainer
            that starts from scratch.
        transductive: whether that pretraining sees the images of all cases, not of its fold only.
        takes_seed: whether there is one of every seed, and the name has none.
    """

    name: str
    pretraining: str | None = None
    transductive: bool = False
    takes_seed: bool = field(default=False, compare=False)

    def name_with(self, seed: int) -> str:
        """The one of a seed; trainers that take none are the same for all."""
        return with_seed(self.name, seed) if self.takes_seed else self.name

    @property
    def method(self) -> str | None:
        """Of its pretraining; None if it starts from scratch."""
        return None if self.pretraining is None else self.pretraining.split("PretrainTrainer")[0]

    @property
    def num_epochs(self) -> int | None:
        """As its name says; None for the trainer's own default."""
        match = _LENGTH.search(self.name)
        return int(match[1]) if match else None


def planned_trainers(
    names: Sequence[str],
    sections: Mapping[str, Mapping[str, Any]],
    budget: int | None = None,
    pretrain_epochs: int | None = None,
    transductive: bool = False,
    seeds: Sequence[int] = (),
) -> tuple[Trainer, ...]:
    """Completes the names of trainers and looks every class up as nnUNetv2_train does.

    Args:
        names: of trainers, without the words that the other arguments add.
        sections: of the tasks in the plans file, by name, which count where a name says nothing.
        budget: epochs of every trainer, added to its name; None leaves the names as they are.
        pretrain_epochs: of every pretraining; None is the length that the plans say.
        transductive: pretrain on all images; the trainers that use these weights are named so.
        seeds: each trainer of this package once with every one of them, paired: a seed of all
            trainers comes before the next. Trainers of others take none and stay as they are.

    Raises:
        ValueError: if nnU-Net knows no such trainer, naming those it knows.
    """
    planned = []
    for name, seed in _with_seeds(dict.fromkeys(names), seeds):
        full_name = _full_name(name, budget, seed)
        trainer_class: Any = _find_trainer(full_name)
        if issubclass(trainer_class, SSLTrainer):
            raise ValueError(
                f"{name} is a pretraining. Name trainers of a task, e.g. PCRLv2FinetuneTrainer: "
                f"the pretrainings that they need are added."
            )
        settings = _settings_of(trainer_class, sections)
        is_seeded = takes_seed(full_name)
        if settings.from_scratch:
            planned.append(Trainer(full_name, takes_seed=is_seeded))
            continue
        if transductive and not settings.transductive:
            full_name = _full_name(f"{name}_transductive", budget, seed)
            settings = _settings_of(_find_trainer(full_name), sections)
        pretraining = _with_length(trainer_class.pretraining.trainer_name, pretrain_epochs)
        planned.append(Trainer(full_name, pretraining, settings.transductive, is_seeded))
    # A trainer may have been named with and without the words that are added.
    return tuple(dict.fromkeys(planned))


def _with_seeds(names: Iterable[str], seeds: Sequence[int]) -> list[tuple[str, int | None]]:
    """Names and the seed that each is to get; None for none."""
    if not seeds:
        return [(name, None) for name in names]
    named = [name for name in names if split_seed(name)[1] is not None]
    if named:
        raise ValueError(
            f"{named[0]} has a seed in its name already: leave it out, or leave --seeds out."
        )
    return [
        (name, seed if issubclass(_find_trainer(name), SEEDED) else None)
        for seed, name in product(seeds, list(names))
    ]


def takes_seed(name: str) -> bool:
    """Whether there is a trainer of every seed: of this package, by name, and without a seed yet.

    Of a subclass that a person wrote there is one only.

    Args:
        name: class name, with its length.
    """
    if split_seed(name)[1] is not None:
        return False
    try:
        return issubclass(_find_trainer(name), SEEDED) and bool(_find_trainer(with_seed(name, 0)))
    except ValueError:
        return False


def _settings_of(
    trainer_class: type, sections: Mapping[str, Mapping[str, Any]]
) -> FinetuneSettings | EncoderSettings:
    """As the trainer will read them; other trainers than ours start from scratch."""
    if issubclass(trainer_class, EncoderTrainer):
        task = trainer_class.task
        values = {**sections.get(task.section, {}), **trainer_class.variant}
        return task.settings.from_values(values, task.section)
    if issubclass(trainer_class, FinetuneTrainer):
        return FinetuneSettings.from_section(
            {**sections.get(FINETUNE, {}), **trainer_class.variant}
        )
    return FinetuneSettings(from_scratch=True)


def _full_name(name: str, budget: int | None, seed: int | None) -> str:
    """With its length and its seed, which stands where `with_seed` puts it."""
    full_name = _with_length(name, budget)
    return full_name if seed is None else with_seed(full_name, seed)


def _with_length(name: str, num_epochs: int | None) -> str:
    if num_epochs is None:
        return name
    if _LENGTH.search(name):
        raise ValueError(
            f"{name} has a length in its name already: leave it out, or leave --budget out."
        )
    return f"{name}_{num_epochs}epoch{'' if num_epochs == 1 else 's'}"


def _find_trainer(name: str) -> type:
    try:
        # It tells where it searches.
        with redirect_stdout(io.StringIO()):
            return recursive_find_trainer_class_by_name(name)
    except RuntimeError as error:
        raise ValueError(f"nnU-Net knows no trainer {name}. {_remedy(name)}") from error


def _remedy(name: str) -> str:
    # The search that failed has imported all of nnU-Net's trainers.
    known = {*_names_below(nnUNetTrainer), *trainer_names()}
    base = _LENGTH.sub("", name)
    lengths = sorted(
        int(match[1])
        for other in known
        if (match := re.fullmatch(re.escape(base) + _LENGTH.pattern, other))
    )
    if _LENGTH.search(name) and lengths:
        return (
            f"{base} exists for {', '.join(map(str, lengths))} epochs: choose one of these, or put "
            f"a trainer of another length into a folder that nnUNet_extTrainer names."
        )
    near = difflib.get_close_matches(name, known)
    return (
        f"Did you mean {' or '.join(near)}?" if near else "See the trainers in its documentation."
    )


def _names_below(base: type) -> set[str]:
    names = {base.__name__}
    subclasses: list[type] = base.__subclasses__()
    for subclass in subclasses:
        names |= _names_below(subclass)
    return names
