#!/usr/bin/env bash
# Lint, the types of the public names, and all tests, in a virtual environment that it makes itself if there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh "test"
ruff check .
ruff format --check .
mypy  # of tests/public_types.py, see pyproject.toml
# A few processes: most tests are short, and some start processes of their own.
python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup "$@"
