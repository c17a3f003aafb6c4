"""The command line: which verbs there are, and how each kind of end is told.

Nothing heavy is imported here before a verb needs it, so that `tetramer --help` answers at once.
"""

import errno
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer
from typer import Option

from tetramer import __version__
from tetramer.errors import Stopped, UserError
from tetramer.terminal import say
from tetramer.verbs.answering import embed, predict
from tetramer.verbs.learning import demo, pretrain, train
from tetramer.verbs.making import generate
from tetramer.verbs.measuring import audit, benchmark, datasets, doctor, study
from tetramer.verbs.ranking import rank_products
from tetramer.verbs.shaping import conformers, motifs

ALIASES = {"--target-columns": "--target", "--smiles-columns": "--smiles-column", "--output-dir": "--output"}
"""chemprop's names of our flags; help does not list them, so that it is narrow enough to read."""
ALIASES |= dict.fromkeys(("/dev/stdin", "/dev/stdout"), "-")
ELSEWHERE = {
    **dict.fromkeys(("-i", "--data-path"), "name the file without a flag, as in `tetramer train FILE --target COLUMN`"),
    **dict.fromkeys(("--test-path", "--model-path", "--model-paths"), "`tetramer predict MODEL FILE`"),
    **dict.fromkeys(("--preds-path", "--save-dir"), "--output"),
    **dict.fromkeys(("--task-type", "--dataset-type"), "--task, with regression, binary or multiclass"),
    "--split-type": "--split",
    "--num-workers": "--workers",
    "--epochs": "--set training.epochs=N",
    "--batch-size": "--set training.batch=N",
    "--metrics": "nothing, since every metric of the task is reported",
}
"""Flags of chemprop that need a word, and what stands for them."""
STOPPED = "Stopped. If a part was finished it is kept, and the same command goes on from there."

VERBS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "pretrain": pretrain,
    "predict": predict,
    "embed": embed,
    "conformers": conformers,
    "motifs": motifs,
    "generate": generate,
    "rank-products": rank_products,
    "audit": audit,
    "datasets": datasets,
    "benchmark": benchmark,
    "study": study,
    "doctor": doctor,
}


def version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(__version__)
        raise typer.Exit


def top(
    show: Annotated[bool, Option("--version", callback=version, is_eager=True, help="print the version")] = False,
) -> None:
    """Four views of a molecule, one representation: train, predict and embed."""


def main(argv: list[str] | None = None) -> None:
    """Run one verb. Exit codes: 0 done, 1 failed, 2 wrong input, 74 disk, 128 + n stopped by signal n."""
    app = typer.Typer(name="tetramer", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    app.callback()(top)
    for name, verb in VERBS.items():
        app.command(name)(verb)
    before = signal.signal(signal.SIGTERM, end)
    words = [word.partition("=") for word in (sys.argv[1:] if argv is None else argv)]
    try:
        for word, *_ in words:
            if word in ELSEWHERE:
                raise UserError(f"{word} is a flag of chemprop. Here: {ELSEWHERE[word]}.")
        app(["".join(ALIASES.get(part, part) for part in parts) for parts in words])
    except UserError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        say(f"error: {error}")
        sys.exit(74 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES) else 1)
    except Stopped as stopped:
        say(STOPPED)
        sys.exit(128 + stopped.signal)
    except SystemExit as ended:  # typer turns a Ctrl-C into 130
        if ended.code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            say(STOPPED)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def end(number: int, _frame: FrameType | None) -> None:
    """SIGTERM, as Ctrl-C: leave every block in order, so that temporary files go and no worker stays."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
