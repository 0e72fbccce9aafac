"""The tables of the schema `landing`: what tonight's files hold, and which files have ever landed."""

from __future__ import annotations

import duckdb

from assets.warehouse import ensure

TABLES = {
    "landing.files": """
        raw_file VARCHAR, source VARCHAR, rows BIGINT, ignored BIGINT, bytes BIGINT, sha256 VARCHAR,
        mtime_ns BIGINT, ctime_ns BIGINT, landed_at TIMESTAMP, format VARCHAR, accepted BIGINT DEFAULT 0""",
    # Compressing names that differ from row to row takes a tenth of landing's time, for rows that stay a night; hashes
    # are as large after it.
    "landing.batch": """
        source VARCHAR, raw_file VARCHAR, raw_line BIGINT, emit_no INTEGER, meter VARCHAR,
        key_hi UHUGEINT USING COMPRESSION uncompressed, key_lo UHUGEINT USING COMPRESSION uncompressed,
        occurred_at TIMESTAMP,
        account VARCHAR USING COMPRESSION uncompressed, actor VARCHAR USING COMPRESSION uncompressed,
        quantity DECIMAL(38, 9), cost DECIMAL(38, 15), context VARCHAR, landed_at TIMESTAMP,
        reason VARCHAR, detail VARCHAR, raw_text VARCHAR, identity_hi UHUGEINT""",
}


def ensure_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are not there yet."""
    ensure(con, TABLES)


def clear_batch(con: duckdb.DuckDBPyConnection) -> None:
    """Empty the batch; part of the transaction that posts it. The links are dropped after that commits."""
    con.execute("DELETE FROM landing.batch")
