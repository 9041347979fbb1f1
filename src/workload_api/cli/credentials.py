"""``workload-api credential rotate-key``."""

from __future__ import annotations

import asyncio

import typer

from workload_api.credentials.rotation import Resealed, reseal_all, rotate_file
from workload_api.credentials.sealing import KEY_FILE, KeyRing
from workload_api.db.engine import Database
from workload_api.db.schema import check_schema
from workload_api.settings import Settings, load_settings

credential_app = typer.Typer(no_args_is_help=True)


@credential_app.callback()
def about() -> None:
    """Stored secrets."""


@credential_app.command("rotate-key")
def rotate_key() -> None:
    """Encrypt all stored secrets with a new key, also while servers run; if it is interrupted, give it again."""
    settings = load_settings()
    done = asyncio.run(_rotate(settings))
    typer.echo(f"{done.changed} stored secrets were encrypted anew.")
    if settings.encryption_key is None:
        typer.echo(f"The file {settings.data_dir / KEY_FILE} holds the new key alone; keep a copy with your backups.")
    elif (count := KeyRing.of(settings).size) > 1:
        typer.echo(
            f"Nothing needs the last {count - 1} of the {count} keys in WORKLOAD_API_ENCRYPTION_KEY any more; drop "
            "them once every server has been started with the present ones."
        )
    else:
        typer.echo(
            "WORKLOAD_API_ENCRYPTION_KEY holds one key. For another one, put it in front (new,old), start every server "
            "with both, and give this command again."
        )
    if done.unreadable:
        typer.echo(
            f"workload-api: {done.unreadable} stored secrets fit no key and were left as they are; store them anew, or "
            "give the command again with their key in WORKLOAD_API_ENCRYPTION_KEY",
            err=True,
        )
        raise typer.Exit(1)


async def _rotate(settings: Settings) -> Resealed:
    ring = KeyRing.of(settings)
    await check_schema(settings.sqlalchemy_url)
    database = Database(settings.sqlalchemy_url, 1)
    try:
        return await (reseal_all(database, ring) if ring.file is None else rotate_file(database, ring.file))
    finally:
        await database.close()
