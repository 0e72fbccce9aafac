"""The command that publishes what is sold to Stripe."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.voice import Json, Workspace, speaking

catalog = typer.Typer(no_args_is_help=True, help="What is sold, at Stripe: meters, products and prices.")


@catalog.callback()
def _only_with_a_verb() -> None:
    pass


@catalog.command()
def sync(
    workspace: Workspace,
    apply: Annotated[bool, typer.Option("--apply", help="Make what is missing. Without it, only say so.")] = False,
    as_json: Json = False,
) -> None:
    """Publish meters and prices under versioned lookup keys; whatever is there already is never edited."""
    from assets.core.catalogue.loading import load
    from assets.push import catalogue as at_stripe
    from assets.push.client import Client
    from assets.push.pace import Pace

    with speaking(as_json) as voice:
        loaded = load(workspace.resolve())
        client = Client(loaded.settings.stripe_key, Pace(loaded.settings.stripe_rate))
        found = at_stripe.look(client, loaded)
        for it in found.unsaid:
            whose = f"{it.plan} from {it.version_from}, {it.meter} in {', '.join(it.currencies)}"
            facts = {"plan": it.plan, "version_from": it.version_from, "meter": it.meter, "currencies": it.currencies}
            voice.say("not expressible", f"{whose}: {it.because}", facts)

        def made(step: at_stripe.Step, id: str) -> None:
            voice.say("made", f"{step.kind} {step.name} ({id})", {"kind": step.kind, "name": step.name, "id": id})

        if apply:
            at_stripe.apply(client, found, made)
        else:
            for step in found.steps:
                facts = {"kind": step.kind, "name": step.name}
                voice.say("would make", f"{step.kind} {step.name}: {step.shown}", facts)
        counts = {"missing": len(found.steps), "in_place": found.in_place, "not_expressible": len(found.unsaid)}
        done = f"{len(found.steps)} {'made' if apply else 'to make'}, {found.in_place} in place already"
        hint = "; --apply makes them" if found.steps and not apply else ""
        voice.say("catalogue", f"{done}{hint}", {**counts, "is_applied": apply, "mode": loaded.settings.stripe_key})
