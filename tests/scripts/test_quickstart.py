"""What scripts/quickstart.sh tells people to type exists; the commands themselves run elsewhere."""

import re
import subprocess
from pathlib import Path

from make_reference import commands

from nnunetv2_pcrl.trainers import trainer_named

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "quickstart.sh"


def what_next() -> str:
    """What it prints at its end."""
    function = re.search(r"^say_what_next\(\) \{.*?^\}", SCRIPT.read_text(), re.M | re.S)[0]
    code = f"set -eu\n{function}\nsay_what_next"
    return subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_way_on_names_commands_trainers_and_pages_that_exist():
    text = what_next()
    assert set(re.findall(r"nnUNetv2_pcrl_\w+", text)) <= set(commands())
    assert "nnUNetv2_pcrl_doctor" in text
    names = set(re.findall(r"-tr (\w+)", text))
    assert names and all(trainer_named(name) for name in names)
    (page,) = re.findall(r"docs/\S+\.md", text)
    assert (ROOT / page).is_file()


def test_the_way_on_is_that_of_the_page_for_beginners():
    page = (ROOT / "docs" / "getting_started.md").read_text(encoding="utf-8")
    printed = [line.split("#")[0].split() for line in what_next().splitlines()]
    for line in page.splitlines():
        if line.startswith(("nnUNetv2_train 4", "nnUNetv2_predict", "nnUNetv2_plan_and")):
            assert line.split("#")[0].split() in printed


def test_data_of_ones_own_are_pretrained_for_as_long_as_the_plan_says_unless_told_otherwise():
    script = SCRIPT.read_text()
    own = re.search(r'^if \[ -n "\$dataset" \]; then\n(.*?)^else', script, re.M | re.S)[1]
    lengths = "\n".join(line for line in own.splitlines() if "_epochs=" in line)
    name = re.search(r"^pretrainer=.*$", script, re.M)[0]
    trainers = {"": "PCRLv2PretrainTrainer", "10": "PCRLv2PretrainTrainer_10epochs"}
    for given, expected in trainers.items():
        code = f"set -eu\npretrain_epochs='{given}' finetune_epochs=''\n{lengths}\n{name}\n"
        code += "echo $pretrainer $finetune_epochs"
        done = subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True)
        assert done.stdout.split() == [expected, "1000"]
        assert trainer_named(expected)


def test_an_unknown_option_is_refused_before_anything_is_made():
    done = subprocess.run(["bash", str(SCRIPT), "--no_such"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown option --no_such" in done.stderr
