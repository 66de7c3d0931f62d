#!/usr/bin/env bash
# Ask for the machine: a queued resource, which Google fills when it can.
#   TIER=spot|on-demand|reserved (spot)  VALID_UNTIL=6h: give up after  RUNTIME=image
. "$(dirname "$0")/lib.sh"
need_type
settings
case ${TIER:=spot} in
  spot) tier=(--spot) ;;
  on-demand) tier=() ;;
  reserved) tier=(--reserved) ;;
  *) refuse "TIER=$TIER: wanted spot, on-demand or reserved" ;;
esac
[ -z "${VALID_UNTIL:-}" ] ||
  tier=(${tier[@]+"${tier[@]}"} "--valid-until-duration=$VALID_UNTIL")

all=$(requests)
had=$(printf '%s\n' "$all" | field "$NAME" 2)
if [ -n "$had" ]; then
  type=$(printf '%s\n' "$all" | field "$NAME" 5)
  [ "$type" = "$TPU_TYPE" ] || refuse "$NAME is there already, and is a $type: make \
tpu-delete first, or choose another NAME"
  say "$NAME is there already: $had"
  exit 0
fi

# Stopped in the middle, nobody knows whether it was asked for: then it shall not be.
stopped() {
  trap '' INT TERM
  say "stopped while asking for $NAME: deleting it, lest it cost money unseen"
  delete_it || say "if it is there, make tpu-list shows it and make tpu-delete ends it"
  exit 130
}
trap stopped INT TERM
run gcloud compute tpus queued-resources create "$NAME" "${WHERE[@]}" \
  "--node-id=$NAME" "--accelerator-type=$TPU_TYPE" \
  "--runtime-version=${RUNTIME:-$(of_type "$TPU_TYPE" runtime)}" \
  "--labels=$LABEL=$(plain "$(basename "${RUN:-$NAME}")")" ${tier[@]+"${tier[@]}"}
trap - INT TERM
told "asked for $NAME, $(usd_per_hour) USD an hour at most once it is there. \
Next: make tpu-wait"
