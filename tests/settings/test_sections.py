"""The "pcrlv2" section of the plans file: read as it is, refused where nobody would read it."""

import pytest

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.settings.sections import check_names, read_section
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings

KNOWN = PCRLv2Settings.names() | FinetuneSettings.names()


def test_a_configuration_without_the_section_changes_nothing():
    assert read_section({"patch_size": [128, 128]}) == {}


def test_the_section_is_a_copy_of_what_the_plans_say():
    configuration = {"patch_size": [128, 128], "pcrlv2": {"batch_size": 8, "weights": "a.pth"}}
    section = read_section(configuration)
    assert section == {"batch_size": 8, "weights": "a.pth"}
    section["batch_size"] = 4
    assert configuration["pcrlv2"]["batch_size"] == 8


@pytest.mark.parametrize("section", [None, [], ["batch_size", 8], "batch_size", 8])
def test_a_section_that_is_no_dictionary_is_refused_with_its_value(section):
    with pytest.raises(ValueError, match='"pcrlv2" .* must be a dictionary of settings, got'):
        read_section({"pcrlv2": section})


def test_known_names_pass_for_pretraining_and_fine_tuning_alike():
    check_names({}, KNOWN)
    check_names(dict.fromkeys(KNOWN), KNOWN)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("batchsize", "batch_size"),
        ("num_epoch", "num_epochs"),
        ("global_sizes", "global_size"),
        ("locl_scale", "local_scale"),
        ("weight", "weights"),
        ("transfr", "transfer"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_known_one(name, nearest):
    message = rf'unknown setting in "pcrlv2".*"{name}" \(did you mean "{nearest}"\?\)'
    with pytest.raises(ValueError, match=message):
        check_names({name: 1, "seed": 0}, KNOWN)


def test_all_unknown_settings_and_all_known_ones_are_named():
    with pytest.raises(ValueError, match='"qqq", "zzz"') as error:
        check_names({"zzz": 1, "qqq": 2, "seed": 0}, KNOWN)
    assert "did you mean" not in str(error.value)
    listed = str(error.value).split("Known settings: ")[1].rstrip(".").split(", ")
    assert listed == sorted(KNOWN)


def test_pretraining_and_fine_tuning_settings_have_no_name_in_common():
    assert not PCRLv2Settings.names() & FinetuneSettings.names()
