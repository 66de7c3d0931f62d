#!/usr/bin/env bash
# Print tpu/jobset.yaml with its blanks filled in.   RESTARTS=20
. "$(dirname "$0")/lib.sh"
need TPU_TYPE RUN EXP
[ -n "${IMAGE:-}" ] || refuse "IMAGE=… is not set: see \"On GKE\" in tpu/README.md"
need_type
need_bucket
case $RUN$EXP$IMAGE in *[\"\\\|\&]*) refuse "no quotes, backslashes, bars or &s in RUN, EXP and IMAGE" ;; esac
at() { of_type "$TPU_TYPE" "$1"; }
name=$(plain "$(basename "$RUN")")
sed -e "s|@NAME@|${NAME:-$LABEL-$name}|; s|@LABEL@|$name|; s|@RESTARTS@|${RESTARTS:-20}|" \
  -e "s|@HOSTS@|$(at hosts)|; s|@CHIPS@|$(($(at chips) / $(at hosts)))|" \
  -e "s|@GKE@|$(at gke)|; s|@TOPOLOGY@|$(at topology)|; s|@IMAGE@|$IMAGE|" \
  -e "s|@EXP@|$EXP|; s|@RUN@|$RUN|" \
  -e "s|@COMMIT@|$(git -C "$TPU" describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)|" \
  "$TPU/jobset.yaml"
