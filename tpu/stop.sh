#!/usr/bin/env bash
# End the unit: SIGTERM, which saves; SIGKILL where it has not ended after GRACE seconds.
. "$(dirname "$0")/lib.sh"
settings
worker stop "${GRACE:-120}"
