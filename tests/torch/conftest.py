"""Leave this folder out where torch is not installed, as in `make test`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["*.py"]
