"""Writes docs/reference/settings.md and commands.md from the settings' fields and from --help.

python scripts/make_reference.py [FOLDER]
"""

import argparse
import configparser
import contextlib
import importlib
import io
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.registry import METHODS
from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.methods.variants import usual_rates
from nnunetv2_pcrl.settings.base import Settings
from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.tasks.nodules.settings import NoduleSettings
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings

ROOT = Path(__file__).resolve().parents[1]
MADE = "<!-- Made by scripts/make_reference.py: change the fields and run it again. -->"
# Columns of the terminal that --help is written for.
COLUMNS = 100
FROM_PLAN = "from the plan"
WORDS = {int: "integer", float: "number", str: "text", bool: "true or false"}
# Two plans of each dimension: what differs between them follows from the plan.
PLANS = {
    axes: [
        PlanFacts((size,) * axes, batch, (1.0,) * axes, ((1,) * axes, *[(2,) * axes] * halvings), 1)
        for size, batch, halvings in ((64, 8, 3), (160, 12, 5))
    ]
    for axes in (3, 2)
}


def type_in_words(annotation) -> str:
    """What a setting takes, e.g. "integer or null"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_in_words(a) for a in arguments if a is not type(None)) + (
            " or null" if type(None) in arguments else ""
        )
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        word = type_in_words(arguments[0])
        return f"list of {word}s" if Ellipsis in arguments else f"{len(arguments)} {word}s"
    return WORDS[annotation]


def bounds_in_words(field: FieldInfo) -> str:
    """Bounds of a setting, e.g. "0 to 1" or "above 0"; empty if it has none."""
    found = {
        name: getattr(bound, name)
        for bound in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(bound, name, None) is not None
    }
    low = f"{found['ge']}" if "ge" in found else f"above {found['gt']}" if "gt" in found else ""
    high = f"{found['le']}" if "le" in found else f"below {found['lt']}" if "lt" in found else ""
    if low and high:
        joint = "to" if "ge" in found or "le" in found else "and"
        return f"{low} {joint} {high}"
    return f"{low} or more" if "ge" in found else low or high


def value_in_words(value) -> str:
    """A default as it is written in the plans file."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_in_words, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def default_in_words(name: str, field: FieldInfo, method: type[Method] | None) -> str:
    """The default of a setting; of a method, in 3D and in 2D where these differ."""
    if method is None:
        # Of every method; trainings of other tasks have lengths of their own.
        is_derived = field is PretrainingSettings.model_fields["num_epochs"]
        return FROM_PLAN if is_derived else value_in_words(field.default)
    by_axes = {}
    for axes, plans in PLANS.items():
        derived = [derived_of(method, facts).get(name, field.default) for facts in plans]
        is_one = derived[0] == derived[1] and not field.is_required()
        by_axes[axes] = value_in_words(derived[0]) if is_one else FROM_PLAN
    return by_axes[3] if by_axes[3] == by_axes[2] else f"{by_axes[3]} (2D: {by_axes[2]})"


def derived_of(method: type[Method], facts: PlanFacts) -> dict[str, typing.Any]:
    """Settings of a method that follow from its optimiser and from a plan."""
    return {**usual_rates(method, {}), **method.defaults(facts, {})}


def table(settings: type[Settings], names: list[str], method: type[Method] | None = None) -> str:
    """Settings of a section as a table."""
    lines = ["| setting | takes | default | what |", "|---|---|---|---|"]
    for name in names:
        field = settings.model_fields[name]
        takes = ", ".join(filter(None, (type_in_words(field.annotation), bounds_in_words(field))))
        default = default_in_words(name, field, method)
        lines.append(f"| `{name}` | {takes} | {default} | {field.description} |")
    return "\n".join(lines)


def own_names(method: type[Method]) -> list[str]:
    """Settings of a method that others lack or that differ from those of every pretraining."""
    common, own = PretrainingSettings.model_fields, method.Settings.model_fields
    derived = {name for plans in PLANS.values() for name in method.defaults(plans[0], {})}
    derived |= {n for n, v in usual_rates(method, {}).items() if v != common[n].default}
    return [
        name
        for name, field in own.items()
        if name not in common
        or name in derived
        or (field.default, field.description) != (common[name].default, common[name].description)
    ]


def _only_in(settings: type[Settings], other: type[Settings]) -> Iterator[str]:
    """Names of the settings that another section lacks or describes otherwise."""
    known = other.model_fields
    for name, field in settings.model_fields.items():
        if name not in known or field.description != known[name].description:
            yield name


def method_part(method: type[Method]) -> str:
    """Heading, settings and variants of a method."""
    about = method.about
    parts = [
        f"## {about.name}: `{about.section}`",
        f"{about.title[0].upper()}{about.title[1:]}. What is not listed is as in `pretraining`.",
        table(method.Settings, own_names(method), method),
    ]
    if method.variants:
        parts.append(f"Variants, as words behind the names of {about.name}'s trainers:")
        parts.append("\n".join(f"- `_{w}`: {v.text}" for w, v in method.variants.items()))
    return "\n\n".join(parts)


def settings_page() -> str:
    """The page of all settings."""
    parts = [
        MADE,
        "# Settings",
        "Nobody has to choose any: what depends on the data follows from the plan. Whatever a run "
        "used stands in its log, its checkpoints and its report. To change one, write it into its "
        "section of a configuration in the plans file:",
        '```json\n"3d_fullres": {\n    ...,\n    "nnunetv2_pcrl": {\n'
        '        "pretraining": {"num_epochs": 100},\n'
        '        "pcrlv2": {"batch_size": 8},\n'
        '        "finetune": {"transfer": "encoder_decoder"}\n    }\n}\n```',
        "A method's own section comes before `pretraining`, and a word of the trainer's name "
        "([trainer names](trainer_names.md)) before both. Unknown names and values that do not fit "
        "end the command before the first step, with the numbers. Sizes are in voxels per axis, in "
        "the order of the plan: (D,) H, W.",
        "## Every pretraining: `pretraining`",
        table(PretrainingSettings, list(PretrainingSettings.model_fields)),
        *map(method_part, METHODS),
        "## Fine-tuning: `finetune`",
        table(FinetuneSettings, list(FinetuneSettings.model_fields)),
        "## Classification: `classification`",
        table(ClassificationSettings, list(ClassificationSettings.model_fields)),
        "## Nodules: `nodules`",
        "What is not listed is as in `classification`.",
        table(NoduleSettings, [*_only_in(NoduleSettings, ClassificationSettings)]),
    ]
    return "\n\n".join(parts) + "\n"


def commands() -> dict[str, str]:
    """Console scripts of the package: name to "module:function", as in setup.cfg."""
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = configuration["options.entry_points"]["console_scripts"].split("\n")
    return dict(line.replace(" ", "").split("=") for line in lines if line.strip())


def help_of(entry: str) -> str:
    """What a command prints for --help."""
    module, function = entry.split(":")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        getattr(importlib.import_module(module), function)(["--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def commands_page() -> str:
    """The page of all commands."""
    os.environ["COLUMNS"] = str(COLUMNS)
    parts = [
        MADE,
        "# Commands",
        "What each command prints for `--help`. Training, prediction, ensembling and export are "
        "nnU-Net's own commands, with the names of [trainers](trainer_names.md).",
    ]
    for name, entry in commands().items():
        parts += [f"## {name}", f"```text\n{help_of(entry)}\n```"]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write the generated pages of the reference.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "reference")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in (("settings.md", settings_page()), ("commands.md", commands_page())):
        (folder / name).write_text(page, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main()
