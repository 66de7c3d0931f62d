"""Make a run from a released model (final_model.pt, beeg_config.json).

The run can be analysed and pruned like any other. It cannot be trained further, since
the released files hold no optimiser state. Needs torch: pip install 'sparsetx[torch]'.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder of a released model")
    parser.add_argument("run", metavar="RUN", help="the new run's folder")
    parser.add_argument(
        "--tokenizer",
        metavar="DIR",
        help="encoder.json and vocab.bpe, or a tokenizer.json (default: those in DIR)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.run import openai_import
    from sparsetx.system import files

    run = openai_import.from_openai(args.folder, files.place(args.run), args.tokenizer)
    print(f"{args.run}: {run.n_layer} layers of {run.d_model} channels, as step 0")
    return 0
