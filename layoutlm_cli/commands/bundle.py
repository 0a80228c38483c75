"""`bundle inspect` and `bundle diff`: the documents of a bundle, and the differences of two."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from receipt_layoutlm.coreml.inspection import BundleFacts, Difference
    from receipt_layoutlm.coreml.verify import Number


_EX_DIFFERENT = 1
_HASH_DIGITS = 12

app = typer.Typer(help="Look at CoreML bundles: a folder, a zip, or s3:// of either.", no_args_is_help=True)
Where = Annotated[str, typer.Argument(help="A bundle's folder or zip, local or s3://.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command("inspect")
def inspect(bundle: Where, as_json: AsJson = False) -> None:
    """Show what a bundle is, what its gates found, and whether its files are whole; exit code 1 if not."""
    from receipt_layoutlm.coreml.inspection import inspect_bundle  # noqa: PLC0415
    from receipt_layoutlm.coreml.open_bundle import open_bundle  # noqa: PLC0415

    with open_bundle(bundle, _storage()) as folder:
        facts = inspect_bundle(folder)
    if as_json:
        typer.echo(facts.model_dump_json(indent=2))
    else:
        _show_facts(bundle, facts)
    if facts.faults:
        raise typer.Exit(_EX_DIFFERENT)


@app.command("diff")
def diff(a: Where, b: Where, as_json: AsJson = False) -> None:
    """Show how two bundles differ; exit code 0 when all but model_identity.json is the same, else 1."""
    from layoutlm_cli.console import table  # noqa: PLC0415
    from receipt_layoutlm.coreml.inspection import compare_bundles  # noqa: PLC0415
    from receipt_layoutlm.coreml.open_bundle import open_bundle  # noqa: PLC0415

    storage = _storage()
    with ExitStack() as stack:
        one, other = (stack.enter_context(open_bundle(where, storage)) for where in (a, b))
        difference = compare_bundles(one, other)
    if as_json:
        typer.echo(difference.model_dump_json(indent=2))
    else:
        if difference.facts:
            table("What they say", ("what", "a", "b"), _rows(difference.facts))
        if difference.files:
            table("Files", ("file", "a", "b"), _rows(difference.files, _HASH_DIGITS))
        typer.echo(f"model: {'the same' if difference.same_model else 'different'}")
        if difference.logits is not None:
            typer.echo(
                f"golden cases: logits differ by {difference.logits:.3g}, "
                f"{difference.labels} words get other labels"
            )
        typer.echo(f"content: {'the same' if difference.same_content else 'different'}")
    if not difference.same_content:
        raise typer.Exit(_EX_DIFFERENT)


def show_gates(gates: Iterable[Any]) -> None:
    """Print what gates or checks found, one line each."""
    from layoutlm_cli.console import table  # noqa: PLC0415

    words = {True: "passed", False: "FAILED", None: "not run"}
    rows = [
        (
            gate.name,
            f"{words[gate.passed]}, warned" if gate.warned else words[gate.passed],
            "\n".join(_measured(number) for number in gate.numbers),
            gate.sentence,
        )
        for gate in gates
    ]
    table("Gates", ("gate", "result", "measured", "what it means"), rows)


def _measured(number: Number) -> str:
    limits = (("at most", number.at_most), ("at least", number.at_least))
    allowed = "".join(f" ({word} {limit:g})" for word, limit in limits if limit is not None)
    return f"{number.name} {number.value:g}{allowed}"


def _show_facts(where: str, facts: BundleFacts) -> None:
    from layoutlm_cli.console import size, table  # noqa: PLC0415

    rows: list[tuple[str, Any]] = []
    if facts.identity:
        rows += facts.identity.model_dump(mode="json").items()
    if manifest := facts.manifest:
        rows += [
            ("weights", f"{manifest.mode}{' (experimental)' if manifest.experimental else ''}"),
            ("target", f"iOS {manifest.target.ios}, macOS {manifest.target.macos}"),
            ("shapes", manifest.shapes),
            ("run on a Mac", "yes" if manifest.runtime_verified else "no"),
            ("made with", ", ".join(f"{name} {version}" for name, version in manifest.tools.items())),
            *(
                ("known issue", f"{issue.title} <{issue.url}> {issue.effect}")
                for issue in manifest.known_issues
            ),
        ]
    rows += [("fault", fault) for fault in facts.faults]
    table(where, ("what", "value"), rows)
    files = [(file.name, size(file.size), file.sha256[:_HASH_DIGITS]) for file in facts.files]
    table("Files", ("file", "size", "SHA-256"), files)
    if facts.verification:
        show_gates(facts.verification.gates)


def _rows(
    changes: Iterable[Difference], digits: int | None = None
) -> list[tuple[str, str | None, str | None]]:
    return [
        (change.what, change.a and change.a[:digits], change.b and change.b[:digits]) for change in changes
    ]


def _storage() -> Any:
    from run_records.s3_store import S3Store  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415

    return S3Store(Settings.from_environ().allowed_buckets)
