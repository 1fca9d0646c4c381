"""Recipes of PCRLv2 with small views, for tests."""

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.methods.pcrlv2.views import PCRLv2Recipe


def recipe(global_size, local_size, spacing, **settings) -> PCRLv2Recipe:
    """A recipe of views of these sizes."""
    sizes = {"global_size": global_size, "local_size": local_size}
    return PCRLv2Recipe(PCRLv2Settings(**sizes, **settings), spacing)


def changed(given: PCRLv2Recipe, **settings) -> PCRLv2Recipe:
    """The same with other settings."""
    return PCRLv2Recipe(given.settings.model_copy(update=settings), given.spacing)
