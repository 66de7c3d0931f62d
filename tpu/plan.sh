#!/usr/bin/env bash
# What would be asked for, and what it would cost. Asks nobody, makes nothing.
. "$(dirname "$0")/lib.sh"
need_type
export DRY_RUN=1 PROJECT=${PROJECT:-PROJECT} ZONE=${ZONE:-ZONE}
export RUN=${RUN:-gs://BUCKET/NAME}
settings
at() { of_type "$TPU_TYPE" "$1"; }

hour=$(usd_per_hour)
day=$(awk -v h="$hour" 'BEGIN { printf "%.0f", 24 * h }')
per=${PRICE:-$(at usd_per_chip_hour)}
origin="list price of $(at price_date), $(at price_region), on demand"
[ -z "${PRICE:-}" ] || origin="as you say"
cat <<END
machine    $NAME: $TPU_TYPE, $(at topology), $(at chips) chips on $(at hosts) host(s)
each chip  $(at hbm_gb) GB of HBM at $(at hbm_gbps) GB/s, $(at bf16_tflops) TFLOP/s \
in bfloat16, $(at ici_gbps) GB/s to its neighbours
image      ${RUNTIME:-$(at runtime)}
price      $hour USD an hour, $day USD a day ($per a chip and hour; $origin)
run        $RUN
END
"$TPU/create.sh"
