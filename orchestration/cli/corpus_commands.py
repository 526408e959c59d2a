"""`rarecall corpus`: what has been read."""

from __future__ import annotations

import typer

from warehouse.home import Home

app = typer.Typer(help="Corpora.", no_args_is_help=True)


@app.command("list")
def show() -> None:
    """Show the corpora that were read: tokens, documents, fingerprint."""
    import polars as pl

    from assets.errors import RequestError
    from orchestration.cli.answers import write_answer
    from warehouse.parts import TableStore

    store = TableStore.of(Home.locate(), "corpora")
    names = store.partitions()
    if not names:
        raise RequestError("no corpus has been read yet; run `rarecall run` first.")
    columns = ["corpus_id", "document_count", "token_count", "fingerprint", "source"]
    write_answer(pl.concat([store.read(name, columns) for name in names]), "table", None)


@app.callback()
def _group() -> None:
    """Keep `list` a subcommand although it is the only one."""
