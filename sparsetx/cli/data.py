"""Prepare tokens to train on: `sparsetx data prepare NAME`.

NAME is tinypython (programs from a seeded grammar), stdlib (this interpreter's own
library), files (yours, with --files) or a dataset that TFDS knows. The result is a
folder: tokens, their tokenizer, and meta.json, which says where they come from.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsetx.data.token_files import Prepared

SAMPLE = 80  # tokens


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser(
        "prepare",
        help="read a corpus, train a tokenizer, write tokens",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add.add_argument(
        "name", metavar="NAME", help="tinypython, stdlib, files, or TFDS's"
    )
    add.add_argument(
        "--out",
        metavar="DIR",
        help="folder (default: NAME-VOCAB in $SPARSETX_DATA, or in data/)",
    )
    add.add_argument(
        "--tokens",
        type=int,
        metavar="N",
        help="tokens of the train split (default: 10,000,000 of tinypython, else all)",
    )
    add.add_argument(
        "--vocab",
        type=int,
        default=2048,
        metavar="V",
        help="tokens of the vocabulary, 512 to 65536 (default: 2048)",
    )
    _of_the_source(add)


def _of_the_source(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "--files",
        action="append",
        default=[],
        metavar="GLOB",
        help="for `files`: .py, .txt, .jsonl or .jsonl.gz; may be given again",
    )
    add.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of tinypython: another seed, other programs (default: 0)",
    )
    add.add_argument(
        "--field",
        default="text",
        metavar="KEY",
        help="where .jsonl lines or TFDS examples hold their text (default: text)",
    )
    add.add_argument(
        "--packages",
        action="store_true",
        help="with stdlib: installed packages too (default: no)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.data.prepare import Request, prepare

    request = Request(
        name=args.name,
        vocab=args.vocab,
        tokens=args.tokens,
        out=args.out,
        globs=tuple(args.files),
        field=args.field,
        packages=args.packages,
        seed=args.seed,
    )
    line = ProgressLine()
    try:
        found = prepare(request, line)
    finally:
        line.close()
    print(summary(found))
    return 0


def summary(found: "Prepared") -> str:
    """What was prepared, for a person: figures and the beginning of a document."""
    import numpy as np

    from sparsetx.data.tokenizer import Tokenizer

    lines = [f"{found.path}: {found.meta['provenance']['origin']}"]
    for name, split in found.meta["splits"].items():
        lines.append(
            f"  {name:<11} {split['documents']:>11,} documents "
            f"{split['tokens']:>14,} tokens  "
            f"{split['bytes'] / split['tokens']:.2f} bytes per token"
        )
    tokenizer = Tokenizer.load(found.tokenizer_path)
    train = found.split("train")
    start = train.windows(np.array([0]), min(SAMPLE, len(train)))[0]
    shown = tokenizer.decode(start[1:]).replace("\n", "\n  | ")
    lines += [
        f"  licence     {found.meta['provenance']['licence']}",
        f"  vocabulary  {found.vocab_size:,} tokens ({tokenizer.fingerprint})",
        f"  fingerprint {found.fingerprint}",
        f"  a sample\n  | {shown} …",
    ]
    return "\n".join(lines)
