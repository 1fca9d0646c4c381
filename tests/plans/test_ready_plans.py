import json
import math
from pathlib import Path

import make_plans
import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS, METHODS
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.preparation.unlabelled_plans import plan_after
from nnunetv2_pcrl.settings.plans_file import FINETUNE, PRETRAINING, read_section
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings
from nnunetv2_pcrl.training.plan_facts import plan_facts

FOLDER = Path(__file__).resolve().parents[2] / "plans"
PLANS = sorted(FOLDER.glob("*/*.json"))
every_file = pytest.mark.parametrize("path", PLANS, ids=lambda p: f"{p.parent.name}/{p.stem}")
every_method = pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.about.name)

# A chest CT, as LUNA16 has them.
LUNA16 = {
    "spacings": [[1.25, 0.7, 0.7]],
    "shapes_after_crop": [[240, 512, 512]],
    "foreground_intensity_properties_per_channel": {"0": {"mean": -300.0, "std": 400.0}},
    "median_relative_size_after_cropping": 1.0,
}
LUNA16_JSON = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0},
    "file_ending": ".mhd",
}


def planned_network(configuration: dict) -> torch.nn.Module:
    """The network without memory for its parameters."""
    architecture = configuration["architecture"]
    with torch.device("meta"):
        return get_network_from_plans(
            architecture["network_class_name"],
            architecture["arch_kwargs"],
            architecture["_kw_requires_import"],
            len(configuration["normalization_schemes"]),
            2,
            deep_supervision=True,
        )


def test_there_are_ready_plans_for_every_benchmark():
    names = {path.relative_to(FOLDER).as_posix() for path in PLANS}
    for folder in ("luna16_to_brats", "luna16_to_lits", "chest_xray_2d"):
        assert {f"{folder}/nnUNetPlans.json", f"{folder}/nnUNetResEncUNetMPlans.json"} <= names
    assert "cpu_demo/nnUNetPlansSmall.json" in names


@pytest.fixture
def shapes_only(monkeypatch):
    """Leaves out what changes no shape: without memory, numbers are computed in Python, slowly."""
    for name in ("kaiming_normal_", "constant_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    for layer in (torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d, torch.nn.LeakyReLU):
        monkeypatch.setattr(layer, "forward", lambda module, x: x)


@pytest.mark.slow
@every_file
@every_method
@pytest.mark.usefixtures("shapes_only")
def test_every_configuration_gives_settings_and_a_network_that_takes_the_views(path, kind):
    plans = PlansManager(str(path))
    for name in plans.available_configurations:
        manager = plans.get_configuration(name)
        num_channels = len(manager.normalization_schemes)
        facts = plan_facts(plans, manager, num_channels)
        assert 0.2 < facts.parts.encoder < facts.parts.non_skip < 1
        sections = {
            section: read_section(manager.configuration, section, METHOD_SECTIONS)
            for section in (PRETRAINING, FINETUNE, kind.about.section)
        }
        FinetuneSettings.from_section(sections[FINETUNE])
        given = {**sections[PRETRAINING], **sections[kind.about.section]}
        method = kind(settings_for(kind, facts, given), facts)
        network = method.build(planned_network(manager.configuration)).to("meta")
        views = torch.zeros(1, num_channels, *facts.patch_size, device="meta")
        pyramid = network.backbone(views)
        assert len(pyramid) == method.num_levels
        assert pyramid[-1].shape[2:] == facts.patch_size
        assert math.prod(pyramid[0].shape[2:]) > 1


@every_file
def test_nnunet_reads_the_plans(path):
    plans = PlansManager(str(path))
    assert plans.plans_name == path.stem
    for name in plans.available_configurations:
        manager = plans.get_configuration(name)
        assert manager.preprocessor_class.__name__ == "DefaultPreprocessor"
        assert callable(manager.resampling_fn_data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nnUNetPlans", "nnUNetResEncUNetMPlans"])
@pytest.mark.parametrize("folder", ["luna16_to_brats", "luna16_to_lits"])
def test_networks_for_chest_ct_differ_from_the_targets_in_the_stem_only(folder, name):
    target = json.loads((FOLDER / folder / f"{name}.json").read_text())
    made = plan_after(target, "Dataset016_LUNA16", LUNA16_JSON, LUNA16, "SimpleITKIO", "P")
    assert made["planned_for"] == {"dataset_name": target["dataset_name"], "plans_name": name}
    ours, theirs = (
        planned_network(p["configurations"]["3d_fullres"]).state_dict() for p in (made, target)
    )
    assert ours.keys() == theirs.keys()
    odd = {key for key in ours if ours[key].shape != theirs[key].shape}
    num_channels = len(target["configurations"]["3d_fullres"]["normalization_schemes"])
    assert all(ours[key].shape[1] == 1 and theirs[key].shape[1] == num_channels for key in odd)
    assert bool(odd) == (num_channels > 1)


@pytest.mark.slow
def test_the_script_makes_the_ready_plans():
    (brats,) = (data for data in make_plans.DATASETS if data.folder == "luna16_to_brats")
    made = make_plans.make_plans(brats, "nnUNetPlans")
    assert made == json.loads((FOLDER / "luna16_to_brats" / "nnUNetPlans.json").read_text())
