"""The table of TPU types agrees with itself."""

import csv
import math

import pytest

from tests.house import ROOT

TABLE = ROOT / "tpu" / "types.tsv"
IMAGES = {
    "v4": "tpu-ubuntu2204-base",
    "v5e": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}
PREFIX = {"v4": "v4", "v5e": "v5litepod", "v5p": "v5p", "v6e": "v6e"}
JAX = {"v4": "v4", "v5e": "v5e", "v5p": "v5", "v6e": "v6e"}
OF_A_CHIP = (
    "hbm_gb", "bf16_tflops", "hbm_gbps", "ici_gbps", "runtime", "gke",
    "usd_per_chip_hour", "price_region", "price_date",
)  # fmt: skip
SIZES = {
    "v4": {8, 16, 32},
    "v5litepod": {1, 4, 8, 16, 32, 64, 128, 256},
    "v5p": {8, 16, 32, 128, 512, 1024},
    "v6e": {1, 4, 8, 16, 32, 64, 128, 256},
}


def rows() -> list[dict[str, str]]:
    with open(TABLE, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", strict=True))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["type"])
def test_a_row_agrees_with_itself(row: dict[str, str]) -> None:
    assert None not in row
    assert all(value.strip() for value in row.values())
    shape = [int(n) for n in row["topology"].split("x")]
    generation, chips, hosts = row["generation"], int(row["chips"]), int(row["hosts"])
    assert chips == math.prod(shape)
    assert len(shape) == (3 if generation in ("v4", "v5p") else 2)  # of the torus
    assert shape == sorted(shape) or shape == [2, 2, 1]
    # A lone host has up to eight chips of the flat generations, else hosts have four.
    lone = chips if chips <= 8 and len(shape) == 2 else 4
    assert hosts == max(1, chips // lone)
    # Types of the cubic generations count TensorCores, of which a chip has two.
    number = chips * (2 if len(shape) == 3 else 1)
    assert row["type"] == f"{PREFIX[generation]}-{number}"
    assert row["runtime"] == IMAGES[generation]
    assert row["jax"] == f"{JAX[generation]}:{row['topology']}"


def test_a_generation_has_one_chip_and_one_price() -> None:
    for generation in IMAGES:
        same = [row for row in rows() if row["generation"] == generation]
        assert len({tuple(row[name] for name in OF_A_CHIP) for row in same}) == 1
    price = {row["generation"]: float(row["usd_per_chip_hour"]) for row in rows()}
    assert price["v5e"] < price["v6e"] < price["v5p"]
    assert all(0.1 < p < 20 for p in price.values())


def test_every_size_that_one_would_ask_for_is_there() -> None:
    names = [row["type"] for row in rows()]
    assert len(set(names)) == len(names)
    for prefix, sizes in SIZES.items():
        assert {f"{prefix}-{n}" for n in sizes} <= set(names)
