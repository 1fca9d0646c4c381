"""What nnU-Net scans: re-exports of the trainers, nothing else.

nnU-Net imports every module of this folder under a top-level name and drops it from sys.modules
again, so nothing may be defined here. `__getattr__` answers for trainer variants by name.
"""

from nnunetv2_pcrl.tasks.segmentation.finetune_trainer import PCRLv2FinetuneTrainer
from nnunetv2_pcrl.training.pretrain_trainer import PCRLv2PretrainTrainer
from nnunetv2_pcrl.training.variants import __getattr__

__all__ = ["PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer", "__getattr__"]
