"""Leave this folder out where torch is not installed, as in `make test`."""

from importlib.util import find_spec

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)  # the tensors are tiny, and the cores are shared
    collect_ignore_glob = []
else:
    collect_ignore_glob = ["*.py"]
