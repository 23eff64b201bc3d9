"""`headway keys`: the virtual keys of the gateway."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.core.call import Class
from headway.core.limit import parse_duration
from headway.errors import InputError
from headway.gateway.keyfile import Proof, Stored, default_path, edit_keys, read_keys
from headway.gateway.keys import new_secret
from headway.gateway.period import parse_plan

keys = typer.Typer(
    help="Make, list, rotate and revoke the virtual keys of the gateway.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What the key is called; it shows in lists and logs.")
]
KeysFile = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FILE", help="The file of keys. Default: as set, or that of this user."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@keys.command("add")
def add(
    name: Name,
    tenant: Annotated[str | None, typer.Option(help="Who its calls belong to. Default: NAME.")] = None,
    class_: Annotated[Class, typer.Option("--class", help="How urgent its calls are.")] = Class.STANDARD,
    weight: Annotated[float, typer.Option(help="Its share beside other tenants of the class.")] = 1.0,
    models: Annotated[
        list[str] | None, typer.Option(help="Models it may ask, such as 'claude-opus-*'. May be repeated.")
    ] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="What its tenant may use, such as 20usd/day. May be repeated.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends, from now: 30d, 12h.")] = None,
    max_in_flight: Annotated[int | None, typer.Option(help="At most so many calls at a time.", min=1)] = None,
    file: KeysFile = None,
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is shown now, and never again.

    Examples:

        headway keys add search --class interactive --budget 20usd/day

        headway keys add nightly --tenant search --class bulk --models 'claude-haiku-*' --expires 30d
    """
    now = datetime.now(UTC).replace(microsecond=0)
    secret, digest = new_secret(name)
    key = _valid(
        Stored(
            name=name,
            tenant=name if tenant is None else tenant,
            class_=class_,
            weight=weight,
            models=tuple(models or ()),
            budgets=tuple(budget or ()),
            max_in_flight=max_in_flight,
            expires=None if expires is None else _from(now, expires, "--expires"),
            proofs=(Proof(sha256=digest, added=now),),
        )
    )
    path = file or default_path()
    with edit_keys(path) as stored:
        live = [each for each in stored if each.revoked is None and not _is_expired(each, now)]
        if any(each.name == name for each in live):
            raise InputError(
                f"there is a key called {name}",
                hint=f"A new secret for it: headway keys rotate {name}. An end to it: headway keys revoke {name}.",
            )
        _check_budgets(key, live)
        stored[:] = [*(each for each in stored if each.name != name), key]
    _show_secret(secret, key, path, as_json)


@keys.command("list")
def show(file: KeysFile = None, as_json: Json = False) -> None:
    """List the keys, those that were revoked too. Secrets are not shown: nobody has them."""
    path = file or default_path()
    stored = read_keys(path)
    now = datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps({"file": str(path), "keys": [_for_machines(each, now) for each in stored]}))
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("name", "tenant", "class", "weight", "models", "budgets", "in flight", "state"):
        table.add_column(column, overflow="fold")
    for each in stored:
        cells = (
            each.name,
            each.tenant,
            each.class_,
            f"{each.weight:g}",
            " ".join(each.models) or "all",
            ", ".join(each.budgets) or "-",
            "-" if each.max_in_flight is None else str(each.max_in_flight),
            _state(each, now),
        )
        table.add_row(*(Text(visible(cell)) for cell in cells), style="dim" if each.revoked else "")
    Console(highlight=False).print(table)


@keys.command("revoke")
def revoke(name: Name, file: KeysFile = None, as_json: Json = False) -> None:
    """End a key. The gateway takes it up when it reloads its keys (SIGHUP)."""
    now = datetime.now(UTC).replace(microsecond=0)
    path = file or default_path()
    with _changing(path, name) as (stored, place):
        stored[place] = msgspec.structs.replace(stored[place], revoked=now, proofs=())
        key = stored[place]
    if as_json:
        typer.echo(json.dumps({"file": str(path), **_for_machines(key, now)}))
    else:
        typer.echo(f"Revoked {name}.")


@keys.command("rotate")
def rotate(
    name: Name,
    overlap: Annotated[str, typer.Option(help="How long the old secret goes on: 1h, 7d, 0s.")] = "1h",
    file: KeysFile = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret, shown now and never again. The old one goes on for a while."""
    now = datetime.now(UTC).replace(microsecond=0)
    until = _from(now, overlap, "--overlap")
    secret, digest = new_secret(name)
    path = file or default_path()
    with _changing(path, name) as (stored, place):
        if _is_expired(stored[place], now):
            raise InputError(f"{name} has expired", hint=f"Make a new one: headway keys add {name}")
        old = [proof for proof in stored[place].proofs if proof.expires is None or proof.expires > now]
        if len(old) > 1 and until > now:
            raise InputError(
                f"two secrets of {name} are good until {max(each.expires for each in old if each.expires):%F %T} UTC",
                hint="Wait for that, or use --overlap 0s: then both end now.",
            )
        kept = [msgspec.structs.replace(proof, expires=until) for proof in old if until > now]
        proofs = (*kept, Proof(sha256=digest, added=now))
        stored[place] = key = msgspec.structs.replace(stored[place], proofs=proofs)
    _show_secret(secret, key, path, as_json)


@contextmanager
def _changing(path: Path, name: str) -> Iterator[tuple[list[Stored], int]]:
    """The keys, to be changed, and the place of the one called `name`. InputError if there is none that is not revoked."""
    if not path.exists():
        read_keys(path)  # says what to do
    with edit_keys(path) as stored:
        place = next((at for at, each in enumerate(stored) if each.name == name), None)
        if place is None:
            raise InputError(f"there is no key called {name}", hint="See: headway keys list")
        if stored[place].revoked is not None:
            raise InputError(f"{name} is revoked already", hint=f"Make a new one: headway keys add {name}")
        yield stored, place


def _valid(key: Stored) -> Stored:
    """What the file would refuse later is refused now."""
    try:
        msgspec.convert(msgspec.to_builtins(key), Stored)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].strip("`")
        what = {"name": "A name is 1 to 40 of a-z 0-9 . _ -, and begins with a letter or digit."}
        raise InputError(
            f"this cannot be the {field.replace('_', ' ')} of a key", hint=what.get(field, str(error))
        ) from None
    return key


def _check_budgets(key: Stored, others: Sequence[Stored]) -> None:
    """A budget is its tenant's: who writes another amount on another key may mean another tenant."""
    mine = [parse_plan(budget) for budget in key.budgets]
    for other in others:
        for written in other.budgets if other.tenant == key.tenant else ():
            theirs = parse_plan(written)
            if any(plan != theirs and plan.kind == theirs.kind for plan in mine):
                raise InputError(
                    f"tenant {key.tenant} has a budget of {written} by its key {other.name}",
                    hint="A budget is for all keys of a tenant. Leave it out here, or give this key a tenant of its own.",
                )


def _from(now: datetime, text: str, of: str) -> datetime:
    try:
        return now + timedelta(seconds=parse_duration(text, of=of))
    except OverflowError:
        raise InputError(f"{of}: {text!r} is too long") from None


def _show_secret(secret: str, key: Stored, path: Path, as_json: bool) -> None:
    if as_json:
        shown = _for_machines(key, datetime.now(UTC))
        typer.echo(json.dumps({"file": str(path), "key": secret, **shown}))
        return
    typer.echo(secret)
    sys.stderr.write(f"This is the only time that it is shown. Its hash is in {visible(str(path))}.\n")


def _for_machines(key: Stored, now: datetime) -> dict[str, Any]:
    return {
        "name": key.name,
        "tenant": key.tenant,
        "class": key.class_.value,
        "weight": key.weight,
        "models": list(key.models),
        "budgets": list(key.budgets),
        "max_in_flight": key.max_in_flight,
        "expires": key.expires and key.expires.isoformat(),
        "revoked": key.revoked and key.revoked.isoformat(),
        "secrets": [
            {"added": proof.added.isoformat(), "expires": proof.expires and proof.expires.isoformat()}
            for proof in key.proofs
        ],
        "state": _state(key, now),
    }


def _is_expired(key: Stored, now: datetime) -> bool:
    return key.expires is not None and key.expires <= now


def _state(key: Stored, now: datetime) -> str:
    """In UTC."""
    if key.revoked is not None:
        return f"revoked {key.revoked.astimezone(UTC):%F %T}"
    if key.expires is not None:
        return f"{'expired' if _is_expired(key, now) else 'until'} {key.expires.astimezone(UTC):%F %T}"
    return "good"
