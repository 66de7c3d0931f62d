# shellcheck shell=bash
# What the scripts of this folder share: settings, and the one way to run a command.
# Kept to what bash 3.2 knows, which is what a Mac has.
set -euo pipefail

TPU=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LABEL=sparsetx        # every machine that these scripts ask for carries it
REMOTE=.sparsetx      # in the home folder of a worker
export TPU LABEL REMOTE

say() { printf '%s\n' "$*" >&2; }
refuse() { say "tpu/$(basename "$0"): $*"; exit 2; } # bad input: nothing was done
fail() { say "tpu/$(basename "$0"): $*"; exit 1; }
dry() { [ -n "${DRY_RUN:-}" ] && [ "$DRY_RUN" != 0 ]; }
now() { date +%s; }
told() { if dry; then say "dry run: nothing was sent or made"; else say "$*"; fi; }

# Words as one would type them: quoted where they must be.
quoted() {
  local word out='' q="'\\''"
  for word; do
    case $word in
      '' | *[!A-Za-z0-9_./:=,@%+-]*) word="'${word//\'/$q}'" ;;
    esac
    out="$out${out:+ }$word"
  done
  printf '%s' "$out"
}

# Every command that changes or asks anything outside goes through here.
run() {
  say "+ $(quoted "$@")"
  dry || "$@"
}

# The same, again where the line failed. 2 is a refusal: asking again won't change it.
patiently() {
  local code try wait=${RETRY_WAIT:-10}
  for try in 1 2 3; do
    code=0
    run "$@" || code=$?
    case $code in 0 | 2 | 130) return "$code" ;; esac
    [ "$try" = 3 ] || { say "  failed ($code), again in $wait s"; sleep "$wait"; }
    wait=$((wait * 2))
  done
  return "$code"
}

# Refuse what is no whole number, of these that are set.
numbers() {
  local name
  for name; do
    case ${!name:-0} in
      *[!0-9]*) refuse "$name: wanted a whole number, got '${!name}'" ;;
    esac
  done
}

# The commit that workers shall run: COMMIT, or what is checked out, without changes.
committed() {
  git -C "$TPU/.." rev-parse HEAD >/dev/null 2>&1 || refuse "wanted a git checkout here"
  commit=${COMMIT:-$(git -C "$TPU/.." rev-parse HEAD)}
  [ -z "${COMMIT:-}" ] || return 0
  [ -n "$(git -C "$TPU/.." status --porcelain)" ] || return 0
  local changed="the tree has changes that $commit has not: commit them, since a run \
records its commit"
  if dry; then say "would be refused: $changed"; else refuse "$changed"; fi
}

# Refuse unless all of these are set, naming every one that is not.
need() {
  local name hint missing=''
  for name; do
    [ -z "${!name:-}" ] || continue
    case $name in
      PROJECT) hint='your Google Cloud project (gcloud config get project)' ;;
      ZONE) hint='where the TPU is, such as us-central1-a' ;;
      TPU_TYPE) hint='one of tpu/types.tsv, such as v5litepod-16' ;;
      RUN) hint='where the run lives, such as gs://BUCKET/first' ;;
      EXP) hint='what to train, such as experiments/paper_4x.py' ;;
      *) hint='see tpu/README.md' ;;
    esac
    missing="$missing
  $name=…  $hint"
  done
  [ -z "$missing" ] || refuse "these are not set:$missing"
}

need_gcloud() {
  dry || command -v gcloud >/dev/null || refuse "gcloud is not on PATH. Install the \
Google Cloud CLI, then: gcloud auth login. (DRY_RUN=1 only prints, and needs none.)"
}

# A run that outlives its machines is on a bucket; so hosts share it, too.
need_bucket() {
  case $RUN in
    gs://?*/?*) ;;
    *) refuse "RUN=$RUN would be lost with the machine: wanted gs://BUCKET/NAME" ;;
  esac
}

# A column of types.tsv for a type; nothing where there is no such type.
of_type() {
  awk -F '\t' -v type="$1" -v name="$2" \
    'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
     NR > 1 && $1 == type { print $at[name] }' "$TPU/types.tsv"
}

need_type() {
  need TPU_TYPE
  [ -n "$(of_type "$TPU_TYPE" chips)" ] || refuse "TPU_TYPE=$TPU_TYPE is not in \
tpu/types.tsv: wanted one of $(cut -f 1 "$TPU/types.tsv" | tail -n +2 | xargs)"
}

usd_per_hour() { # of the whole machine; PRICE= is yours, per chip and hour
  local price=${PRICE:-$(of_type "$TPU_TYPE" usd_per_chip_hour)}
  awk -v p="$price" -v n="$(of_type "$TPU_TYPE" chips)" 'BEGIN { printf "%.2f", p * n }'
}

# Letters, digits and dashes, as Google wants the names of machines.
plain() {
  printf '%s' "$1" | tr '[:upper:]' '[:lower:]' | tr -cs '[:lower:][:digit:]' '-' |
    cut -c 1-40 | sed 's/^-*//; s/-*$//'
}

# What every script that talks to one machine needs. The machine is named after its run.
settings() {
  if [ -n "${NAME:-}" ]; then need PROJECT ZONE; else need PROJECT ZONE RUN; fi
  NAME=${NAME:-$LABEL-$(plain "$(basename "${RUN:-}")")}
  WHERE=("--project=$PROJECT" "--zone=$ZONE")
  need_gcloud
}

# A command on every worker (or on WORKER), tried again where ssh fails: all that is
# sent can be done twice.
on_workers() {
  patiently gcloud compute tpus tpu-vm ssh "$NAME" "${WHERE[@]}" --quiet \
    "--worker=${WORKER:-all}" "--command=$1"
}

# The worker script of the code that was pushed last.
worker() { on_workers "bash $REMOTE/code/tpu/worker.sh $(quoted "$@")"; }

# The state of the unit on each worker, also of one that has no code yet.
units() {
  on_workers "if [ -e $REMOTE/code ]; then bash $REMOTE/code/tpu/worker.sh status; \
else echo unit \$(hostname) idle - '|' no code here; fi"
}

# Requests of ours and their machines: NAME,STATE,CREATED,LABEL,TYPE
requests() {
  local node='tpu.nodeSpec[0].node'
  patiently gcloud compute tpus queued-resources list "${WHERE[@]}" \
    "--format=csv[no-heading](name.basename(),state.state,createTime,\
$node.labels.$LABEL,$node.acceleratorType.basename())"
}

machines() { # NAME,STATE
  patiently gcloud compute tpus tpu-vm list "${WHERE[@]}" \
    '--format=csv[no-heading](name.basename(),state)'
}

# Seconds since 1970 of a time such as 2026-01-31T12:00:00Z, for awk.
# shellcheck disable=SC2034
EPOCH='function epoch(t,  y, m, d) {
  y = substr(t, 1, 4); m = substr(t, 6, 2) + 0; d = substr(t, 9, 2)
  if (m < 3) { y--; m += 12 }
  d += 365 * y + int(y / 4) - int(y / 100) + int(y / 400)
  d += int((153 * m - 457) / 5) - 719469
  return 60 * (60 * (24 * d + substr(t, 12, 2)) + substr(t, 15, 2)) + substr(t, 18, 2)
}'

field() { awk -F , -v name="$1" -v at="$2" '$1 == name { print $at }'; }

# One word: ABSENT, the state of the request, or, once that is ACTIVE, of its machine.
# A dry run has asked nobody, and takes it to be READY.
state() {
  local all found
  all=$(requests) || return
  found=$(printf '%s\n' "$all" | field "$NAME" 2)
  if dry; then machines && printf 'READY\n' && return; fi
  if [ "$found" = ACTIVE ]; then
    all=$(machines) || return
    found=$(printf '%s\n' "$all" | field "$NAME" 2)
    found=${found:-GONE}
  fi
  printf '%s\n' "${found:-ABSENT}"
}

delete_it() {
  run gcloud compute tpus queued-resources delete "$NAME" "${WHERE[@]}" --force --quiet
}
