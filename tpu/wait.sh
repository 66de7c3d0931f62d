#!/usr/bin/env bash
# Wait until the machine is ready. Ends with 1 where it won't become so.
#   POLL=30: seconds between two looks
. "$(dirname "$0")/lib.sh"
settings
stopped() {
  say "no longer watching; $NAME stays asked for. make tpu-wait goes on, make \
tpu-delete ends it"
  exit 130
}
trap stopped INT TERM
began=$(now)
before=''
while :; do
  is=$(state)
  if dry; then say "  … again every ${POLL:-30} s, until it is READY"; exit 0; fi
  [ "$is" = "$before" ] || say "$NAME: $is, after $(($(now) - began)) s"
  before=$is
  case $is in
    READY) exit 0 ;;
    ACTIVE | CREATING | STARTING | RESTARTING | REPAIRING) ;; # it is being built
    ACCEPTED | PROVISIONING | WAITING_FOR_RESOURCES) ;;       # it is in the queue
    ABSENT) fail "$NAME is not asked for: make tpu-create" ;;
    SUSPENDING | SUSPENDED) fail "$NAME was taken away: make tpu-delete tpu-create" ;;
    PREEMPTED | GONE) fail "$NAME was preempted: make tpu-delete tpu-create" ;;
    FAILED) fail "$NAME cannot be had (VALID_UNTIL passed, quota, or no such type in \
$ZONE): make tpu-delete, then try another ZONE or TIER" ;;
    *) fail "$NAME is $is: look with gcloud compute tpus tpu-vm describe $NAME" ;;
  esac
  sleep "${POLL:-30}"
done
