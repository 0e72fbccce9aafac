"""The month's lines by Polars' streaming engine over the raw files, as peers/by_hand.sql says them."""

from __future__ import annotations

from pathlib import Path

_PICO_PER_CENT = 10_000_000_000


def bill(files: dict[str, str], result: Path) -> None:
    import polars as pl

    subscriptions = pl.scan_csv(files["subscriptions"]).select("subscription_id", "account_id", "plan", "seats")
    plans, prices = pl.scan_csv(files["plans"]), pl.scan_csv(files["prices"], schema_overrides={"is_pooled": pl.String})
    columns: dict[str, pl.DataType | type[pl.DataType]] = dict.fromkeys(("id", "type", "ts", "org", "meter"), pl.String)
    columns["value"] = pl.Float64
    days = (
        pl.scan_ndjson(files["raw"], schema=columns)
        .filter(pl.col("type") == "usage")
        # Millionths of fewer than fifteen digits come through a float as they were.
        .with_columns(day=pl.col("ts").str.head(10), micro=(pl.col("value") * 1e6).round().cast(pl.Int64))
        .select("id", "org", "meter", "day", "micro")
        .unique("id", keep="any")
        .group_by("org", "meter", "day")
        .agg(pl.col("micro").sum())
    )
    priced = days.join(subscriptions, left_on="org", right_on="account_id").join(prices, on=["plan", "meter"])
    is_pooled = pl.col("is_pooled") == "True"
    overage = (
        priced.filter(is_pooled)
        .group_by("subscription_id", "plan", "seats", "day")
        .agg(pico=(pl.col("micro") * pl.col("unit_micro")).sum())
        .join(plans, on="plan")
        .with_columns(refresh=pl.min_horizontal("pico", pl.col("allowance_micro") * 1_000_000 * pl.col("seats")))
        .group_by("subscription_id")
        .agg(
            pico=pl.col("pico").sum()
            - pl.col("refresh").sum()
            - (pl.col("included_micro") * 1_000_000 * pl.col("seats")).first()
        )
        .select("subscription_id", pl.lit("overage").alias("charge"), "pico")
    )
    metered = (
        priced.filter(~is_pooled)
        .group_by("subscription_id", "plan", "meter", "unit_micro", "bound_micro", "beyond_micro", "flat_micro")
        .agg(pl.col("micro").sum())
        .select(
            "subscription_id",
            pl.concat_str(pl.lit("metered"), "plan", "meter", separator=":").alias("charge"),
            pico=pl.min_horizontal("micro", "bound_micro") * pl.col("unit_micro")
            + pl.when(pl.col("micro") > pl.col("bound_micro"))
            .then((pl.col("micro") - pl.col("bound_micro")) * pl.col("beyond_micro") + pl.col("flat_micro") * 1_000_000)
            .otherwise(0),
        )
    )
    owed = pl.concat([overage, metered]).filter(pl.col("pico") >= _PICO_PER_CENT // 2)
    cents = (pl.col("pico") + _PICO_PER_CENT // 2) // _PICO_PER_CENT
    owed.select("subscription_id", "charge", amount_minor=cents).collect(engine="streaming").write_csv(result)
