"""What lies in nnU-Net's result folders: keeping earlier results, finding pretrained weights."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.settings.plans_file import FINETUNE, SECTIONS
from nnunetv2_pcrl.weights.file_names import WEIGHTS_FILE, WEIGHTS_VARIABLE
from nnunetv2_pcrl.weights.planned_for import planned_for

# Not worth keeping alone.
ALONGSIDE = ("monitoring.json", "report.html", "pictures.npz", "pictures.png")
KEPT = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth", WEIGHTS_FILE)


def keep_previous_results(output_folder: Path) -> Path | None:
    """Moves checkpoints and weights of an earlier run into a folder of their own.

    Returns:
        That folder, or None if there was nothing to keep.
    """
    found = [output_folder / name for name in KEPT if (output_folder / name).is_file()]
    if not found:
        return None
    target = output_folder / f"previous_{datetime.now():%Y_%m_%d_%H_%M_%S_%f}"
    target.mkdir(parents=True)
    found += [output_folder / name for name in ALONGSIDE if (output_folder / name).is_file()]
    for file in found:
        file.rename(target / file.name)
    return target


def train_command(dataset: str, configuration: str, fold: str, trainer: str, plans: str) -> str:
    """What to type for a training, whatever the names are."""
    return shlex.join(["nnUNetv2_train", dataset, configuration, fold, "-tr", trainer, "-p", plans])


def how_to_fine_tune(
    weights: Path, trainer: str, plans: Mapping[str, Any], configuration: str
) -> str:
    """What to type after a pretraining.

    Args:
        weights: the portable file.
        trainer: that made it.
        plans: of the pretraining.
        configuration: e.g. 3d_fullres.
    """
    origin = planned_for(plans)
    pretraining = Pretraining.of_trainer(trainer)
    assert pretraining is not None, trainer
    finetuner = pretraining.trainer_of("Finetune")
    command = train_command(
        origin["dataset_name"], configuration, "FOLD", finetuner, origin["plans_name"]
    )
    if all(plans[name] == value for name, value in origin.items()):
        return (
            f"Fine-tune them with\n  {command}\n"
            f"or with any nnU-Net trainer of the same plans by\n  -pretrained_weights "
            f"{shlex.quote(str(weights))}"
        )
    # Only results of the same data set and plans are found without being named.
    return f"Fine-tune them with\n  {WEIGHTS_VARIABLE}={shlex.quote(str(weights))} {command}"


@dataclass(frozen=True)
class FoundWeights:
    """A weights file and how it was found.

    Attributes:
        path: the file.
        origin: where it was named or found, for the log.
    """

    path: Path
    origin: str


@dataclass(frozen=True)
class Wanted:
    """Which pretraining results suit a training.

    Attributes:
        dataset_results: result folder of the data set.
        plans_name: e.g. nnUNetPlans.
        configuration: e.g. 3d_fullres.
        folds: the fold of the training, or "all"; for a label fold also the one that it is a part
            of, which validates on the same cases.
        pretraining: whose weights.
        transductive: whether to take results of fold all only.
    """

    dataset_results: Path
    plans_name: str
    configuration: str
    folds: tuple[int | str, ...]
    pretraining: Pretraining
    transductive: bool = False

    def folder_name(self, trainer: str) -> str:
        """The name of the result folder of a trainer."""
        return f"{trainer}__{self.plans_name}__{self.configuration}"

    def files(self) -> dict[Pretraining, list[Path]]:
        """Weights of the folds in question, by pretraining."""
        found: dict[Pretraining, list[Path]] = {}
        fold = "all" if self.transductive else "*"
        for file in self.dataset_results.glob(f"*PretrainTrainer*/fold_{fold}/{WEIGHTS_FILE}"):
            name = file.parents[1].name
            trainer = name.split("__")[0]
            pretraining = Pretraining.of_trainer(trainer)
            # Names of plans may have __ in them too.
            if pretraining and name == self.folder_name(trainer):
                found.setdefault(pretraining, []).append(file)
        return found


def find_weights(
    from_environment: str | None, from_plans: str | None, wanted: Wanted
) -> FoundWeights:
    """The pretrained weights to start from.

    Looked up in this order: the environment variable `nnUNet_pcrl_weights`, the plans file, the
    newest pretraining result of the same data set, plans, configuration and method. Of those, one
    of the same fold or of fold all comes before that of another fold, which has seen the images
    that this fold validates on.

    Args:
        from_environment: value of the environment variable, if set.
        from_plans: value of "weights" in the plans, if set.
        wanted: which results suit.

    Raises:
        ValueError: if nothing is found, naming all three places.
    """
    if from_environment:
        return FoundWeights(
            Path(from_environment).expanduser(), f"environment variable {WEIGHTS_VARIABLE}"
        )
    if from_plans:
        return FoundWeights(Path(from_plans).expanduser(), '"weights" in the plans file')
    by_pretraining = wanted.files()
    files = by_pretraining.get(wanted.pretraining, [])
    if not files:
        raise ValueError(_nothing_found(wanted, by_pretraining))
    same_images = {f"fold_{fold}" for fold in (*wanted.folds, "all")}
    near = files if "all" in wanted.folds else [f for f in files if f.parent.name in same_images]
    path = max(near or files, key=lambda file: file.stat().st_mtime)
    origin = "newest pretraining result of the same data set, plans and configuration"
    if not near:
        origin += (
            f". WARNING: it is of {path.parent.name}, whose training images include those that "
            f"fold {wanted.folds[0]} validates on (their labels were not used)"
        )
    return FoundWeights(path, origin)


def _nothing_found(wanted: Wanted, others: Iterable[Pretraining]) -> str:
    plans, configuration = wanted.plans_name, wanted.configuration
    trainer = wanted.pretraining.trainer_name
    fold = "all" if wanted.transductive else "*"
    place = wanted.dataset_results / wanted.folder_name(f"{trainer}*")
    text = (
        f"No pretrained weights were found. Looked in (1) the environment variable "
        f"{WEIGHTS_VARIABLE}: not set; (2) "
        f'"{SECTIONS}": {{"{FINETUNE}": {{"weights": PATH}}}} in configuration {configuration} of '
        f"{plans}.json: not set; (3) {place}/fold_{fold}/{WEIGHTS_FILE}: no such file. "
    )
    if names := sorted(map(str, others)):
        example = Pretraining.of_name(names[0]).trainer_of("Finetune")
        text += (
            f"There are weights of {', '.join(names)}; a trainer takes them if its name says so, "
            f"as {example}. "
        )
    command = train_command(wanted.dataset_results.name, configuration, "all", trainer, plans)
    return f"{text}Pretrain with {command}, or train from scratch with -tr nnUNetTrainer."
