"""What a training of the encoder is for."""

from dataclasses import dataclass

from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings


@dataclass(frozen=True)
class Task:
    """What trainings of a kind have in common, as far as others need to know it.

    Attributes:
        role: in the names of its trainers, e.g. Classification.
        title: in words, e.g. "a classification".
        section: of its settings in the plans file.
        settings: their class.
        command: that predicts.
    """

    role: str
    title: str
    section: str
    settings: type[EncoderSettings]
    command: str

    @property
    def trainer_name(self) -> str:
        """A trainer of the task, for messages."""
        return f"PCRLv2{self.role}Trainer"
