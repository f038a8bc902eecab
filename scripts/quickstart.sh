#!/usr/bin/env bash
# From a prior to a scored model: generate a dump, train on it, evaluate on real tables, draw the run.
# Ten minutes on two cores; `scripts/quickstart.sh --full` trains as long as the published model, 2,500 steps.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=320
datasets=20000
out=runs/quickstart
case "${1:-}" in
    "") ;;
    --full) steps=2500 datasets=80000 out=runs/full ;;
    *) echo "usage: scripts/quickstart.sh [--full]" >&2; exit 2 ;;
esac

source scripts/environment.sh "plots,tables"
mkdir -p "$out"
dump="$out/${datasets}_150x5_2.h5"

stage() { printf '\n== %s\n' "$*"; }
started=$SECONDS

stage "1/4 Generate $datasets datasets of 150 rows, 5 features, 2 classes"
priors generate "$dump" --num-datasets "$datasets" --workers "$(getconf _NPROCESSORS_ONLN)" --overwrite
priors inspect "$dump"

stage "2/4 Train a model of the published size for $steps steps of 32 datasets"
nanotabpfn train --dump "$dump" --out "$out" --recipe target-aware --steps "$steps" --eval-every "$((steps / 8))" \
    --suite open --overwrite

stage "3/4 Evaluate on 13 real tables, with scikit-learn's classifiers on the same folds (ROC AUC, log loss)"
nanotabpfn evaluate --model "$out" --suite open --baselines --out "$out/scores.json"

stage "4/4 Draw the run"
nanotabpfn plot "$out" --scores "$out/scores.json"

printf '\nDone in %d seconds. Everything is in %s/\n' "$((SECONDS - started))" "$out"
