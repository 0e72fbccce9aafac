"""A Stripe to practise against, on this machine only: stateful, strict, and able to fail in every way that Stripe does.

It answers the real SDK in the SDK's API version, keeps customers, invoice items, invoices, meters and prices of both
modes, keeps idempotency keys as Stripe does, and can be told what shall go wrong, when. Nothing here was checked
against Stripe itself; what its documentation leaves open is said where it is decided.

    from assets.practice import Fault, PracticeStripe

    with PracticeStripe(now=1_790_000_000) as practice:  # or port=…, state=PATH, latency_ms=…, any of ask.Settings
        practice.add_customer("cus_acme", "Acme", live=False)
        client = stripe.StripeClient("sk_test_x", base_addresses={"api": practice.url})
        practice.faults.add(Fault("drop", method="POST", path="/v1/invoiceitems", after=2))  # the third call's answer
        ...
        practice.clock.advance(25 * 3600)  # the virtual clock: keys expire, drafts advance, late work happens
        practice.items("cus_acme")  # what there is: also invoices(), state()
        practice.calls  # what came: method, path, params, headers, key, status, faults, is_replayed, started, ended
        practice.settings.latency_ms = 50  # may change at any time

`now` makes the clock stand there; without it the clock runs with the machine's. `state=PATH` keeps everything but calls
and faults in a file that survives kill -9. Faults are listed in `faults.py`, settings in `ask.py`. The same is offered
to other processes under `/_practice/` (`control.py`), and `tallyhouse practice` starts one that stays.
"""

from assets.practice.ask import Settings
from assets.practice.calls import Call
from assets.practice.faults import Fault
from assets.practice.practice import PracticeStripe

__all__ = ["Call", "Fault", "PracticeStripe", "Settings"]
