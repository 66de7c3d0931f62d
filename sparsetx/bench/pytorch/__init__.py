"""The opponent: the same work, as one would write it in PyTorch.

Nothing here imports jax, and all that runs is PyTorch's own: fused attention, fused
Adam, `topk` and `kthvalue`. It runs in a process of its own (`server.py`), which
`bench/opponent.py` starts and asks for one turn after another.
"""
