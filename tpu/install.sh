#!/usr/bin/env bash
# On a worker: an environment for the code beside this file, in $SPARSETX_HOME/venv. It
# is made once, and again when what it is made of changes.
#
# TPU images ship Python 3.10. A newer one comes without root through uv: it is a wheel
# on the package index that pip reaches anyway, and checks the builds that it fetches.
# (UV_PYTHON_INSTALL_MIRROR and PIP_INDEX_URL serve workers that see no internet.)
set -euo pipefail

CODE=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SPARSETX_HOME=${SPARSETX_HOME:-$HOME/.sparsetx}
VENV=$SPARSETX_HOME/venv
WANTED=${WANTED_PYTHON:-3.11.14} # what is fetched where there is none
EXTRAS=${EXTRAS-tpu,gcs}

fits() { # 3.11 or newer, and able to make an environment
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
    >/dev/null 2>&1
}

fetched() {
  local uv=$SPARSETX_HOME/uv
  echo "no Python 3.11 here ($(python3 -V 2>&1)): fetching $WANTED" >&2
  export UV_PYTHON_INSTALL_DIR=$SPARSETX_HOME/python UV_NO_PROGRESS=1 UV_NO_CONFIG=1
  [ -x "$uv/bin/uv" ] || python3 -m pip install --quiet --disable-pip-version-check \
    --target "$uv" "$(grep '^uv==' "$CODE/constraints.txt")" >&2 || return
  "$uv/bin/uv" python install --no-bin "$WANTED" >&2 || {
    echo "no Python could be fetched: set UV_PYTHON_INSTALL_MIRROR, or SPARSETX_PYTHON \
to one of 3.11 or newer" >&2
    return 1
  }
  "$uv/bin/uv" python find --managed-python --no-project "$WANTED"
}

python_here() {
  local name
  for name in ${SPARSETX_PYTHON:-python3.11 python3.12 python3}; do
    if fits "$name"; then command -v "$name"; return; fi
  done
  [ -z "${SPARSETX_PYTHON:-}" ] || { echo "SPARSETX_PYTHON=$SPARSETX_PYTHON is not \
Python 3.11 or newer with venv" >&2; return 2; }
  fetched
}

stamp() {
  (cd "$CODE" && cat setup.cfg pyproject.toml constraints.txt COMMIT 2>/dev/null
    echo "$EXTRAS") | sha256sum | cut -c 1-16
}

mkdir -p "$SPARSETX_HOME"
exec 9>"$SPARSETX_HOME/install.lock"
flock 9 # two at once would build one environment
wanted=$(stamp)
if [ "$(cat "$VENV/stamp" 2>/dev/null)" = "$wanted" ] && fits "$VENV/bin/python"; then
  echo "$(hostname): nothing to do ($wanted)"
  exit 0
fi
rm -f "$VENV/stamp"
if ! fits "$VENV/bin/python"; then
  python=$(python_here) || exit
  "$python" -m venv --clear "$VENV"
fi
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint "$CODE/constraints.txt" "$CODE${EXTRAS:+[$EXTRAS]}"
echo "$wanted" >"$VENV/stamp"
echo "$(hostname): $("$VENV/bin/python" -V) ready ($wanted)"
