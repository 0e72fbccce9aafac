"""The command that runs a Stripe to practise against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestration.voice import Json, speaking


def practice(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens on this machine. 0: any.")] = 12111,
    state: Annotated[
        Path | None,
        typer.Option(dir_okay=False, metavar="FILE", help="Keep what arrives in this file. Default: forget it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a Stripe to practise against, on this machine only."""
    from assets.practice import PracticeStripe

    with speaking(as_json) as voice, PracticeStripe(port=port, state=state) as stripe:
        kept = f"what arrives is kept in {state}" if state else "what arrives is forgotten when it stops"
        voice.say("practice", f"a Stripe to practise against on {stripe.url}; {kept}", {"url": stripe.url})
        voice.say("look", f"{stripe.url} in a browser; TALLYHOUSE_STRIPE_API_BASE={stripe.url} sends there", {})
        stripe.wait()
