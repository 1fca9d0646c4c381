"""Entries that pretrained files hold beside their weights, checked before anything uses them.

Whoever made a file may have written anything into it. What is read here has the type that it
should have; texts are one printable line, so that they can go into a log or onto a terminal.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.functional_validators import AfterValidator, BeforeValidator

Read = TypeVar("Read", bound=BaseModel)
_MAX_SHOWN = 60


def printable(text: str) -> str:
    """The text with what is no printable character, such as a terminal's commands, written out."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _empty_if_none(value: Any) -> Any:
    return {} if value is None else value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value or ()


Line = Annotated[str, AfterValidator(_one_line)]
Texts = Annotated[tuple[Annotated[str, AfterValidator(printable)], ...], BeforeValidator(_listed)]
Lines = Annotated[tuple[Line, ...], BeforeValidator(_listed)]
Names = Annotated[
    dict[Annotated[str, Field(pattern="^[0-9]{1,6}$")], Line], BeforeValidator(_empty_if_none)
]
Entries = Annotated[dict[str, Any], BeforeValidator(_empty_if_none)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Architecture(_Model):
    """A configuration's network in plans."""

    network_class_name: Line | None = None


class Configuration(_Model):
    """A configuration of plans, as far as a pretrained file is described by it."""

    architecture: Architecture = Architecture()
    spacing: tuple[float, ...] | None = None
    patch_size: tuple[int, ...] | None = None
    normalization_schemes: tuple[Line, ...] | None = None


class Plans(_Model):
    """Plans of nnU-Net or nnssl."""

    dataset_name: Line | None = None
    plans_name: Line | None = None
    configurations: Annotated[dict[str, Entries], BeforeValidator(_empty_if_none)] = {}

    def configuration(self, name: str | None) -> Configuration:
        """A configuration with what it inherits; an empty one if there is none of the name."""
        plans = {"configurations": self.configurations}
        return read_entries(Configuration, resolved_configuration(plans, name))


class DatasetJson(_Model):
    """nnU-Net's dataset.json."""

    channel_names: Names = {}
    modality: Names = {}


class InitArguments(_Model):
    """What a trainer was made from."""

    plans: Annotated[Plans, BeforeValidator(_empty_if_none)] = Plans()
    configuration: Line | None = None
    dataset_json: Annotated[DatasetJson, BeforeValidator(_empty_if_none)] = DatasetJson()


class TrainingSettings(_Model):
    """Of a pretraining."""

    num_epochs: int | None = None


class Citation(_Model):
    """As nnssl writes it."""

    type: Line | None = None
    name: Line | None = None
    apa_citations: Texts = ()
    bibtex_citations: Texts = ()


class PretrainedOn(_Model):
    """What an exported file was pretrained on."""

    dataset_name: Line | None = None
    spacing: tuple[float, ...] | None = None
    normalization: tuple[Line, ...] | None = None


class PlannedFor(_Model):
    """The target that a network was planned for."""

    dataset_name: Line | None = None
    plans_name: Line | None = None


class Described(_Model):
    """What our files and checkpoints say of a pretraining."""

    method: Line | None = None
    variants: Lines = ()
    decoder: Line | None = None
    citations: Annotated[tuple[Citation, ...], BeforeValidator(_listed)] = ()
    num_epochs: int | None = None


class PortableEntries(Described):
    """The portable file."""

    nnunet_plans: Annotated[Plans, BeforeValidator(_empty_if_none)] = Plans()
    configuration: Line | None = None
    planned_for: Annotated[PlannedFor, BeforeValidator(_empty_if_none)] = PlannedFor()
    channel_names: Names = {}
    epochs_done: int | None = None
    pretrained_on: Annotated[PretrainedOn | None, BeforeValidator(lambda v: v or None)] = None


class CheckpointEntries(Described):
    """A checkpoint of nnU-Net, or of a pretraining."""

    init_args: Annotated[InitArguments, BeforeValidator(_empty_if_none)] = InitArguments()
    trainer_name: Line | None = None
    current_epoch: int | None = None
    settings: Annotated[TrainingSettings, BeforeValidator(_empty_if_none)] = TrainingSettings()


class AdaptationArchitecture(_Model):
    """The network in an adaptation plan."""

    arch_class_name: Line | None = None


class AdaptationPlan(_Model):
    """The `nnssl_adaptation_plan`."""

    architecture_plans: Annotated[AdaptationArchitecture, BeforeValidator(_empty_if_none)] = (
        AdaptationArchitecture()
    )
    pretrain_plan: Annotated[Plans, BeforeValidator(_empty_if_none)] = Plans()
    key_to_encoder: Line | None = None


class NnsslEntries(_Model):
    """A checkpoint of nnssl."""

    nnssl_adaptation_plan: Annotated[AdaptationPlan, BeforeValidator(_empty_if_none)]
    citations: Annotated[tuple[Citation, ...], BeforeValidator(_listed)] = ()
    trainer_name: Line | None = None
    current_epoch: int | None = None


def read_entries(model: type[Read], content: Mapping[str, Any]) -> Read:
    """Picks the entries of a model out of a file's content.

    Raises:
        ValueError: naming the first entry that is of another kind than it should be, and its value.
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = _one_line(".".join(str(part) for part in problem["loc"]))
        shown = _one_line(repr(problem["input"]))
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
        expected = problem["msg"].replace("Input should be ", "", 1)
        raise ValueError(
            f'the entry "{name}" is {shown}, and should be {expected}: it is damaged, or not '
            f"written by nnU-Net, nnssl or this package"
        ) from None


def resolved_configuration(plans: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """A configuration of nnU-Net's plans with what it inherits; empty if there is none.

    Raises:
        ValueError: if configurations inherit from one another in a circle.
    """
    configurations = plans.get("configurations", {})
    chain: list[str] = []
    while name is not None and name in configurations:
        if name in chain:
            raise ValueError(
                f"the configurations {', '.join(chain)} of its plans inherit from one another"
            )
        chain.append(name)
        parent = configurations[name].get("inherits_from")
        name = parent if isinstance(parent, str) else None
    return {k: v for link in reversed(chain) for k, v in configurations[link].items()}
