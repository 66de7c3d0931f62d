#!/usr/bin/env bash
# Print tpu/jobset.yaml with its blanks filled in.   RESTARTS=20
#   DATA=gs://…: prepared tokens, for corpora other than tinypython
. "$(dirname "$0")/lib.sh"
need TPU_TYPE RUN EXP
[ -n "${IMAGE:-}" ] || refuse "IMAGE=… is not set: see \"On GKE\" in tpu/README.md"
need_type
need_bucket
case $RUN$EXP$IMAGE${DATA:-} in
  *[\"\\\|\&]*)
    refuse "no quotes, backslashes, bars or &s in RUN, EXP, IMAGE and DATA" ;;
esac
at() { of_type "$TPU_TYPE" "$1"; }
name=$(plain "$(basename "$RUN")")
commit=$(git -C "$TPU" describe --always --dirty --abbrev=40) || commit=unknown
sed -e "s|@NAME@|${NAME:-$LABEL-$name}|; s|@LABEL@|$name|" \
  -e "s|@RESTARTS@|${RESTARTS:-20}|; s|@COMMIT@|$commit|" \
  -e "s|@HOSTS@|$(at hosts)|; s|@CHIPS@|$(($(at chips) / $(at hosts)))|" \
  -e "s|@GKE@|$(at gke)|; s|@TOPOLOGY@|$(at topology)|; s|@IMAGE@|$IMAGE|" \
  -e "s|@EXP@|$EXP|; s|@RUN@|$RUN|; s|@DATA@|${DATA:-}|" \
  "$TPU/jobset.yaml"
