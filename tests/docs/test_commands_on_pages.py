"""What pages tell people to type exists: commands, their options, trainers, scripts, links."""

import argparse
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from make_reference import commands

from nnunetv2_pcrl.trainers import trainer_named

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plans/**/*.md"),
        *ROOT.glob("results/*/README.md"),
    ]
)
OF_NNUNET = {
    entry.name: entry.value
    for entry in entry_points(group="console_scripts")
    if entry.name.startswith("nnUNetv2_") and not entry.name.startswith("nnUNetv2_pcrl")
}
COMMANDS = {**OF_NNUNET, **commands()}
LAUNCHER = "nnunetv2_pcrl.launch"
BLOCK = re.compile(r"^ *```(\w*)([^\n]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
NEEDS_A_DOWNLOAD = 'title="needs a download"'

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


class ParsedError(Exception):
    """The arguments of a command are read; it would begin its work now."""


@pytest.fixture
def without_running(monkeypatch):
    """Every command stops when its arguments are read."""
    parse = argparse.ArgumentParser.parse_known_args

    def parse_and_stop(self, args=None, namespace=None):
        found, unknown = parse(self, args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        raise ParsedError(found)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_and_stop)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def shell_blocks(page: Path) -> Iterator[tuple[str, str]]:
    """What stands behind the language of a block, and its lines."""
    for language, title, block in BLOCK.findall(text_of(page)):
        if language in ("", "bash", "sh"):
            yield title.strip(), block


def typed_lines(block: str) -> Iterator[list[str]]:
    """Words of every line to type; [optional parts] count, comments do not, variables are set."""
    variables: dict[str, str] = {}
    for line in block.replace("\\\n", " ").splitlines():
        for name, value in variables.items():
            line = re.sub(rf"\${name}\b", lambda _, value=value: value, line)
        if match := re.fullmatch(r'\s*(\w+)="(.*)"', line):
            variables[match[1]] = match[2]
            continue
        if "nnUNetv2_" in line or LAUNCHER in line:
            yield shlex.split(re.sub(r"[\[\]]", " ", line), comments=True)


def called(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Commands in a line, each with what follows it."""
    for place, word in enumerate(words):
        if word == LAUNCHER:
            yield "nnUNetv2_train", words[place + 1 :]
        elif re.fullmatch(r"nnUNetv2_\w+", word):
            yield word, words[place + 1 :]


@every_page
def test_commands_exist_and_take_the_options_that_the_page_gives_them(
    page, without_running, monkeypatch, capsys
):
    for _, block in shell_blocks(page):
        for words in typed_lines(block):
            for name, arguments in called(words):
                assert name in COMMANDS, f"there is no {name}"
                module, function = COMMANDS[name].split(":")
                monkeypatch.setattr(sys, "argv", [name, *arguments])
                try:
                    getattr(import_module(module), function)()
                except ParsedError:
                    continue
                except SystemExit:
                    pytest.fail(f"{shlex.join([name, *arguments])}: {capsys.readouterr().err}")
                pytest.fail(f"{name} ran")


@every_page
def test_trainers_on_the_page_exist(page):
    names = set(re.findall(r"-tr\s+(\w*Trainer\w*)", text_of(page)))
    for _, block in shell_blocks(page):
        for words in typed_lines(block):
            if "--trainers" in words:
                for word in words[words.index("--trainers") + 1 :]:
                    if word.startswith("-"):
                        break
                    names.add(word)
    assert [n for n in names if not n.startswith("nnUNetTrainer") and not trainer_named(n)] == []


@every_page
def test_commands_and_scripts_that_the_page_names_exist(page):
    text = text_of(page)
    assert set(re.findall(r"nnUNetv2_pcrl_[a-z]\w*[a-z0-9]\b", text)) <= set(commands())
    named = re.findall(r"(?:bash|python) ((?:scripts|results|docs)/[\w/.]+\.(?:sh|py))", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []


@every_page
def test_links_of_the_page_lead_to_files(page):
    # Pages of the navigation, and headings, are checked by mkdocs build --strict.
    navigation = text_of(ROOT / "mkdocs.yml")
    for link in LINK.findall(text_of(page)):
        if "://" not in link and not (page.parent / link).exists():
            target = (page.parent / link).resolve()
            assert target.is_relative_to(ROOT / "docs"), link
            assert f": {target.relative_to(ROOT / 'docs').as_posix()}\n" in navigation, link


@every_page
def test_blocks_that_need_a_download_say_so(page):
    for title, block in shell_blocks(page):
        assert ("DOWNLOADS" in block) == (title == NEEDS_A_DOWNLOAD), block


def test_pages_were_found_and_their_blocks_are_read():
    blocks = [block for page in PAGES for _, block in shell_blocks(page)]
    lines = [line for block in blocks for line in typed_lines(block)]
    assert len(PAGES) > 10 and len(lines) > 30


def test_a_typing_error_would_be_found(without_running, monkeypatch, capsys):
    words = next(typed_lines("A=1 nnUNetv2_pcrl_inspect FILE [--all]  # a comment"))
    ((name, arguments),) = called(words)
    assert (name, arguments) == ("nnUNetv2_pcrl_inspect", ["FILE", "--all"])
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit):
        import_module(COMMANDS[name].split(":")[0]).main()
    assert "unrecognized arguments: --all" in capsys.readouterr().err
