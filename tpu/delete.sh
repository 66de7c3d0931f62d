#!/usr/bin/env bash
# Give the machine back:   delete.sh [--force]: even while its unit runs
. "$(dirname "$0")/lib.sh"
settings
force=${FORCE:-}
case ${1:-} in
  --force) force=1 ;;
  '') ;;
  *) refuse "wanted --force or nothing, got $1" ;;
esac
is=$(state)
if [ "$is" = ABSENT ]; then
  say "$NAME is not there"
  exit 0
fi
if [ -z "$force" ] && [ "$is" = READY ]; then
  found=$(units) ||
    refuse "the workers of $NAME do not say whether a unit runs: ARGS=--force deletes \
it all the same"
  case $found in
    *unit\ *\ running\ *) refuse "a unit still runs on $NAME: make tpu-stop first (it \
saves), or ARGS=--force" ;;
  esac
fi
delete_it
told "$NAME is deleted; what was saved is in ${RUN:-its bucket}"
