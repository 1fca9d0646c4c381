#!/usr/bin/env bash
# Sets up a virtual environment of its own, then runs the checks of every commit (lint, types),
# builds the documentation and runs all tests, slow ones included.
#   bash scripts/test.sh [PYTEST ARGUMENTS]     e.g. -m "not slow"
# TEST_VENV names another folder for the environment (default: .venv-test). COVERAGE=1 ends with a
# table of the lines that no test runs.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
make_environment "${TEST_VENV:-.venv-test}" -e '.[test,docs]'
python -m pre_commit run --all-files --show-diff-on-failure
NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet --site-dir "$(mktemp -d)"
# More threads would only wait for one another on the tests' tiny tensors.
export OMP_NUM_THREADS=1
# Whatever the machine's language: outputs and files of the tests are UTF-8.
export PYTHONUTF8=1
# nnU-Net's commands take all cores all the same: let waiting threads sleep, not spin.
export OMP_WAIT_POLICY=passive
# Every process of the tests reads what another one has compiled.
unset PYTHONDONTWRITEBYTECODE
coverage=()
if [ -n "${COVERAGE:-}" ]; then
    coverage=(--cov --cov-report=term:skip-covered)
fi
# Two processes; a file stays together, because its tests share what takes long to prepare, and
# the end-to-end tests, which take longest, come first.
exec python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=25 ${coverage[@]+"${coverage[@]}"} "$@"
