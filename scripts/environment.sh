# Sourced by the other scripts: makes a virtual environment and installs this package into it.

# Prints a Python interpreter of version 3.10 or newer, or fails saying so.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python; do
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.10 or newer is needed; set PYTHON=/path/to/python" >&2
    return 1
}

# make_environment FOLDER REQUIREMENT...: creates the environment if absent, installs, activates.
make_environment() {
    local folder=$1
    shift
    if [ ! -x "$folder/bin/python" ]; then
        echo "Making the virtual environment $folder"
        "$(find_python)" -m venv "$folder"
    fi
    # shellcheck disable=SC1091
    . "$folder/bin/activate"
    echo "Installing $* (PyTorch is large: this can take minutes the first time)"
    python -m pip install --quiet --disable-pip-version-check "$@"
}
