"""What nnU-Net scans: the trainers by name, nothing else.

nnU-Net imports every module of this folder under a top-level name and drops it from sys.modules
again, so nothing may be defined here.
"""

from nnunetv2_pcrl.trainers import __getattr__

__all__ = ["__getattr__"]
