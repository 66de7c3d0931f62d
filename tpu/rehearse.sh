#!/usr/bin/env bash
# A run's life on many hosts, played by processes of this machine with the script that
# runs on workers: trained, told to stop, taken up by another number of processes,
# pruned, and read on one device. About three minutes on two cores.
#   NPROC=2 processes   DEV=4 devices in each   KEEP=folder: leave what it made there
. "$(dirname "$0")/lib.sh"
cd "$TPU/.."
NPROC=${NPROC:-2} DEV=${DEV:-4} STEPS=50
case $NPROC$DEV in *[!0-9]* | 0*) refuse "wanted NPROC and DEV in digits" ;; esac
[ "$NPROC" -ge 2 ] || refuse "NPROC=$NPROC: wanted 2 or more processes"
python=${SPARSETX_PYTHON:-$PWD/.venv/bin/python}
[ -x "$python" ] || refuse "no $python: make install first"

folder=${KEEP:-$(mktemp -d)}
mkdir -p "$folder"
run=$folder/run
tiny=(experiments/tiny.py data.tokens=200000 model.n_layer=1
  "train.batch=$((NPROC * DEV))" train.log_every=1 train.eval_every=1000
  train.eval_batches=1 train.keep_last=9
  optim.eps=0.1) # Adam takes no full steps on rounding noise
# Small programs that run for seconds, on a machine that may be slow.
export XLA_FLAGS="${XLA_FLAGS:-} --xla_backend_optimization_level=0"
export JAX_COMPILATION_CACHE_DIR=$folder/xla
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
export SPARSETX_HEARTBEAT=600 SPARSETX_PATIENCE=600

host() { # NUMBER COUNT WORDS…: to the worker script of a host
  SPARSETX_HOME=$folder/host$1 SPARSETX_NAME=host$1 SPARSETX_PYTHON=$python \
    SPARSETX_HOST=$1 SPARSETX_HOSTS=$2 SPARSETX_COORDINATOR=localhost:$port \
    SPARSETX_TPUS='' JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=$DEV \
    bash tpu/worker.sh "${@:3}"
}

hosts() { # COUNT WORDS…: to all of them
  local i
  for i in $(seq 0 $(($1 - 1))); do host "$i" "$@"; done
}

new_port() {
  port=$("$python" -c 'import socket
with socket.socket() as free:
    free.bind(("", 0))
    print(free.getsockname()[1])')
}

codes() { # COUNT: waits until all have ended
  local states
  while states=$(hosts "$1" status); do
    case $states in *" running "*) sleep 0.2 ;; *) break ;; esac
  done
  printf '%s\n' "$states" | awk '{ printf "%s%s", sep, $4; sep = " " }'
}

wanted() { # CODES GOT
  [ "$1" = "$2" ] && return
  tail -n 15 "$folder"/host*/unit/log >&2
  fail "wanted exit codes $1, got $2"
}

row() { # WHAT CODES FOUND, with the time since the last row
  printf '%-44s %4s s  %-8s %s\n' "$1" "$((SECONDS - began))" "$2" "$3"
  began=$SECONDS
}

cleanup() {
  for i in $(seq 0 $((NPROC - 1))); do
    [ ! -d "$folder/host$i" ] || host "$i" 1 stop 20 >/dev/null 2>&1 || true
  done
  [ -n "${KEEP:-}" ] || rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

began=$SECONDS
new_port
hosts "$NPROC" data "${tiny[@]}" >"$folder/prints"
print=$(awk '{ print $3 }' "$folder/prints" | sort -u)
[ "$(printf '%s\n' "$print" | wc -l)" = 1 ] || fail "other data on other hosts"
row "data, on each of $NPROC hosts" "" "fingerprint $print"

hosts "$NPROC" start train "${tiny[@]}" --run "$run" >/dev/null
rows() { grep -c '"loss"' "$run/metrics.jsonl" 2>/dev/null || true; }
until found=$(rows) && [ "${found:-0}" -ge 12 ]; do
  case $(host 0 "$NPROC" status) in
    *" running "*) sleep 0.5 ;;
    *) wanted "none yet" "$(codes "$NPROC")" ;;
  esac
done
row "train on $NPROC x $DEV devices" "" "12 steps and more"
host 1 "$NPROC" stop 600 >/dev/null
found=$(codes "$NPROC")
wanted "$(seq "$NPROC" | awk '{ printf "%s42", sep; sep = " " }')" "$found"
at=$(sed -n 's/^stopped at step \([0-9,]*\) of.*/\1/p' "$folder/host0/unit/log")
at=${at//,/}
[ -d "$run/checkpoints/$at" ] || fail "step $at is not in $run/checkpoints"
row "SIGTERM to host 1 of $NPROC" "$found" "all saved step $at"

cp -R "$run" "$folder/same"
more=("${tiny[@]}" --allow train.steps "train.steps=$((at + STEPS))"
  "train.save_every=$((at + 1))")
hosts 1 start train "${more[@]}" --run "$run" >/dev/null
found=$(codes 1)
wanted 0 "$found"
row "resumed on 1 x $DEV devices" "$found" "step $at to $((at + STEPS))"
new_port
hosts "$NPROC" start train "${more[@]}" --run "$folder/same" >/dev/null
found=$(codes "$NPROC")
wanted "$(seq "$NPROC" | awk '{ printf "%s0", sep; sep = " " }')" "$found"
row "the same on $NPROC x $DEV devices" "$found" "step $at to $((at + STEPS))"
code=0
export JAX_PLATFORMS=cpu
apart=$("$python" -m tests.tpu.rehearsal compare "$run" "$folder/same" "$at") || code=$?
row "1 and $NPROC processes differ by at most" "$code" \
  "${apart% *} after one step (1e-6 may be), ${apart#* } nats in $STEPS (1e-3)"
[ "$code" = 0 ] || fail "they do not train the same run"

hosts "$NPROC" start prune "$run" --tasks single_double_quote,for_while \
  --target 0.68 --rounds 2x20 --finalists 1 --pairs 8 --pools 32,16,32 \
  --honest 0 --no-effective >/dev/null
found=$(codes "$NPROC")
wanted "$(seq "$NPROC" | awk '{ printf "%s0", sep; sep = " " }')" "$found"
row "pruned by $NPROC processes, sharing two tasks" "$found" \
  "$(find "$run/circuits" -name circuit.json | wc -l) circuits"
seen=$(JAX_NUM_CPU_DEVICES=1 "$python" -m tests.tpu.rehearsal analyst "$run")
row "an analyst, on one device" 0 "$seen"
echo "all of it: $SECONDS s"
