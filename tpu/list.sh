#!/usr/bin/env bash
# What these scripts have asked for in this project and zone, and how old it is.
. "$(dirname "$0")/lib.sh"
need PROJECT ZONE
WHERE=("--project=$PROJECT" "--zone=$ZONE")
need_gcloud
all=$(requests)
printf '%s\n' "$all" | awk -F , -v now="$(now)" "$EPOCH"'
  BEGIN { printf "%-40s %-15s %-22s %8s  %s\n", "name", "type", "state", "age", "run" }
  $4 != "" {
    age = now - epoch($3)
    printf "%-40s %-15s %-22s ", $1, $5, $2
    printf "%4dh%02dm  %s\n", age / 3600, age % 3600 / 60, $4
  }'
