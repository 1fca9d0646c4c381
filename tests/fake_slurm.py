"""Stands in for SLURM's commands: jobs run at once, on this machine."""

import os
import sys
from pathlib import Path

# Keeps in a folder JOB.state for each job, and in "submitted" what each was submitted with.
_SBATCH = """#!{python} -IS
import os, shlex, subprocess, sys
here = os.path.dirname(os.path.realpath(__file__))
options, (script,) = [], [a[7:] for a in sys.argv if a.startswith("--wrap=")]
job = str(1 + len([n for n in os.listdir(here) if n.endswith(".state")]))
with open(os.path.join(here, "submitted"), "a") as file:
    file.write(shlex.join(a for a in sys.argv[1:] if not a.startswith("--wrap=")) + "\\n")
state = os.path.join(here, job + ".state")
with open(state, "w") as file:
    file.write("RUNNING")
run = "{{ " + script + "; }} && s=COMPLETED || s=FAILED; printf $s > " + shlex.quote(state)
log = sys.argv[sys.argv.index("--output") + 1].replace("%j", job)
with open(log, "w") as output:
    process = subprocess.Popen(["bash", "-c", run], stdin=subprocess.DEVNULL, stdout=output,
                               stderr=output, start_new_session=True,
                               env=dict(os.environ, SLURM_JOB_ID=job))
with open(os.path.join(here, job + ".pid"), "w") as file:
    file.write(str(process.pid))
print(job)
"""
_SACCT = """#!{python} -IS
import os, sys
here = os.path.dirname(os.path.realpath(__file__))
for name in sorted(os.listdir(here)):
    if name.endswith(".state") and "-X" in sys.argv:
        with open(os.path.join(here, name)) as file:
            print(name[:-6] + "|" + file.read())
"""
_SCANCEL = """#!{python} -IS
import os, signal, sys
here = os.path.dirname(os.path.realpath(__file__))
for job in sys.argv[1:]:
    with open(os.path.join(here, job + ".pid")) as file:
        os.killpg(int(file.read()), signal.SIGTERM)
"""
# Options of srun that take their value with =; the command follows them.
_SRUN = """#!{python} -IS
import os, sys
command = [a for i, a in enumerate(sys.argv[1:]) if not a.startswith("-") or not all(
    b.startswith("-") for b in sys.argv[1:i + 1])]
os.execvp(command[0], command)
"""
_PARTITIONS = "#!/bin/sh\necho 'short*'\n"


class FakeSlurm:
    """The stand-ins, first on PATH."""

    def __init__(self, folder: Path, monkeypatch):
        self._folder = folder
        folder.mkdir()
        scripts = {"sbatch": _SBATCH, "sacct": _SACCT, "scancel": _SCANCEL, "srun": _SRUN}
        scripts |= {"sinfo": _PARTITIONS, "scontrol": "#!/bin/sh\n"}
        for name, text in scripts.items():
            script = folder / name
            script.write_text(text.format(python=sys.executable))
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def submitted(self) -> list[str]:
        """Options of sbatch, of every job."""
        path = self._folder / "submitted"
        return path.read_text().splitlines() if path.exists() else []
