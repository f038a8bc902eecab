#!/usr/bin/env bash
# Lint and all tests, in a virtual environment that it makes itself if there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh "test"
ruff check .
ruff format --check .
python -m pytest "$@"
