#!/usr/bin/env bash
# Where the TPU is said to be in use: end, by its pid, who holds it and is not our unit.
. "$(dirname "$0")/lib.sh"
settings
worker unlock
