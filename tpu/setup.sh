#!/usr/bin/env bash
# The committed code to every worker, and its environment. Does nothing twice.
. "$(dirname "$0")/lib.sh"
settings
cd "$TPU/.."
committed

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'say "stopped; make tpu-setup again is safe"; exit 130' INT TERM
file=sparsetx-$commit.tar.gz
at=$REMOTE/commits/$commit
say "+ git archive $commit"
mkdir "$folder/code"
git archive "$commit" | tar -x -C "$folder/code"
printf '%s\n' "$commit" >"$folder/code/COMMIT"
tar -cz -C "$folder/code" -f "$folder/$file" .
(cd "$folder" && patiently gcloud compute tpus tpu-vm scp "$file" "$NAME:$file" \
  "${WHERE[@]}" --quiet "--worker=${WORKER:-all}")
# A unit that runs keeps the folder of its own commit.
on_workers "mkdir -p $at && tar -xzf $file -C $at && ln -sfn commits/$commit \
$REMOTE/code && bash $REMOTE/code/tpu/install.sh"
on_workers "rm -f $file"
told "every worker has $commit. Next: make tpu-train EXP=experiments/…"
