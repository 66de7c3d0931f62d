#!/usr/bin/env bash
# What these scripts have asked for in this project and zone, and how old it is.
. "$(dirname "$0")/lib.sh"
need PROJECT ZONE
WHERE=("--project=$PROJECT" "--zone=$ZONE")
need_gcloud
all=$(requests)
printf '%s\n' "$all" | awk -F , -v now="$(now)" '
  function seconds(t,  y, m, d) { # of 2026-01-31T12:00:00Z, since 1970
    y = substr(t, 1, 4); m = substr(t, 6, 2) + 0; d = substr(t, 9, 2)
    if (m < 3) { y--; m += 12 }
    d += 365 * y + int(y / 4) - int(y / 100) + int(y / 400)
    d += int((153 * m - 457) / 5) - 719469
    return 60 * (60 * (24 * d + substr(t, 12, 2)) + substr(t, 15, 2)) + substr(t, 18, 2)
  }
  BEGIN { printf "%-40s %-15s %-22s %8s  %s\n", "name", "type", "state", "age", "run" }
  $4 != "" {
    age = now - seconds($3)
    printf "%-40s %-15s %-22s ", $1, $5, $2
    printf "%4dh%02dm  %s\n", age / 3600, age % 3600 / 60, $4
  }'
