import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.planning.finetune_settings import FinetuneSettings
from nnunetv2_pcrl.planning.overrides import check_names, read_section
from nnunetv2_pcrl.planning.settings import PCRLv2Settings, derive_settings

PLANS = sorted((Path(__file__).resolve().parents[2] / "plans").glob("*/*.json"))


def test_there_are_ready_plans():
    assert PLANS


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_configuration_gives_settings_and_a_network_that_takes_the_views(path):
    for configuration in json.loads(path.read_text())["configurations"].values():
        architecture = configuration["architecture"]
        section = read_section(configuration)
        check_names(section, PCRLv2Settings.names() | FinetuneSettings.names())
        settings = derive_settings(
            configuration["patch_size"],
            np.prod(architecture["arch_kwargs"]["strides"], axis=0).tolist(),
            configuration["spacing"],
            section,
        )
        network = get_network_from_plans(
            architecture["network_class_name"],
            architecture["arch_kwargs"],
            architecture["_kw_requires_import"],
            len(configuration["normalization_schemes"]),
            2,
            deep_supervision=True,
        )
        backbone = NonSkipUNet(network)
        for size in (settings.global_size, settings.local_size):
            channels = len(configuration["normalization_schemes"])
            pyramid = backbone(torch.zeros(1, channels, *size))
            assert pyramid[-1].shape[2:] == size
            assert math.prod(pyramid[0].shape[2:]) > 1
