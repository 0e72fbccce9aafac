"""The text of rows that were refused only after they had landed.

The batch keeps the text of rows that could not be read; keeping it for all would cost as much again as landing. So
when post holds a row for a later reason, its text is read again from the kept file.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from assets.core.refusal import Refusal
from assets.landing.edge import Reading
from assets.landing.links import kept_path, spool
from assets.landing.session import registered
from assets.landing.shapes import shapes


def raw_texts(con: duckdb.DuckDBPyConnection, workspace: Path, held: str, texts: str = "raw_texts") -> None:
    """Make the temporary table `texts` (source, raw_file, raw_line, raw_text, row_json) for the rows of the relation
    `held` (source, raw_file, raw_line): one row for each that landing still keeps the file of. row_json is the row's
    fields as a JSON object where the text alone could not be read again (CSV and Parquet), else NULL.

    May be called within a transaction. Rows of the batch that have a raw_text already need not be asked for.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {texts} (
            source VARCHAR, raw_file VARCHAR, raw_line BIGINT, raw_text VARCHAR, row_json VARCHAR
        )
    """)
    files = con.execute(f"""
        SELECT source, format, list(raw_file ORDER BY raw_file)
        FROM landing.files
        SEMI JOIN {held} USING (source, raw_file)
        GROUP BY ALL
        ORDER BY ALL
    """).fetchall()
    for source, file_format, raw_files in files:
        readings = [Reading(raw_file, _there(workspace, raw_file)) for raw_file in raw_files]
        with spool(workspace) as directory:
            for shape in shapes(file_format, readings, directory):
                with registered(con, shape.lines, shape.batches()) as lines:
                    con.execute(
                        f"""
                        INSERT INTO {texts}
                        SELECT $source, raw_file, raw_line, rtrim(raw_text, chr(13) || chr(10)), row_json
                        FROM ({shape.texts(lines)})
                        SEMI JOIN (SELECT raw_file, raw_line FROM {held} WHERE source = $source)
                            USING (raw_file, raw_line)
                        """,
                        {"source": source},
                    )


def _there(workspace: Path, raw_file: str) -> Path:
    path = kept_path(workspace, raw_file)
    if not path.exists():
        raise Refusal(f"raw/{raw_file} is needed for the text of rows held tonight, and gone: put it back, run again")
    return path
