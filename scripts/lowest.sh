#!/usr/bin/env bash
# Every command with the lowest versions of its dependencies (constraints-lowest.txt).
# The virtual environment stays in a cache folder, so that only the first run installs. LOWEST_ENVIRONMENT names
# another folder, PYTHON an interpreter: 3.11 or 3.12, for which the lowest versions have wheels.
set -euo pipefail
cd "$(dirname "$0")/.."
environment="${LOWEST_ENVIRONMENT:-${XDG_CACHE_HOME:-$HOME/.cache}/nanotabpfn-priors/lowest}"
extras="distributed,dot,explore,hub,openml,pandas,parquet,plots,predict,studies,tables"
workplace="$(mktemp -d)"
trap 'rm -rf "$workplace"' EXIT

# The lowest version where there is one, the tested version of everything else.
cat constraints-lowest.txt > "$workplace/constraints.txt"
sed -n 's/^\([^#=]*==\).*/^\1/p' constraints-lowest.txt | sed 's/[-_]/[-_]/g' > "$workplace/replaced"
grep -v -i -f "$workplace/replaced" constraints.txt >> "$workplace/constraints.txt"

wanted="$(cat pyproject.toml "$workplace/constraints.txt" | cksum)"
if [ "$(cat "$environment/installed" 2>/dev/null)" != "$wanted" ]; then
    for python in "${PYTHON:-python3}" python3.12 python3.11 none; do
        if [ "$python" = none ]; then
            echo "scripts/lowest.sh needs Python 3.11 or 3.12: PYTHON=/path/to/python3.11 scripts/lowest.sh" >&2
            exit 1
        fi
        version="$("$python" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null || true)"
        case "$version" in "3 11" | "3 12") break ;; esac
    done
    echo "Installing the lowest versions into $environment ..."
    "$python" -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --constraint "$workplace/constraints.txt" \
        ".[$extras]" "tensorboard" "setuptools>=77" wheel
    "$environment/bin/python" -m pip uninstall --quiet --yes nanotabpfn-priors
    # Written last, so that an installation that broke off is done again.
    echo "$wanted" > "$environment/installed"
fi

# The packages as a user gets them, from the wheel, not from this folder.
"$environment/bin/python" -m pip install --quiet --no-deps --no-build-isolation --target "$workplace/site" .
export PYTHONPATH="$workplace/site" PATH="$workplace/site/bin:$environment/bin:$PATH"
priors --version
nanotabpfn --version
"$environment/bin/python" scripts/smoke.py
