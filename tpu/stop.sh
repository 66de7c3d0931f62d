#!/usr/bin/env bash
# End the unit: SIGTERM, which saves; SIGKILL where it is there still after GRACE s.
. "$(dirname "$0")/lib.sh"
settings
worker stop "${GRACE:-120}"
