"""The commands."""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from workload_api.cli.credentials import credential_app
from workload_api.cli.identity import group_app, token_app, user_app
from workload_api.db.schema import SchemaError, migrate
from workload_api.domain.errors import DomainError
from workload_api.settings import SettingsError, load_settings

app = typer.Typer(
    help="An open, self-hosted implementation of the Workload API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(user_app, name="user", help="Users and their organizations.")
app.add_typer(group_app, name="group", help="Groups of users, who are given roles together.")
app.add_typer(token_app, name="token", help="API tokens.")
app.add_typer(credential_app, name="credential", help="Stored secrets, and the key that encrypts them.")


@app.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT).")] = None,
    database_url: Annotated[str | None, typer.Option(help="postgresql://… or sqlite:///… (DATABASE_URL).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for database and replicas (DATA_DIR).")] = None,
    public_url: Annotated[str | None, typer.Option(help="Address by which clients reach us (PUBLIC_URL).")] = None,
    draft_ttl: Annotated[str | None, typer.Option(help="Life of a draft: 28800, 8h, PT8H (DRAFT_TTL).")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes, PostgreSQL only (WORKERS).")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error (LOG_LEVEL).")] = None,
) -> None:
    """Serve the API, the endpoints and a controller.

    Every setting is also read from the environment, as WORKLOAD_API_ and the name in brackets; the rest of the
    settings are in docs/settings.md.
    """
    from workload_api.cli.serve import serve

    serve(
        load_settings(
            host=host,
            port=port,
            database_url=database_url,
            data_dir=data_dir,
            public_url=public_url,
            draft_ttl=draft_ttl,
            workers=workers,
            log_level=log_level,
        )
    )


@app.command("migrate")
def migrate_command(
    database_url: Annotated[str | None, typer.Option(help="postgresql://… or sqlite:///… (DATABASE_URL).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded database (DATA_DIR).")] = None,
) -> None:
    """Bring the database that the settings name up to date."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    if settings.sqlite_path is not None:
        settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True)
    before, after = asyncio.run(migrate(settings.sqlalchemy_url))
    typer.echo(f"The database is up to date ({after})." if before == after else f"Migrated from {before} to {after}.")


@app.command("demo")
def demo_command(
    endpoint: Annotated[
        str, typer.Option(envvar="DATAROBOT_ENDPOINT", help="Where the API is, as the server printed it.")
    ] = "http://127.0.0.1:8080/api/v2",
    token: Annotated[str | None, typer.Option(envvar="DATAROBOT_API_TOKEN", help="An API token.")] = None,
    clients: Annotated[int, typer.Option(min=1, max=64, help="How many clients send traffic.")] = 8,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the workload running at the end.")] = False,
) -> None:
    """Play the story against a running server: draft, traffic, promote, PATCH; then show what was preserved."""
    from workload_api.demo.story import play

    if token is None:
        raise SettingsError("no token: set DATAROBOT_API_TOKEN or give --token (the server printed both at its start)")
    raise typer.Exit(asyncio.run(play(endpoint, token, clients=clients, keep=keep)))


@app.command("version")
def version_command() -> None:
    """Print the version."""
    typer.echo(version("workload-api"))


def main() -> None:
    """Run a command; what a person can mend is told in one sentence, without a traceback."""
    try:
        app()
    except (SettingsError, SchemaError) as error:
        typer.echo(f"workload-api: {error}", err=True)
        sys.exit(2)
    except DomainError as error:
        typer.echo(f"workload-api: {error.message}", err=True)
        sys.exit(1)
