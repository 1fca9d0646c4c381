"""What a self-supervised method is: views, a network, a loss, settings, and what is shown of them.

A method is written in a file or folder of its own and listed in `registry.py`; nothing else needs
to know it. It knows nothing of nnU-Net, so it can be tested without a trainer.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.objective import Objective
from nnunetv2_pcrl.methods.optimizers import OptimizerName, make_optimizer
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.monitoring.vocabulary import Pictures, Shown
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.views.drawn import Drawn, Recipe

# A method's own settings, network and drawn views.
S = TypeVar("S", bound=PretrainingSettings)
N = TypeVar("N", bound=PretrainingNetwork)
D = TypeVar("D", bound=Drawn)


@dataclass(frozen=True)
class About:
    """What a method is called and what to cite.

    Attributes:
        name: in trainer names, e.g. MAE in MAEPretrainTrainer.
        section: of its settings in the plans file.
        title: for a person, in one line.
        citations: as nnssl writes them, each with `type`, `name` and `apa_citations`.
    """

    name: str
    section: str
    title: str
    citations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Variant:
    """A changed setting of a method, by a word in the trainer's name.

    Attributes:
        settings: what it changes, for a plan.
        text: what it is, for the reference page.
        is_default: whether the plans file may still change what it sets.
    """

    settings: Callable[[PlanFacts], Mapping[str, Any]]
    text: str
    is_default: bool = False


class Method(ABC, Generic[S, N, D]):
    """One run's method: settings that fit a plan, and what follows from them.

    Attributes:
        settings: all that the run depends on besides data and plan.
        facts: what the plan says.
    """

    about: ClassVar[About]
    Settings: ClassVar[type[PretrainingSettings]]
    variants: ClassVar[Mapping[str, Variant]] = {}
    # The optimiser, unless the plans file names another.
    usual_optimizer: ClassVar[OptimizerName] = "sgd"
    # Terms of the loss by what they teach; where one kind has hardly any part of the gradient, the
    # log says so.
    sides: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, settings: S, facts: PlanFacts):
        self.settings = settings
        self.facts = facts

    @property
    @abstractmethod
    def largest_view(self) -> int:
        """Voxels of the largest view."""

    @property
    def voxels_per_image(self) -> int:
        """Voxels of all views that a batch holds of an image, at least; here of one."""
        return self.largest_view

    @property
    def work_per_image(self) -> float:
        """Voxels of an image that pass the planned network, about; here those of one view.

        Passes without gradient count a third, those of a part of the network as much as it has of
        the arithmetic (`PlanFacts.parts`).
        """
        return self.largest_view

    @property
    def step_cost(self) -> float:
        """Arithmetic of a step over that of a segmentation step of the plan, about."""
        segmented = self.facts.batch_size * math.prod(self.facts.patch_size)
        return self.settings.batch_size * self.work_per_image / segmented

    @property
    @abstractmethod
    def num_levels(self) -> int:
        """Levels of the backbone's pyramid."""

    @classmethod
    @abstractmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Settings that follow from the plan, and from others that were given."""

    @abstractmethod
    def recipe(self) -> Recipe:
        """How views are drawn from an image."""

    @abstractmethod
    def build(self, planned: nn.Module) -> N:
        """The network to pretrain, made of the planned one's modules.

        Its module `backbone` is a `Pyramid`, which can be written back into a planned network.
        """

    @abstractmethod
    def objective(
        self, network: N, progress: float | None, generator: torch.Generator
    ) -> Objective[N]:
        """The loss of one step, everything drawn.

        Args:
            network: made by `build`.
            progress: part of the training that is done, in [0, 1]; None for the validation, whose
                loss must not depend on it.
            generator: random source of the step.
        """

    @abstractmethod
    def shown(self, num_levels: int) -> Shown:
        """What is logged and how it is shown: all that a report needs to know of the method."""

    def remarks(self) -> dict[str, str]:
        """What a person should know of the settings before the first epoch, by kind.

        What `warnings` finds of the same kind later is not said again.
        """
        return {}

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """The one that the settings name, of all parameters that learn."""
        settings = self.settings
        return make_optimizer(
            network,
            settings.optimizer,
            settings.initial_lr,
            settings.momentum,
            settings.weight_decay,
        )

    def after_update(self, network: N, progress: float) -> None:  # noqa: B027
        """What follows an optimiser step, e.g. a teacher that moves."""

    def schedules(self, progress: float) -> dict[str, float]:
        """What changes with the progress and is logged once per epoch, by log name."""
        return {}

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Numbers of an epoch of validation from their means over its steps."""
        return means

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """What is wrong after the last epoch, each text with a remedy, by kind of warning."""
        return {}

    def pictures(self, network: N, drawn: D, views: Mapping[str, Tensor]) -> Pictures | None:
        """Pictures of what one image's views teach; None for none.

        Args:
            network: in evaluation mode, without gradient.
            drawn: the views.
            views: each [views, 1, ...], as in a batch of one image, on the network's device.
        """
        return None


# Any of them, where nothing depends on which.
AnyMethod = Method[Any, Any, Any]
