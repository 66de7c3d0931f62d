#!/usr/bin/env bash
# What a worker's unit has printed:   logs.sh [-f] [-w WORKER|all] [-n LINES]
. "$(dirname "$0")/lib.sh"
settings
WORKER=${WORKER:-0}
words=()
while getopts fw:n: flag; do
  case $flag in
    f) words=(${words[@]+"${words[@]}"} -f) ;;
    w) WORKER=$OPTARG ;;
    n) words=(${words[@]+"${words[@]}"} -n "$OPTARG") ;;
    *) refuse "wanted [-f] [-w WORKER|all] [-n LINES]" ;;
  esac
done
run gcloud compute tpus tpu-vm ssh "$NAME" "${WHERE[@]}" --quiet "--worker=$WORKER" \
  "--command=bash $REMOTE/code/tpu/worker.sh $(quoted log ${words[@]+"${words[@]}"})"
