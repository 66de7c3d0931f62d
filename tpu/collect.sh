#!/usr/bin/env bash
# What to send back when something went wrong, in one file: states, the ends of the
# logs, what the workers have, the small files of the run. No weights, no tokens.
#   OUT=sparsetx-report.tar.gz   what is asked in vain is noted, and is no error
. "$(dirname "$0")/lib.sh"
settings
need RUN
need_bucket
out=${OUT:-sparsetx-report.tar.gz}
folder=FOLDER
if ! dry; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  trap 'exit 130' INT TERM
  mkdir "$folder/report"
fi

note() { # FILE COMMAND…: what it says, and its code where that is not 0
  local file=$folder/report/$1 code=0
  shift
  if dry; then "$@"; return; fi
  say "  $(basename "$file")"
  ("$@") >"$file" 2>&1 || code=$?
  [ "$code" = 0 ] || printf '\nended with %s\n' "$code" >>"$file"
}

asked() {
  printf '%s=%s\n' NAME "$NAME" ZONE "$ZONE" TPU_TYPE "${TPU_TYPE:-}" RUN "$RUN" \
    EXP "${EXP:-}" TIER "${TIER:-spot}" commit "$(git -C "$TPU" rev-parse HEAD || true)"
}

machine="uname -a; free -g; df -h .; ls -l /dev/accel* /dev/vfio; python3 -V; \
ls -l $REMOTE $REMOTE/unit $REMOTE/data; $REMOTE/venv/bin/python -m pip freeze"
note asked.txt asked
note gcloud.txt run gcloud version
note state.txt state
note units.txt units
note logs.txt worker log -n 400
note machine.txt on_workers "$machine"
note files.txt run gcloud storage ls --long "$RUN/**"
for name in config.json environment.json metrics.jsonl spent; do
  note "$name.copied" run gcloud storage cp "$RUN/$name" "$folder/report/$name"
done
dry || tar -cz -C "$folder" -f "$out" report
told "send $out back, and say what you saw. It names your bucket, zone and machine"
