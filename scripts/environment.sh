# Sourced by the other scripts: makes and enters .venv, with the project and the given extras installed.
# PYTHON chooses the interpreter (3.11 or later).
if [ ! -x .venv/bin/python ]; then
    "${PYTHON:-python3}" -m venv .venv
fi
source .venv/bin/activate
# What is installed is written down last, so that an installation that broke off is done again.
wanted="$1 $(cat pyproject.toml constraints.txt | cksum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    echo "Installing the project and its extra [$1] into .venv ..."
    python -m pip install --quiet --constraint constraints.txt --editable ".[$1]"
    echo "$wanted" > .venv/installed
fi
