"""Verbs that look closely: at data (`audit`, `datasets`), at methods (`benchmark`), at this machine (`doctor`)."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from tetramer.errors import UserError
from tetramer.terminal import Bar, say
from tetramer.verbs.options import Json, Smiles, Workers, overrides_of, starts_of

MOST_UNITS = 25  # characters of units in the list of data sets, which is 100 wide


def audit(
    data: Annotated[str, Argument(help="file with structures and, best, measured values, or a public data set")],
    target: Annotated[
        list[str] | None, Option(metavar="<str>", help="column to look at [default: all that can be]")
    ] = None,
    test: Annotated[str | None, Option(help="second file: what of it stands in DATA already?")] = None,
    smiles_column: Smiles = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Look for what makes numbers from a table misleading: duplicates, conflicts, leaks, contradictions."""
    import json

    from tetramer.datasets import audit as auditing
    from tetramer.datasets import sources
    from tetramer.datasets.findings import some
    from tetramer.molecules import Limits

    table = sources.named(data)
    with Bar() as bar:
        options = auditing.Options(limits=Limits(workers), progress=lambda done, rows: bar.rows(done))
        told = [auditing.audit(table, target, smiles_column, options)]
        if test is not None:
            told.append(auditing.overlap(table, sources.named(test), smiles_column, options))
    if as_json:
        print(json.dumps([one.to_json() for one in told]))
        return
    for one in told:
        different = some(one.molecules, one.what)
        print(f"{one.name}: {some(one.rows, 'row')}, {different}; targets: {', '.join(one.targets) or 'none'}")
        for finding in one.findings:
            more = f" and {finding.more:,} more" if finding.more else ""
            where = f" Rows {', '.join(map(str, finding.rows))}{more}." if finding.rows else ""
            print(f"  {finding.severity:<8} {finding.sentence}{where}")
        if not one.findings:
            print("  nothing found")


def datasets(
    words: Annotated[
        list[str] | None, Argument(metavar="[fetch] [NAME]", help="a data set, or fetch and a data set")
    ] = None,
    accept_unverified: Annotated[
        bool, Option("--accept-unverified", help="download even where nobody could check the public bytes")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the public data sets, tell all about one, or fetch the files of one."""
    import json

    from tetramer.datasets import sources
    from tetramer.errors import nearest

    named = [word for word in words or [] if word not in ("fetch", "list")]
    data = named[0] if named else None
    if len(named) > 1:
        hint = f" Is {named[0]!r} meant as fetch?" if nearest(named[0], ["fetch"]) else ""
        raise UserError(f"One data set at a time, please; got {', '.join(named)}.{hint}")
    if accept_unverified and "fetch" not in (words or []):
        raise UserError("--accept-unverified is of a download: tetramer datasets fetch NAME --accept-unverified.")
    if "fetch" in (words or []):
        if data is None:
            raise UserError(f"Name the data set to fetch: {', '.join(sources.SOURCES)}.")
        for path in sources.fetch(data, accept_unverified):
            print(path)
        return
    rows = [sources.describe(name) for name in ([data] if data else sources.SOURCES)]
    if as_json:
        print(json.dumps(rows))
    elif data:
        print("\n".join(f"{key:<10} {value}" for key, value in rows[0].items()))
    else:
        keys = ("name", "rows", "targets", "task", "state", "public bytes", "units")
        for name, count, targets, *rest in [keys, *([str(row[key]) for key in keys] for row in rows)]:
            units = rest[3] if len(rest[3]) <= MOST_UNITS else f"{rest[3][: MOST_UNITS - 2]} …"
            print(f"{name:<22} {count:>7} {targets:>7}  {rest[0]:<10} {rest[1]:<8} {rest[2]:<12}  {units}")
        print("tetramer datasets NAME tells licence, citation, known defects and labels; --json tells all of all.")


def benchmark(
    methods: Annotated[str, Option(help="what is compared, by commas, such as baseline,graph,auto")] = "",
    data: Annotated[
        str, Option(help="public data sets (`tetramer datasets`) or files, by commas; hiv:10000 draws rows")
    ] = "",
    splits: Annotated[
        str | None,
        Option(
            help="rules, by commas: B (class B, scaffolds shuffled), D, R, dem, kfold-5, kfold-5x3, or as --split "
            "[default: B, or column beside --split-column]"
        ),
    ] = None,
    repeats: Annotated[int, Option(help="splits of each rule, by seed")] = 10,
    seeds: Annotated[int, Option(help="training seeds where a rule has one split, as D")] = 1,
    fit_rows: Annotated[
        str,
        Option(
            help="the rows a method is given, by commas: train, train+valid, or so many of them as train+valid:1000"
        ),
    ] = "train+valid",
    against: Annotated[
        str | None, Option(help="the method that others are compared with [default: baseline or a free one]")
    ] = None,
    metric: Annotated[
        str | None, Option(help="what methods are compared by, such as mae or prc-auc [default: that of the data set]")
    ] = None,
    target: Annotated[
        list[str] | None, Option(metavar="<str>", help="column to predict of a file; may be given again")
    ] = None,
    smiles_column: Smiles = None,
    split_column: Annotated[
        str | None,
        Option(help="column that says train, valid or test, or what --splits group, time or stratified looks at"),
    ] = None,
    split_files: Annotated[
        Path | None, Option(help="folder of DATA.txt.gz whose splits are taken as they are, such as results/splits")
    ] = None,
    settings: Annotated[
        list[str] | None, Option("--set", metavar="<str>", help="a setting of the recipes, as in training.epochs=20")
    ] = None,
    starts: Annotated[
        list[str] | None,
        Option("--from", metavar="<str>", help="RECIPE=FOLDER: begin with weights of `tetramer pretrain`"),
    ] = None,
    chemprop: Annotated[str | None, Option(help="path of chemprop's command line, for the method chemprop")] = None,
    output: Annotated[Path, Option("--output", "-o", help="folder of the rows; what is there is not run again")] = Path(
        "tetramer-benchmark"
    ),
    report: Annotated[Path | None, Option(help="only draw the report of a folder of rows again")] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Compare methods on data sets and splits, with paired statistics and a report."""
    from tetramer.benchmark import comparing
    from tetramer.benchmark.protocol import Protocol
    from tetramer.benchmark.row import Settings
    from tetramer.benchmark.rules import chosen

    if report is not None:
        given: dict[str, object] = {
            "methods": methods,
            "data": data,
            "splits": splits,
            "target": target,
            "set": settings,
            "from": starts,
        }
        given |= {"split-column": split_column, "split-files": split_files, "chemprop": chemprop}
        idle = [f"--{name}" for name, value in given.items() if value]
        if idle:
            raise UserError(f"--report draws what lies in a folder and measures nothing. Leave out {', '.join(idle)}.")
        told = comparing.draw(report, against, metric=metric)
    else:
        sets = [data] if Path(data).is_file() else by_commas(data)  # commas may stand in the name of a file
        rules = chosen(None if splits is None else by_commas(splits), split_column)
        protocol = Protocol(by_commas(methods), sets, rules, repeats, by_commas(fit_rows), seeds)
        programs = (("chemprop", chemprop),) if chemprop else ()
        shared = Settings(
            str(output), tuple(target or ()), smiles_column, split_column,
            tuple(overrides_of(settings or []).items()), programs, workers, starts_of(starts or []),
            None if split_files is None else str(split_files),
        )  # fmt: skip
        with Bar() as bar:
            told = comparing.measure(protocol, shared, against, say, bar.show, metric)
    print(told.json if as_json else "\n".join(told.tables))
    for line in told.remarks:
        say(line)
    if told.failed or told.empty:
        raise typer.Exit(1)


def by_commas(text: str) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def study(
    name: Annotated[str, Argument(help="which one, such as combining-modalities")],
    size: Annotated[
        str,
        Option(help="small (shows the path), default, paper (as published); combining-modalities: brief, long"),
    ] = "default",
    target: Annotated[
        str | None, Option(help="the property, or usual for the twelve of QM9 [default: that of the study]")
    ] = None,
    splits: Annotated[str | None, Option(help="rules, by commas [default: those of the study]")] = None,
    methods: Annotated[str | None, Option(help="rows to measure, by commas [default: all]")] = None,
    seeds: Annotated[int | None, Option(help="seeds [default: as the size has it]")] = None,
    rows: Annotated[
        int | None, Option(min=1, help="rows to learn from, the test part as it is [default: all that are not tested]")
    ] = None,
    output: Annotated[
        Path | None, Option("--output", "-o", help="folder of the rows; what is there is not run again")
    ] = None,
    report: Annotated[bool, Option("--report", help="only draw the report of the rows that are there")] = False,
    workers: Workers = None,
) -> None:
    """Do a published study again: its table as published and with our recipes, and what its pictures claim."""
    from tetramer.errors import pick
    from tetramer.studies import STUDIES, Asked

    chosen = pick(STUDIES, name, "study")
    rules, wanted = (None if text is None else by_commas(text) for text in (splits, methods))
    folder = output or Path("tetramer-study") / f"{name}-{size}"
    asked = Asked(folder, size, target, rules, wanted, seeds, workers, rows, not report)
    with Bar() as bar:
        lines, failed = chosen.run(asked, say, bar.show)
    for line in [*lines, *(f"Not finished: {sentence}" for sentence in failed)]:
        say(line)
    if failed:
        raise typer.Exit(1)


def doctor(as_json: Json = False) -> None:
    """Say what this machine can do."""
    import json

    from tetramer.doctor import examine

    told = examine()
    print(json.dumps(told) if as_json else "\n".join(f"{name:<22} {value}" for name, value in told.items()))
