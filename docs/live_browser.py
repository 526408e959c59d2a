"""The paragraph browser as a live notebook: `make notebook` opens it; it only reads, also while a run is writing."""

import marimo

app = marimo.App(width="medium", app_title="rarecall: paragraphs, live")


@app.cell
def _():
    import marimo as mo

    from assets.report import live
    from assets.report.headline import headline
    from warehouse.home import Home

    home = Home.locate()
    names = live.measured_checkpoints(home)
    return headline, home, live, mo, names


@app.cell
def _(mo, names):
    checkpoint = mo.ui.dropdown(names, value=names[-1], label="Checkpoint")
    search = mo.ui.text(label="Text or id contains", debounce=True)
    only = mo.ui.switch(value=True, label="only with triggers measured")
    mo.hstack([checkpoint, search, only], justify="start", wrap=True)
    return checkpoint, only, search


@app.cell
def _(checkpoint, headline, home, mo):
    said = headline(home, checkpoint.value)
    mo.plain_text("\n".join(said.lines()) if said else f"{checkpoint.value} has not been scored.")
    return


@app.cell
def _(checkpoint, home, live, mo, only, search):
    rows = live.scored_paragraphs(home, checkpoint.value)
    shown = live.matching_rows(rows, search.value, only.value)
    table = mo.ui.table(shown, selection="single", initial_selection=[0] if shown else [], page_size=8)
    table
    return shown, table


@app.cell
def _(live, mo):
    colour = mo.ui.dropdown(list(live.QUANTITIES), value="EM drop [tokens]", label="Colour by")
    colour
    return (colour,)


@app.cell
def _(checkpoint, colour, home, live, mo, table):
    mo.stop(not table.value, mo.plain_text("Choose a paragraph."))
    chosen = table.value[0]
    tokens = live.tokens(home, checkpoint.value, chosen["paragraph_id"])
    strip = live.strip(tokens, live.QUANTITIES[colour.value])
    strongest = live.strongest(tokens)
    mo.vstack([mo.Html(strip), mo.Html(live.strongest_table(strongest))])
    return chosen, strip, strongest, tokens


if __name__ == "__main__":
    app.run()
