#!/usr/bin/env bash
# Reproduce the pipeline in the current folder with independent stages side by side: `JOBS=2 ./repro.sh`.
#
# `dvc repro` runs one stage after the other. Here each wave holds stages that do not depend on each other; a process
# for each runs that stage alone (-s), waits for DVC's short locks, and holds none while its notebook works. The last,
# plain `dvc repro` finds those done and does the rest, so a stage that no wave names is only slower, never forgotten.
#
# It may be killed at any moment, and goes on from there when it is started again.
set -euo pipefail

jobs=${JOBS:-2}
waves=(
    '^notebooks$'
    '^(render|faces)$'
    '^(pretrain|faces-start)@'
    '^(controls|(faces-finite|faces-standard|faces-target|train|finite)@.*)$'
    '^(certify|outsiders|(faces-references|assess|baseline|ablation)@.*)$'
    '^faces-assess@'
)

# Everything of this process group is asked to stop, given a moment to put its locks away, and then made to.
stop() {
    trap '' INT TERM
    kill -INT 0
    sleep 3
    echo "stopped: run it again to go on from here" >&2
    trap - TERM
    kill -TERM 0
}
trap stop INT TERM

# The names of the stages that are not done, of those that a wave names.
waiting() {
    dvc --wait-for-lock status --json | python -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")' | grep -E "$1" || true
}

python -m anonrep.schema # all that is wrong with params.yaml is said here, before any work
mkdir -p .dvc/tmp
exec 9>.dvc/tmp/repro.lock # held by this process, and by each dvc that it starts
if command -v flock >/dev/null && ! flock --nonblock 9; then
    echo "waiting for an earlier run in this folder" >&2
    flock 9
fi
python -m anonrep.resume
if dvc --wait-for-lock status --quiet; then
    echo "the pipeline is up to date"
    exit
fi
for wave in "${waves[@]}"; do
    stages=$(waiting "$wave")
    [ -n "$stages" ] || continue
    echo "== $(echo "$stages" | wc -l) stage(s) like $wave, $jobs at a time"
    # 255 tells xargs to start nothing more; stages that are running finish, so that their work is kept.
    if ! echo "$stages" | xargs -P "$jobs" -I{} bash -c \
        'dvc --wait-for-lock repro --single-item "$0" || { echo "stage $0 failed" >&2; exit 255; }' {}; then
        echo "the pipeline stopped: the traceback is above, the executed notebook in build/runs/" >&2
        exit 1
    fi
    python -m anonrep.resume # keeps a copy of dvc.lock
done
dvc --wait-for-lock repro
