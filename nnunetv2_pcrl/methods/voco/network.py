"""The VoCo network: the planned encoder, a projector, and a teacher."""

from torch import nn

from nnunetv2_pcrl.methods.voco.settings import VoCoSettings
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.momentum import copy_without_gradient, move
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.projector import Projector


class VoCoNetwork(PretrainingNetwork):
    """Encoder and student projector, which learn, and a teacher, which begins as their copy.

    Attributes:
        backbone: gives the features of all stages.
        student: projector.
        teacher: projector without gradient.
        teacher_backbone: encoder without gradient; in the conference's form only.
    """

    backbone: Encoder

    def __init__(self, planned: nn.Module, settings: VoCoSettings):
        super().__init__()
        self.backbone = Encoder(planned)
        size = settings.embedding_size
        self.student = Projector(sum(self.backbone.level_channels), size, size)
        self.teacher = copy_without_gradient(self.student)
        if settings.form == "cvpr":
            self.teacher_backbone = copy_without_gradient(self.backbone)

    def move_teacher(self, momentum: float) -> None:
        """Moves the teacher towards the student, see `move`."""
        move(self.teacher, self.student, momentum)
        if hasattr(self, "teacher_backbone"):
            move(self.teacher_backbone, self.backbone, momentum)
