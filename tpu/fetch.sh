#!/usr/bin/env bash
# Copy a run from its bucket to runs/NAME (or OUT). The machine need not be there.
. "$(dirname "$0")/lib.sh"
need RUN
need_bucket
need_gcloud
out=${OUT:-runs/$(basename "$RUN")}
dry || mkdir -p "$out"
# Not the lock: its holder is another machine.
patiently gcloud storage rsync --recursive '--exclude=^lock$' "$RUN" "$out"
told "next: sparsetx verify $(quoted "$out") (after make install)"
