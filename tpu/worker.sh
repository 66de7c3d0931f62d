#!/usr/bin/env bash
# What runs on a worker: on a TPU VM, in a container, and in the rehearsal. A worker has
# one unit of work at a time (a TPU has one user). It is detached, and leaves a pid
# file, a log and its exit code in $SPARSETX_HOME/unit.
#
#   worker.sh start|run WORDS…        sparsetx WORDS, detached or in the foreground
#   worker.sh status | log [-f] | stop [SECONDS]
#   worker.sh [--from gs://…] data EXPERIMENT [key=value…]
#   worker.sh unlock                  end what holds the TPU and is not the unit
set -euo pipefail

CODE=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SPARSETX_HOME=${SPARSETX_HOME:-$HOME/.sparsetx}
UNIT=$SPARSETX_HOME/unit
PYTHON=${SPARSETX_PYTHON:-$SPARSETX_HOME/venv/bin/python}
ME=${SPARSETX_NAME:-$(hostname)}
TPUS=${SPARSETX_TPUS:-/dev/accel[0-9]* /dev/vfio/[0-9]*}
DEVICES=$(for tpu in $TPUS; do [ ! -e "$tpu" ] || echo "$tpu"; done)

refuse() { printf 'worker %s: %s\n' "$ME" "$*" >&2; exit 2; }
began() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

# Pids are used again, so the start time must be the same.
alive() { [ -n "${2:-}" ] && [ "$(began "$1")" = "$2" ]; }

# The unit's pid, if it runs.
running() {
  local pid since
  read -r pid since _ 2>/dev/null <"$UNIT/pid" || return 1
  alive "$pid" "$since" && printf '%s' "$pid"
}

# A unit's end is known when its keeper has written the code.
kept() {
  local keeper since
  read -r _ _ keeper since 2>/dev/null <"$UNIT/pid" || return 1
  alive "$keeper" "$since"
}

environment() {
  export SPARSETX_DATA=${SPARSETX_DATA:-$SPARSETX_HOME/data} PYTHONUNBUFFERED=1
  export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$SPARSETX_HOME/xla}
  [ ! -f "$CODE/COMMIT" ] || SPARSETX_COMMIT=$(cat "$CODE/COMMIT")
  export SPARSETX_COMMIT=${SPARSETX_COMMIT:-}
}

metadata() {
  local from=http://metadata.google.internal/computeMetadata/v1/instance/attributes
  curl -sf -m 5 --retry 5 -H 'Metadata-Flavor: Google' "$from/$1"
}

# Training joins all hosts. GKE tells JAX of them by itself; a TPU VM's metadata names
# them, as plain addresses or as name:id:address.
join() {
  local all first
  [ -z "${SPARSETX_HOSTS:-}${TPU_WORKER_HOSTNAMES:-}" ] && [ -n "$DEVICES" ] || return 0
  all=$(metadata worker-network-endpoints) || return 0
  case $all in *,*) ;; *) return 0 ;; esac
  first=${all%%,*}
  SPARSETX_HOSTS=$(printf '%s\n' "$all" | tr ',' '\n' | wc -l | tr -d ' ')
  SPARSETX_HOST=$(metadata agent-worker-number)
  export SPARSETX_HOSTS SPARSETX_HOST SPARSETX_COORDINATOR="${first##*:}:8482"
}

# Anything else is done by each host alone, with its own chips: pruning shares the list
# of tasks, not arrays.
part() {
  local chips bounds
  unset SPARSETX_HOSTS SPARSETX_HOST SPARSETX_COORDINATOR TPU_WORKER_HOSTNAMES
  chips=$(printf '%s' "$DEVICES" | grep -c . || true)
  case $chips in
    0) return ;;
    1) bounds=1,1,1 ;;
    8) bounds=2,4,1 ;;
    *) bounds=2,2,1 ;;
  esac
  export TPU_CHIPS_PER_PROCESS_BOUNDS=$bounds TPU_PROCESS_BOUNDS=1,1,1
  export CLOUD_TPU_TASK_ID=0
  TPU_VISIBLE_CHIPS=$(seq -s , 0 $((chips - 1)))
  export TPU_VISIBLE_CHIPS
}

work() {
  local child='' code told='' keeper
  mkdir -p "$UNIT"
  if running >/dev/null; then refuse "its unit still runs: stop it first"; fi
  rm -f "$UNIT/code"
  environment
  case $1 in train) join ;; *) part ;; esac
  keeper="$$ $(began $$)"
  # No $(…) after this: a signal that comes while bash 5.2 reads one is lost.
  trap 'told=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM HUP
  trap 'told=1; [ -z "$child" ] || kill -INT "$child" 2>/dev/null || true' INT
  become_python "$@" &
  child=$!
  [ -z "$told" ] || kill -TERM "$child" 2>/dev/null || true
  while told='' code=0 && { wait "$child" || code=$?; } && [ -n "$told" ]; do :; done
  printf '%s\n' "$code" >"$UNIT/code.new" && mv "$UNIT/code.new" "$UNIT/code"
  rm -f "$UNIT/pid"
  exit "$code"
}

# Signals to the unit reach Python itself.
become_python() {
  local pid=$BASHPID # in $(…) it would be another's
  trap - TERM HUP INT
  printf '%s %s %s\n' "$pid" "$(began "$pid")" "$keeper" >"$UNIT/pid.new"
  mv "$UNIT/pid.new" "$UNIT/pid"
  cd "$CODE"
  exec "$PYTHON" -m sparsetx "$@"
}

start() {
  local try
  mkdir -p "$UNIT"
  if running >/dev/null; then # the same again: the line to here failed after the start
    [ "$*" = "$(cat "$UNIT/words")" ] || refuse "its unit still runs: stop it first"
    status
    return
  fi
  rm -f "$UNIT/code" "$UNIT/pid"
  printf '%s\n' "$*" >"$UNIT/words"
  printf '%s sparsetx %s\n' "$(date -u +%FT%TZ)" "$*" >>"$UNIT/log"
  setsid nohup bash "$CODE/tpu/worker.sh" run "$@" </dev/null >>"$UNIT/log" 2>&1 &
  for try in $(seq 300); do
    [ ! -e "$UNIT/pid" ] && [ ! -e "$UNIT/code" ] || { status; return; }
    sleep 0.1
  done
  refuse "the unit did not start in $((try / 10)) s: $(tail -n 3 "$UNIT/log")"
}

# Asked in this order, since a keeper writes the code and then removes the pid: whoever
# sees neither sees a unit that was never there.
state() {
  local known=''
  [ ! -e "$UNIT/pid" ] || known=1
  if running >/dev/null; then
    echo running -
  elif [ -e "$UNIT/code" ]; then
    echo ended "$(cat "$UNIT/code")"
  elif [ -z "$known" ]; then
    echo idle -
  elif kept; then
    echo ending -
  elif [ -e "$UNIT/code" ]; then # written, and the keeper gone, since the line above
    echo ended "$(cat "$UNIT/code")"
  else
    echo lost 137 # killed with its keeper, or the machine was started anew
  fi
}

# unit NAME STATE EXIT-CODE | the log's last line
status() {
  local now last
  while now=$(state) && [ "$now" = 'ending -' ]; do sleep 0.1; done
  last=$(tail -c 2000 "$UNIT/log" 2>/dev/null | tr '\r' '\n' |
    awk 'NF { line = $0 } END { print line }' || true)
  printf 'unit %s %s | %s\n' "$ME" "$now" "$last"
}

stop() {
  local pid end=$((SECONDS + ${1:-120}))
  pid=$(running) || { status; return; }
  kill -TERM "$pid" 2>/dev/null || true
  while running >/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
  if pid=$(running); then
    printf 'worker %s: still there after %s s, killed\n' "$ME" "${1:-120}" >&2
    kill -KILL "$pid" 2>/dev/null || true
    for _ in $(seq 100); do ! running >/dev/null || sleep 0.1; done
  fi
  status
}

# The same tokens on every worker, on its own disk: from a bucket, or made from their
# seed. The fingerprints that are printed must be equal.
data() {
  local name vocab tokens path folder print
  environment
  mkdir -p "$SPARSETX_HOME"
  cd "$CODE"
  "$PYTHON" -m sparsetx config "$@" >"$SPARSETX_HOME/config.json"
  read -r name vocab tokens path < <("$PYTHON" -c 'import json, sys
c = json.load(open(sys.argv[1])); d = c["data"]
print(d["name"], c["model"]["vocab_size"], d["tokens"], d["path"] or "")' \
    "$SPARSETX_HOME/config.json")
  rm -f "$SPARSETX_HOME/config.json"
  folder=${path:-$SPARSETX_DATA/$name-$vocab}
  case $folder in gs://*) # read from there, by every host
    printf 'data %s %s\n' "$ME" "$folder"
    return
    ;;
  esac
  if [ -n "$FROM" ]; then
    "$PYTHON" -m sparsetx data fetch "$FROM" --out "$folder" >/dev/null
  elif [ "$name" = tinypython ]; then
    "$PYTHON" -m sparsetx data prepare tinypython --vocab "$vocab" --tokens "$tokens" \
      --out "$folder" >/dev/null
  else
    refuse "wanted DATA=gs://… with the prepared $name: only tinypython is made here"
  fi
  print=$(sed -n 's/.*"fingerprint": "\(.*\)".*/\1/p' "$folder/meta.json")
  printf 'data %s %s\n' "$ME" "$print"
}

# A process of an earlier session may hold the TPU still; only it is ended, by its pid.
unlock() {
  local pid own found words
  own=$(running || true)
  found=$(for tpu in $DEVICES; do
    find /proc/[0-9]*/fd -lname "$tpu" 2>/dev/null || true
  done | cut -d / -f 3 | sort -u)
  for pid in $found; do
    if [ "$pid" = "$own" ]; then
      printf 'worker %s: %s is the unit, left\n' "$ME" "$pid"
      continue
    fi
    words=$(tr '\0' ' ' <"/proc/$pid/cmdline")
    printf 'worker %s: ending %s: %s\n' "$ME" "$pid" "$words"
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 50); do [ -z "$(ls "/proc/$pid/fd" 2>/dev/null)" ] || sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
  done
  [ -n "$own" ] || rm -f "${SPARSETX_TPU_LOCK:-/tmp/libtpu_lockfile}"
  [ -n "$found" ] || printf 'worker %s: nobody holds the TPU\n' "$ME"
}

FROM=''
[ "${1:-}" != --from ] || { FROM=$2; shift 2; }
verb=${1:-}
[ $# = 0 ] || shift
case $verb in
  start | data) [ $# -gt 0 ] || refuse "wanted words after $verb"; "$verb" "$@" ;;
  run) [ $# -gt 0 ] || refuse "wanted words after run"; work "$@" ;;
  log)
    mkdir -p "$UNIT" && touch "$UNIT/log"
    exec tail -n "${LINES:-50}" "$@" "$UNIT/log"
    ;;
  status | stop | unlock) "$verb" "$@" ;;
  *) refuse "wanted start, run, status, log, stop, data or unlock, got '$verb'" ;;
esac
