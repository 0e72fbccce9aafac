"""Known defects, each done to what arrives before one good night, and the checks that must notice it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.company import Company, Night, Row

SEED = 2
HISTORY = 30  # nights of the company before the one with the defect
NUMBER = HISTORY + 1

Change = Callable[[Night], None]


@dataclass(frozen=True)
class Defect:
    name: str
    change: Change
    noticed_by: tuple[str, ...]  # all of these; none: the files are refused before anything is read


DEFECTS: list[Defect] = []


def noticed_by(*checks: str) -> Callable[[Change], Change]:
    def keep(change: Change) -> Change:
        DEFECTS.append(Defect(change.__name__, change, checks))
        return change

    return keep


refused = noticed_by()


def _moved(rows: list[Row], by: timedelta) -> None:
    for row in rows:
        row["at"] = (datetime.fromisoformat(row["at"]) + by).isoformat()


def _charges(night: Night, plan: str) -> list[Row]:
    charges: list[Row] = night.catalog["plans"]["plans"][plan]["versions"][0]["charges"]
    return charges


def _subscription(night: Night, account: str) -> Row:
    return next(row for row in night.accounts["subscriptions"] if row["account_id"] == account)


# --- what came in ----------------------------------------------------------------------------------------------------


@noticed_by("sources_follow_their_weekday", "meters_follow_their_weekday")
def a_file_comes_twice_under_new_ids(night: Night) -> None:
    night.rows["gateway"] += [{**row, "id": f"copy-{row['id']}"} for row in night.rows["gateway"]]


@noticed_by("duplicates_stay_few")
def yesterdays_file_comes_again(night: Night) -> None:
    night.rows["gateway"] += Company(SEED).night(HISTORY).rows["gateway"]


@noticed_by("sources_deliver_every_night")
def a_day_is_lost(night: Night) -> None:
    night.lost |= {"gateway", "sandbox", "app"}


@noticed_by("sources_deliver_every_night")
def a_source_is_lost(night: Night) -> None:
    night.lost.add("sandbox")


@noticed_by("rows_can_be_read", "sources_follow_their_weekday")
def a_file_is_cut_off(night: Night) -> None:
    night.cut = 0.3


@noticed_by("sources_deliver_every_night")
def a_filter_matches_nothing(night: Night) -> None:
    night.catalog["sources"]["sources"]["gateway"]["where"] = {"type": "usage"}


@noticed_by("costs_keep_their_size", "no_period_multiplies_overnight")
def every_cost_is_a_hundredfold(night: Night) -> None:
    for row in night.rows["gateway"]:
        row["cost"] = str(float(row["cost"]) * 100)


@noticed_by("no_period_multiplies_overnight")
def one_customer_is_a_thousandfold(night: Night) -> None:
    for row in night.rows["gateway"]:
        if row["org"] == "jade":
            row["cost"] = str(float(row["cost"]) * 1000)


@noticed_by("bills_stay_within_reach_of_the_last")
def a_customers_bill_explodes(night: Night) -> None:
    for row in night.rows["gateway"]:
        if row["org"] == "acme":
            row["cost"] = str(float(row["cost"]) * 300)


@noticed_by("quantities_keep_their_size", "no_period_multiplies_overnight")
def megabytes_become_bytes(night: Night) -> None:
    for row in night.rows["sandbox"]:
        row["mb"] *= 1_048_576


@noticed_by("quantities_keep_their_size")
def seconds_become_milliseconds(night: Night) -> None:
    for row in night.rows["sandbox"]:
        row["seconds"] *= 1000


@noticed_by("negatives_stay_rare")
def negatives_storm(night: Night) -> None:
    for row in night.rows["gateway"][::2]:
        row["cost"] = f"-{row['cost']}".replace("--", "")


@noticed_by("negatives_stay_rare")
def the_sign_is_flipped(night: Night) -> None:
    for row in night.rows["sandbox"]:
        row["seconds"] = -row["seconds"]


@noticed_by("rows_held_stay_few")
def a_clock_runs_ahead(night: Night) -> None:
    _moved(night.rows["gateway"], timedelta(hours=9))


@noticed_by("usage_comes_on_time")
def a_clock_runs_behind(night: Night) -> None:
    _moved(night.rows["sandbox"], timedelta(hours=-6))


@noticed_by("usage_comes_on_time")
def a_source_writes_local_time(night: Night) -> None:
    _moved(night.rows["app"], timedelta(hours=-8))


@noticed_by("old_usage_stays_rare", "usage_comes_on_time")
def all_usage_is_late(night: Night) -> None:
    _moved(night.rows["gateway"], timedelta(days=-9))


@noticed_by("rows_held_stay_few", "meters_deliver_every_night")
def a_meter_is_renamed(night: Night) -> None:
    night.catalog["sources"]["sources"]["app"]["emits"][0]["meter"] = "jobs"


@noticed_by("rows_held_stay_few")
def a_field_is_renamed(night: Night) -> None:
    for row in night.rows["gateway"]:
        row["price"] = row.pop("cost")


@noticed_by("rows_held_stay_few")
def the_payer_is_null(night: Night) -> None:
    for row in night.rows["gateway"][::3]:
        row["org"] = None


@noticed_by("rows_held_stay_few")
def numbers_become_words(night: Night) -> None:
    for row in night.rows["app"][::4]:
        row["tasks"] = "many"


@noticed_by("rows_held_stay_few")
def instants_lose_their_zone(night: Night) -> None:
    for row in night.rows["sandbox"]:
        row["at"] = row["at"].removesuffix("+00:00")


@noticed_by("rows_held_stay_few")
def the_identity_is_the_subscription(night: Night) -> None:
    night.catalog["sources"]["sources"]["gateway"]["identity"] = ["org"]


@noticed_by("sources_and_meters_are_known")
def a_source_is_new(night: Night) -> None:
    night.catalog["sources"]["sources"]["beta"] = {
        **night.catalog["sources"]["sources"]["gateway"],
        "files": "beta/*.ndjson",
    }
    night.rows["beta"] = [{**row, "id": f"beta-{row['id']}"} for row in night.rows["gateway"][:40]]


@noticed_by("usage_is_charged_as_usual")
def members_are_lost(night: Night) -> None:
    night.accounts["memberships"] = night.accounts["memberships"][:1]


# --- what is sold, and to whom ---------------------------------------------------------------------------------------


@noticed_by("no_period_multiplies_overnight", "price_lists_hold")
def a_price_is_a_hundredfold(night: Night) -> None:
    for plan in ("pro", "team"):
        _charges(night, plan)[1]["price"] = "5e-4"


@noticed_by("no_period_multiplies_overnight", "price_lists_hold")
def a_divisor_is_lost(night: Night) -> None:
    del night.catalog["meters"]["meters"]["gb_seconds"]["divide_by"]


@noticed_by("usage_is_charged_as_usual", "price_lists_hold")
def a_charge_is_taken_out(night: Night) -> None:
    for plan in ("pro", "team", "euro", "yen"):
        del _charges(night, plan)[2]


@noticed_by("terms_hold_overnight")
def seats_are_a_hundredfold(night: Night) -> None:
    _subscription(night, "acme")["seats"] = 1200


@noticed_by("terms_hold_overnight", "price_lists_hold")
def the_allowance_is_a_hundredfold(night: Night) -> None:
    night.catalog["plans"]["plans"]["team"]["versions"][0]["included"] = 2000


@noticed_by("price_lists_hold")
def everything_is_given_back(night: Night) -> None:
    for plan in ("pro", "team"):
        night.catalog["plans"]["plans"][plan]["versions"][0]["overage"] = False


@noticed_by("terms_hold_overnight")
def a_baseline_appears(night: Night) -> None:
    night.accounts["baselines"] = [{"account_id": "bolt", "period_start": _start_of(night, "bolt"), "amount": "5000"}]


@noticed_by("accounts_keep_their_currency")
def a_currency_is_swapped(night: Night) -> None:
    for account in night.accounts["accounts"]:
        if account["account_id"] == "iris":
            account["currency"] = "USD"
    _subscription(night, "iris")["plan"] = "pro"


@noticed_by("subscriptions_stay")
def a_subscription_is_gone(night: Night) -> None:
    night.accounts["subscriptions"] = [row for row in night.accounts["subscriptions"] if row["account_id"] != "hive"]


@noticed_by("credit_stays_in_proportion")
def credit_storms(night: Night) -> None:
    night.accounts["credit_grants"] = [
        {"grant_id": f"g{index}", "account_id": row["account_id"], "amount_minor": 500_000, "currency": row["currency"],
         "granted_at": night.day.strftime("%Y-%m-%dT00:00:00Z"), "expires_at": "", "priority": 1}
        for index, row in enumerate(night.accounts["accounts"]) if row["entity_type"] == "organization"
    ]  # fmt: skip


@noticed_by("usage_comes_in_time_to_be_billed")
def billing_begins_tomorrow(night: Night) -> None:
    night.catalog["workspace"]["bill_from"] = (night.as_of + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")


@refused
def a_plan_is_removed(night: Night) -> None:
    del night.catalog["plans"]["plans"]["pro"]


@refused
def an_account_is_removed(night: Night) -> None:
    night.accounts["accounts"] = [row for row in night.accounts["accounts"] if row["account_id"] != "gale"]


def _next_month(at: datetime) -> datetime:
    return (at.replace(day=1) + timedelta(days=32)).replace(day=at.day)


def _start_of(night: Night, account: str) -> str:
    start = datetime.fromisoformat(_subscription(night, account)["anchor_at"])
    while (following := _next_month(start)) <= night.as_of:
        start = following
    return start.strftime("%Y-%m-%dT%H:%M:%SZ")
