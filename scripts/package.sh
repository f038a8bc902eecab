#!/usr/bin/env bash
# The package as others get it: builds the sdist, the wheel from the sdist, and installs that wheel into empty
# environments. One has the core dependencies alone, and runs the commands that need no extra; the other has all
# extras, and runs every command (scripts/smoke.py). Both are temporary. PYTHON names the interpreter, DIST a folder
# in which the sdist and the wheel stay.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
extras="distributed,dot,explore,hub,openml,pandas,parquet,plots,predict,studies,tables"
workplace="$(mktemp -d)"
trap 'rm -rf "$workplace"' EXIT
dist="${DIST:-$workplace/dist}"
unset PYTHONPATH

mkdir "$workplace/source"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$workplace/source"
"$python" -m venv "$workplace/build"
"$workplace/build/bin/python" -m pip install --quiet build
"$workplace/build/bin/python" -m build --outdir "$dist" "$workplace/source" > "$workplace/log" 2>&1 ||
    { cat "$workplace/log"; exit 1; }
ls -l "$dist"
wheel="$(ls "$dist"/*.whl)"

"$python" -m venv "$workplace/core"
"$workplace/core/bin/python" -m pip install --quiet --constraint constraints.txt "$wheel"
"$workplace/core/bin/python" -m pip check
(
    cd "$workplace" # so that the packages are those of the wheel
    export PATH="$workplace/core/bin:$PATH" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    priors --version
    nanotabpfn --version
    tiny="--set num_datapoints=24 --set num_features=3 --set num_nodes=[5,6] --set block_size=8"
    priors presets > presets
    priors schema > schema
    priors generate a.h5 --num-datasets 32 --workers 2 $tiny
    priors inspect a.h5 > inspected
    priors diff a.h5 default > difference
    priors validate a.h5
    priors verify a.h5 --sample 4
    priors audit a.h5 --num-datasets 4 > audited
    priors convert a.h5 a.npz
    nanotabpfn train --dump a.h5 --out run --steps 2 --batch-size 8 --eval-every 2 --device cpu
    nanotabpfn evaluate --model run --suite builtin --device cpu
    nanotabpfn study schema > schema
    # What needs an extra says which.
    for command in "priors plot graphs --out g.png" "priors convert a.h5 a.parquet" "nanotabpfn plot run"; do
        if $command 2> message; then
            echo "works without its extra: $command" >&2
            exit 1
        fi
        grep -q "pip install .nanotabpfn-priors\[[a-z]*\]" message || { cat message; exit 1; }
    done
)
rm -rf "$workplace/core"

"$python" -m venv "$workplace/all"
"$workplace/all/bin/python" -m pip install --quiet --constraint constraints.txt "$wheel[$extras]" tensorboard
"$workplace/all/bin/python" -m pip check
PATH="$workplace/all/bin:$PATH" "$workplace/all/bin/python" scripts/smoke.py
