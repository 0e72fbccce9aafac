"""Currencies and amounts as Stripe takes them.

Written down here once more, from Stripe's own pages and not from `assets/core/numbers.py`: the other side of the wire
keeps its own table, so that a mistake in ours is refused in practice and not in earnest.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

from assets.practice.errors import invalid


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CURRENCIES = _words("""
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp cny
    cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk
    jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn
    nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std
    szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
""")
NO_MINOR_UNIT = _words("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
WHOLE_HUNDREDS = _words("isk ugx")
THREE_DECIMALS = _words("bhd jod kwd omr tnd")
# What can be charged at all; an invoice for less is marked paid, and the customer owes it next time.
LEAST_CHARGE = dict.fromkeys(_words("usd aud brl cad chf eur inr nzd sgd"), 50) | {
    "aed": 200,
    "bgn": 100,
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "thb": 1000,
}
_WIDE = Context(prec=60)


def check_currency(currency: str, param: str = "currency") -> str:
    if currency not in CURRENCIES:
        hint = "Currencies are written in lowercase. " if currency.lower() in CURRENCIES else ""
        raise invalid(f"Invalid currency: {currency}. {hint}See https://stripe.com/docs/currencies", param)
    return currency


def check_amount(amount: int, currency: str, most: int, param: str = "amount") -> int:
    """The amount, in steps that the currency has and not beyond `most` either way."""
    if abs(amount) > most:
        raise invalid(f"{param} must be no more than {most}; you passed {amount}", param, "amount_too_large")
    if currency in WHOLE_HUNDREDS and amount % 100:
        raise invalid(f"Invalid amount: {amount}. {currency} amounts must be multiples of 100.", param)
    if currency in THREE_DECIMALS and amount % 10:
        raise invalid(f"Invalid amount: {amount}. The last digit of {currency} amounts must be 0.", param)
    return amount


def times(unit_amount: Decimal, quantity: Decimal) -> int:
    return int(_WIDE.multiply(unit_amount, quantity).quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_WIDE))


def shown(minor: int, currency: str) -> str:
    """For people: 12.34 USD."""
    places = 0 if currency in NO_MINOR_UNIT else 3 if currency in THREE_DECIMALS else 2
    return f"{Decimal(minor).scaleb(-places, _WIDE):,.{places}f} {currency.upper()}".replace("-", "−")
