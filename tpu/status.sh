#!/usr/bin/env bash
# The machine's state, and each worker's: idle, running, ended with a code, or lost.
. "$(dirname "$0")/lib.sh"
settings
is=$(state)
dry || say "$NAME: $is"
[ "$is" = READY ] || exit 1
units
