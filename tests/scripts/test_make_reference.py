"""The generated pages of the reference are what the fields and --help say."""

from pathlib import Path

import pytest
from make_reference import bounds_in_words, commands, own_names, settings_page, type_in_words

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"
RUN_IT = "run python scripts/make_reference.py"


def test_the_page_of_settings_is_what_the_fields_say():
    assert (PAGES / "settings.md").read_text(encoding="utf-8") == settings_page(), RUN_IT


def test_every_command_has_its_section_with_its_help():
    # Python's versions wrap help texts differently, so the texts are not compared.
    page = (PAGES / "commands.md").read_text(encoding="utf-8")
    for name in commands():
        assert f"\n## {name}\n\n```text\nusage: {name} " in page, f"{name}: {RUN_IT}"
    assert page.count("\n## ") == len(commands()), RUN_IT


@pytest.mark.parametrize(
    ("settings", "name", "takes", "bounds"),
    [
        (PretrainingSettings, "batch_size", "integer", "2 or more"),
        (PretrainingSettings, "initial_lr", "number", "0 to 100"),
        (PretrainingSettings, "views_at_a_time", "integer or null", "1 or more"),
        (FinetuneSettings, "finetune_lr", "number or null", "above 0 to 1"),
        (FinetuneSettings, "from_scratch", "true or false", ""),
        (MAE.Settings, "mask_ratio", "number", "above 0 and below 1"),
        (MAE.Settings, "view_size", "list of integers", ""),
    ],
)
def test_types_and_bounds_are_said_in_words(settings, name, takes, bounds):
    field = settings.model_fields[name]
    assert type_in_words(field.annotation) == takes
    assert bounds_in_words(field) == bounds


def test_a_method_lists_what_is_its_own_and_what_it_changes():
    names = own_names(MAE)
    assert {"mask_ratio", "optimizer", "momentum", "batch_size"} <= set(names)
    assert not {"seed", "min_cases", "probe_every"} & set(names)
