"""What a classification is, for the parts that all trainings of the encoder share."""

from nnunetv2_pcrl.settings.plans_file import CLASSIFICATION
from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.tasks.encoder.task import Task

CLASSIFICATIONS = Task(
    "Classification",
    "a classification",
    CLASSIFICATION,
    ClassificationSettings,
    "nnUNetv2_pcrl_predict_classes",
)
