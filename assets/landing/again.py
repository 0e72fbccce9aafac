"""Reading again what quarantine holds for something that may have been mended since (SPEC section 2).

Such rows go into the batch from their kept text by today's mapping, with the file, line and landed_at they came with.
One that today's mapping ignores becomes a row with emit_no -1, so that it leaves quarantine too.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from assets.core.catalogue.models import Source
from assets.core.reasons import RETRIED
from assets.landing.mapping import mapping
from assets.landing.readers import json_cells, kept_cells
from assets.landing.reckon import Formula, Weights
from assets.landing.sql import literal

_HELD = "tallyhouse_held"


def read_again(
    con: duckdb.DuckDBPyConnection, sources: Collection[Source], weights: Weights, formulas: list[Formula]
) -> int:
    """How many rows were read again. What a killed run had read again is dropped first: the mapping may be another."""
    if not con.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = 'books' AND table_name = 'quarantine'"
    ).fetchall():
        return 0  # the first night of a workspace
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {_HELD} AS
        SELECT held.source, held.raw_file, held.raw_line, files.landed_at, held.raw_text, held.row_json
        FROM books.quarantine AS held
        JOIN landing.files AS files USING (source, raw_file)
        WHERE held.reason IN {RETRIED}
    """)
    con.execute(f"""
        DELETE FROM landing.batch AS batch USING {_HELD} AS held
        WHERE batch.source = held.source AND batch.raw_file = held.raw_file AND batch.raw_line = held.raw_line
    """)
    held = dict(con.execute(f"SELECT source, count(*) FROM {_HELD} GROUP BY source").fetchall())
    for source in sources:
        if source.name not in held:
            continue  # a reading of nothing takes as long to plan as one of thousands of rows
        mapped = mapping(source, weights, len(formulas), keep_text=True)
        formulas.extend(mapped.formulas)
        rows = f"""
            again AS (
                SELECT raw_file, raw_line, landed_at, coalesce(row_json, raw_text) AS line, raw_text AS text,
                    CAST(NULL AS VARCHAR) AS trouble, true AS is_doubtful
                FROM {_HELD}
                WHERE source = {literal(source.name)}
            )"""
        cells = json_cells(mapped, "again") if source.format == "ndjson" else kept_cells(mapped, "again")
        con.execute(f"INSERT INTO landing.batch WITH {rows}, {cells}, {mapped.select}")
    con.execute(f"DROP TABLE {_HELD}")
    return sum(held[source.name] for source in sources if source.name in held)
