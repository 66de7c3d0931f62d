#!/usr/bin/env bash
# Keep a run going until it is done, whatever happens to its machines:
#   babysit.sh train [key=value…]   babysit.sh prune [words…]
# A unit that ended with 42 or with 128 and more (told to stop, killed, lost a peer) is
# started again; one that ended with 1 or 2 never is: it would fail again, for money.
#   RESTARTS=5: give up after so many in a row without a newly saved step
#   BACKOFF=30: seconds before a second start; doubled each time, up to ten minutes
#   MAX_USD=: save, give the machine back and end when the run has spent so much: this
#     call of it and those before, of which it keeps an account in RUN/spent
#   POLL=60: seconds between two looks   KEEP=1: never give the machine back at the end
. "$(dirname "$0")/lib.sh"
verb=${1:-}
case $verb in
  train) need PROJECT ZONE TPU_TYPE RUN EXP ;;
  prune) need PROJECT ZONE TPU_TYPE RUN ;;
  *) refuse "wanted train or prune, got '$verb'" ;;
esac
need_type
need_bucket
numbers RESTARTS BACKOFF POLL GRACE
case ${MAX_USD:-0} in
  *[!0-9.]* | *.*.* | .) refuse "MAX_USD: wanted a number of dollars, got '$MAX_USD'" ;;
esac
settings
export NAME
if dry; then
  "$TPU/create.sh" && "$TPU/wait.sh" && "$TPU/setup.sh" && "$TPU/launch.sh" "$@"
  units
  say "  … again every ${POLL:-60} s, until it is done; then:"
  delete_it
  exit
fi

committed
COMMIT=$commit # of machines to come as well, whatever is done to the checkout meanwhile
export COMMIT
launched='' restarts=0 best=0 paid=0 before=0 looked=$(now) recorded='' is=''

# What is saved: the last step of training, the number of circuits of pruning.
progress() {
  local what="$RUN/checkpoints/"
  [ "$verb" = train ] || what="$RUN/circuits/**/circuit.json"
  say "+ $(quoted gcloud storage ls "$what")"
  { gcloud storage ls "$what" 2>/dev/null || true; } | # where there is none, it fails
    if [ "$verb" = train ]; then
      sed -n 's|.*/\([0-9][0-9]*\)/$|\1|p' | sort -n | tail -n 1 | grep . || echo 0
    else
      grep -c . || true
    fi
}

spent() { # USD: of the calls before, and of this one
  awk -v b="$before" -v s="$paid" -v h="$(usd_per_hour)" \
    'BEGIN { printf "%.2f", b + s / 3600 * h }'
}

# The account of the run, on its bucket: USD, and when it was true. A machine that has
# been there since, with nobody to look after it, has cost money too.
recall() {
  local found since created
  say "+ $(quoted gcloud storage cat "$RUN/spent")"
  if ! found=$(gcloud storage cat "$RUN/spent" 2>&1); then
    case $found in *"matched no objects"* | *"not found"* | *404*) return 0 ;; esac
    fail "what $RUN has cost so far cannot be read: $found"
  fi
  read -r before since <<<"$found"
  case $before in '' | *[!0-9.]*) fail "$RUN/spent: wanted USD, got '$before'" ;; esac
  case $since in '' | *[!0-9]*) fail "$RUN/spent: wanted seconds, got '$since'" ;; esac
  created=$(requests |
    awk -F , -v name="$NAME" "$EPOCH"' $1 == name { print epoch($3) }')
  if [ -n "$created" ]; then
    [ "$created" -le "$since" ] || since=$created
    [ "$since" -ge "$looked" ] || looked=$since
  fi
  say "babysit: $before USD so far, by the account in $RUN/spent"
}

record() {
  say "+ $(quoted gcloud storage cp - "$RUN/spent")"
  printf '%s %s\n' "$(spent)" "$looked" | gcloud storage cp - "$RUN/spent" >/dev/null ||
    say "babysit: the account could not be written; it is tried again"
  recorded=$looked
}

give_back() {
  if [ -n "${KEEP:-}" ]; then
    say "KEEP=1: $NAME stays, at $(usd_per_hour) USD an hour; make tpu-delete ends it"
  elif [ "$(state)" != ABSENT ]; then
    delete_it
  fi
}

finish() { # CODE MESSAGE
  trap '' INT TERM HUP
  trap - EXIT
  set +e # perhaps nobody is there to read this; the machine is given back all the same
  say "babysit: $2"
  [ "$is" != READY ] || [ "$1" = 0 ] || worker stop "${GRACE:-120}" || true
  give_back
  [ -z "$recorded" ] || record
  say "babysit: about $(spent) USD, by list price, since the run began; it is in $RUN"
  exit "$1"
}
recall # before anything could be given back: where it fails, nothing is done
trap 'finish 130 "stopped by you: saving, and giving the machine back"' INT TERM HUP
trap 'finish 1 "it failed, see above: saving, and giving the machine back"' EXIT

# Before anything is done a second time: was the last time of any use?
again() {
  local saved wait
  launched=''
  saved=$(progress)
  if [ "$saved" -gt "$best" ]; then best=$saved restarts=0; fi
  restarts=$((restarts + 1))
  say "babysit: $1; saved so far: $saved; start $restarts of ${RESTARTS:-5} from there"
  [ "$restarts" -le "${RESTARTS:-5}" ] || finish 1 "gave up: ${RESTARTS:-5} starts, \
and nothing new saved. make tpu-logs of a machine kept with KEEP=1 says why"
  wait=$((${BACKOFF:-30} << (restarts - 1)))
  [ "$wait" -le 600 ] || wait=600
  sleep "$wait"
}

account() {
  local at
  at=$(now)
  case $is in READY | ACTIVE | RE*) paid=$((paid + at - looked)) ;; esac
  [ "$is" = UNKNOWN ] || looked=$at # of a time in the dark it is known later
  if [ "$is" = READY ] && [ $((at - ${recorded:-0})) -ge 600 ]; then record; fi
  [ -z "${MAX_USD:-}" ] ||
    awk -v s="$(spent)" -v m="$MAX_USD" 'BEGIN { exit s < m }' ||
    return 0
  [ -z "${MAX_USD:-}" ] || finish 1 "MAX_USD=$MAX_USD is reached"
}

begin() {
  local code=0
  "$TPU/setup.sh" && "$TPU/launch.sh" "$@" || code=$?
  case $code in
    0) launched=1 ;;
    2) finish 1 "cannot be started as it is asked for; see above" ;;
    *) [ "$(state)" != READY ] || again "the start failed ($code)" ;; # else: seen next
  esac
}

tend() {
  local found codes
  found=$(units) || { say "babysit: the workers do not answer"; return 0; }
  printf '%s\n' "$found" | cut -c 1-240 >&2
  codes=$(printf '%s\n' "$found" | sort -u |
    awk '$1 == "unit" { print ($3 == "running" ? "running" : $4) }')
  case " $(printf '%s' "$codes" | tr '\n' ' ') " in
    *" running "*) launched=1 ;;
    *) case "$launched $codes " in
      " "*) begin "$@" ;;
      *-*) again "a worker was made anew" ;;
      *) ended "$codes" ;;
    esac ;;
  esac
}

ended() {
  local code worst=0
  for code in $1; do
    case $code in
      0) ;;
      42) [ "$worst" != 0 ] || worst=42 ;;
      *) if [ "$code" -lt 128 ]; then
        "$TPU/logs.sh" -w all -n 30 || true
        finish 1 "a worker ended with $code, which another start would not help"
      fi; worst=$code ;;
    esac
  done
  [ "$worst" != 0 ] || finish 0 "done"
  again "the workers ended with $(printf '%s' "$1" | tr '\n' ' ')"
}

say "babysit: $NAME, $(usd_per_hour) USD an hour${MAX_USD:+, at most $MAX_USD USD}; \
Ctrl-C saves and gives it back"
while :; do
  is=$(state) || is=UNKNOWN
  account
  case $is in
    READY) tend "$@" ;;
    ABSENT) "$TPU/create.sh" || finish 1 "the machine cannot be asked for" ;;
    SUSPENDED | FAILED | PREEMPTED | GONE | TERMINATED | STOPPED)
      delete_it || true
      again "the machine is $is"
      continue
      ;;
    *) say "babysit: $NAME is $is" ;;
  esac
  sleep "${POLL:-60}"
done
