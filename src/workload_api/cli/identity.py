"""``workload-api user``, ``workload-api group`` and ``workload-api token``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.engine import Database
from workload_api.db.schema import check_schema
from workload_api.identity import groups, service
from workload_api.settings import load_settings

user_app = typer.Typer(no_args_is_help=True)
token_app = typer.Typer(no_args_is_help=True)
group_app = typer.Typer(no_args_is_help=True)

Group = Annotated[str, typer.Argument(help="The group's name.")]
Username = Annotated[str, typer.Argument(help="The user's name.")]
Organization = Annotated[str, typer.Option(help="The group's organization.")]

T = TypeVar("T")


def _work(act: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Carry out one unit of work on the database that the settings name."""

    async def run() -> T:
        settings = load_settings()
        await check_schema(settings.sqlalchemy_url)
        database = Database(settings.sqlalchemy_url, 1)
        try:
            async with database.write() as session:
                return await act(session)
        finally:
            await database.close()

    return asyncio.run(run())


@user_app.command("add")
def add_user(
    username: Annotated[str, typer.Argument(help="Unique name, as an e-mail address.")],
    organization: Annotated[
        str, typer.Option(help="Its organization (tenant); made where it does not exist yet.")
    ] = service.DEFAULT_ORGANIZATION,
    email: Annotated[str | None, typer.Option()] = None,
    first_name: Annotated[str, typer.Option()] = "",
    last_name: Annotated[str, typer.Option()] = "",
) -> None:
    """Add a user. Give it a token with `workload-api token create`."""
    user = _work(
        lambda session: service.add_user(
            session, username, organization, email=email, first_name=first_name, last_name=last_name
        )
    )
    typer.echo(f"{user.id}  {user.username}")


@user_app.command("list")
def list_users() -> None:
    """List the users with their organizations."""
    for user, organization in _work(service.list_users):
        typer.echo(f"{user.id}  {user.username}  {organization.name}")


@token_app.command("create")
def create_token(
    username: Annotated[str, typer.Argument(help="Whose token it will be.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a token and print it: it cannot be shown again."""
    row, token = _work(lambda session: service.create_token(session, username, name))
    typer.echo(f"token id {row.id}; keep the token, it is not shown again:", err=True)
    typer.echo(token)


@token_app.command("list")
def list_tokens() -> None:
    """List the tokens with their users and their last use."""
    for token, user in _work(service.list_tokens):
        state = (
            f"revoked {_moment(token.revoked_at)}" if token.revoked_at else f"last used {_moment(token.last_used_at)}"
        )
        typer.echo(f"{token.id}  {user.username}  {token.name or '-'}  {state}")


@token_app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="The token's id, or the token itself.")],
) -> None:
    """Revoke a token; servers refuse it within a second."""
    row = _work(lambda session: service.revoke_token(session, token))
    typer.echo(f"{row.id} is revoked.")


@group_app.command("add")
def add_group(name: Group, organization: Organization = service.DEFAULT_ORGANIZATION) -> None:
    """Add a group. Put users into it with `workload-api group join`."""
    group = _work(lambda session: groups.add_group(session, name, organization))
    typer.echo(f"{group.id}  {group.name}")


@group_app.command("list")
def list_groups() -> None:
    """List the groups with their organizations and members."""
    for group, organization, members in _work(groups.list_groups):
        typer.echo(f"{group.id}  {group.name}  {organization.name}  {', '.join(members) or '-'}")


@group_app.command("join")
def join_group(name: Group, username: Username, organization: Organization = service.DEFAULT_ORGANIZATION) -> None:
    """Put a user into a group; its roles are the user's within a second."""
    _work(lambda session: groups.join_group(session, name, organization, username))
    typer.echo(f"{username} is in {name}.")


@group_app.command("leave")
def leave_group(name: Group, username: Username, organization: Organization = service.DEFAULT_ORGANIZATION) -> None:
    """Take a user out of a group."""
    _work(lambda session: groups.leave_group(session, name, organization, username))
    typer.echo(f"{username} is no longer in {name}.")


@group_app.command("delete")
def delete_group(name: Group, organization: Organization = service.DEFAULT_ORGANIZATION) -> None:
    """Delete a group and the roles that it holds; its users stay."""
    _work(lambda session: groups.delete_group(session, name, organization))
    typer.echo(f"{name} is deleted.")


def _moment(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else "never"
