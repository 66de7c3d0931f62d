#!/usr/bin/env bash
# Start a unit on every worker:   launch.sh train [key=value…] | prune [words…]
# Training takes up a run that is there already; pruning skips what is done.
#   DATA=gs://…: prepared tokens, for corpora other than tinypython
. "$(dirname "$0")/lib.sh"
verb=${1:-}
[ $# = 0 ] || shift
case $verb in
  train) need PROJECT ZONE RUN EXP; what=$EXP words=(train "$EXP" --run "$RUN" "$@") ;;
  prune) need PROJECT ZONE RUN; what=$RUN/config.json words=(prune "$RUN" "$@") ;;
  *) refuse "wanted train or prune, got '$verb'" ;;
esac
settings
need_bucket
case $what in
  gs://*) ;;
  *) [ -e "$TPU/../$what" ] || refuse "EXP=$EXP: no such file in ${TPU%/*}" ;;
esac

needs=(data "$what") # what decides which data: the experiment and its changes
for word; do
  case $verb$word in train-*) ;; train*=*) needs=("${needs[@]}" "$word") ;; esac
done
[ -z "${DATA:-}" ] || needs=(--from "$DATA" "${needs[@]}")
found=$(worker "${needs[@]}")
if ! dry; then
  prints=$(printf '%s\n' "$found" | awk '$1 == "data" { print $3 }' | sort -u)
  [ "$(printf '%s\n' "$prints" | grep -c .)" = 1 ] ||
    fail "the workers do not have the same data:
$found"
  say "  data $prints on every worker"
fi

stopped() {
  trap '' INT TERM
  say "stopped while starting: ending what has started"
  worker stop 30 || say "make tpu-stop ends the rest"
  exit 130
}
trap stopped INT TERM
worker start "${words[@]}"
trap - INT TERM
told "started. make tpu-logs ARGS=-f watches it, make tpu-stop saves and ends it"
