#!/usr/bin/env bash
# Delete what failed or was taken away, of what these scripts have asked for: such
# requests cost nothing, but count against the quota and keep their names.
. "$(dirname "$0")/lib.sh"
need PROJECT ZONE
WHERE=("--project=$PROJECT" "--zone=$ZONE")
need_gcloud
all=$(requests)
dead=$(printf '%s\n' "$all" |
  awk -F , '$4 != "" && ($2 == "SUSPENDED" || $2 == "FAILED") { print $1 }')
[ -n "$dead" ] || told "nothing to reap"
for NAME in $dead; do delete_it; done
