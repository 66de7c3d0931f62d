#!/usr/bin/env bash
# Go on with a run from its last saved step, by its own configuration, or by EXP.
. "$(dirname "$0")/lib.sh"
need PROJECT ZONE RUN
need_bucket
EXP=${EXP:-$RUN/config.json} exec "$TPU/launch.sh" train "$@"
