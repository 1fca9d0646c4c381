"""The whole examination, as text for a person and as data for a program."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from nnunetv2_pcrl.doctor.findings import Problem, Section
from nnunetv2_pcrl.doctor.folders import examine_folders
from nnunetv2_pcrl.doctor.variables import examine_variables, unreadable_numbers
from nnunetv2_pcrl.doctor.versions import examine_versions


def examined() -> list[Section]:
    """All parts; those that need PyTorch and nnU-Net only where both can be imported."""
    sections = [examine_folders(), examine_variables()]
    if unreadable_numbers():
        return sections
    versions = examine_versions()
    sections.insert(0, versions)
    if not any(problem.stops for problem in versions.problems):
        from nnunetv2_pcrl.doctor.gpus import examine_gpus
        from nnunetv2_pcrl.doctor.lookup import examine_lookup
        from nnunetv2_pcrl.doctor.machine import examine_machine

        sections[1:1] = [examine_gpus(), examine_machine(), examine_lookup()]
    return sections


def problems_in(sections: Sequence[Section]) -> list[Problem]:
    """All problems, those first that would stop a training."""
    found = [problem for section in sections for problem in section.problems]
    return sorted(found, key=lambda problem: not problem.stops)


def as_text(sections: Sequence[Section]) -> str:
    """The page: a verdict, problems with remedies, and the facts."""
    problems = problems_in(sections)
    lines = [_verdict(problems)]
    for number, problem in enumerate(problems, 1):
        effect = "STOPS TRAINING" if problem.stops else "note"
        lines += [f"  {number}. {effect}: {problem.text}.", f"     Remedy: {problem.remedy}"]
    for section in sections:
        width = max(map(len, section.facts))
        lines += ["", section.title]
        lines += [f"  {name:<{width}}  {fact}" for name, fact in section.facts.items()]
    return "\n".join(lines)


def as_json(sections: Sequence[Section]) -> str:
    """The same as data: a list of parts with titles, facts and problems."""
    return json.dumps([asdict(section) for section in sections], indent=2)


def _verdict(problems: Sequence[Problem]) -> str:
    stopping = sum(problem.stops for problem in problems)
    if stopping:
        return f"A training would not run: {stopping} of {len(problems)} findings would stop it."
    return f"A training can run; {len(problems)} findings." if problems else "A training can run."
