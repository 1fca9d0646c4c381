"""All methods. This is the only place that lists them."""

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.methods.method import AnyMethod
from nnunetv2_pcrl.methods.models_genesis import ModelsGenesis
from nnunetv2_pcrl.methods.pcrlv1.method import PCRLv1
from nnunetv2_pcrl.methods.pcrlv2.method import PCRLv2
from nnunetv2_pcrl.methods.reprec.method import RepRec
from nnunetv2_pcrl.methods.simclr import SimCLR
from nnunetv2_pcrl.methods.voco.method import VoCo

METHODS: tuple[type[AnyMethod], ...] = (PCRLv2, MAE, ModelsGenesis, PCRLv1, VoCo, SimCLR, RepRec)

# Of the plans file.
METHOD_SECTIONS = tuple(method.about.section for method in METHODS)


def method_named(name: str) -> type[AnyMethod] | None:
    """The method of that name, as in trainer names; None if there is none."""
    return next((method for method in METHODS if method.about.name == name), None)
