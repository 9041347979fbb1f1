"""Credentials (§11): every type, its refusals, whose they are, the list; and that no answer ever holds a secret."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.support import Json, problem, read
from tests.api.test_identity import new_user
from tests.support.server import ServerProcess

REQUIRED = {
    "s3": ["awsAccessKeyId", "awsSecretAccessKey"],
    "basic": ["user", "password"],
    "api_token": ["apiToken"],
    "bearer": ["token"],
    "oauth": ["token"],
    "gcp": ["gcpKey"],
    "azure": ["azureConnectionString"],
    "azure_service_principal": ["azureTenantId", "clientId", "clientSecret"],
    "databricks_access_token_account": ["databricksAccessToken"],
    "snowflake_key_pair_user_account": ["privateKeyStr", "user"],
    "azure_sas": ["sasToken"],
    "client_id_and_secret": ["clientId", "clientSecret"],
    "box_jwt": ["enterpriseId", "publicKeyId"],
}
OPTIONAL = {"s3": "awsSessionToken", "oauth": "refreshToken", "snowflake_key_pair_user_account": "passphrase"}
SECRET = "geheim-7f3a"
"""In every value here, so that it is enough to look for this."""


def unique(name: str = "credential") -> str:
    return f"{name} {uuid4().hex}"


def body(credential_type: str = "basic", **fields: Any) -> Json:
    """A new credential of a type, with a value for each key that it needs."""
    values = {key: f"{SECRET} {key}" for key in REQUIRED[credential_type]}
    return {"name": unique(), "credentialType": credential_type, **values, **fields}


async def store(client: httpx.AsyncClient, made: Json) -> Json:
    answer = await client.post("/credentials", json=made)
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    found: Json = answer.json()
    return found


@pytest.fixture
async def owner(shared_server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A user who has no credentials yet."""
    async with shared_server.client(token=new_user(shared_server, "default")[1]) as made:
        yield made


@pytest.mark.parametrize("credential_type", REQUIRED)
async def test_every_type_there_and_back(shared_client: httpx.AsyncClient, credential_type: str) -> None:
    sent = body(credential_type, description="what for")
    if credential_type in OPTIONAL:
        sent[OPTIONAL[credential_type]] = f"{SECRET} optional"
    made = await store(shared_client, sent)
    assert set(made) == {"credentialId", "name", "description", "credentialType", "creationDate"}
    assert {name: made[name] for name in ("name", "description", "credentialType")} == {
        name: sent[name] for name in ("name", "description", "credentialType")
    }
    assert datetime.fromisoformat(made["creationDate"]).utcoffset() is not None
    path = f"/credentials/{made['credentialId']}"
    assert await read(shared_client, path) == made
    assert await read(shared_client, f"{path}/") == made
    listed = await read(shared_client, f"/credentials/?types={credential_type}")
    assert listed["data"][0] == made

    changes = {key: f"{SECRET} new {key}" for key in REQUIRED[credential_type]}
    changed = await shared_client.patch(path, json={"name": unique("renamed"), "description": None, **changes})
    assert changed.status_code == 200
    assert SECRET not in changed.text
    assert changed.json() == {**made, "name": changed.json()["name"], "description": None}
    assert changed.json()["name"].startswith("renamed")
    assert await read(shared_client, path) == changed.json()

    gone = await shared_client.delete(f"{path}/")
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        assert problem(await shared_client.request(method, path, json={}), 404)["code"] == "CREDENTIAL_NOT_FOUND"


async def test_a_google_key_as_an_object_or_as_text(shared_client: httpx.AsyncClient) -> None:
    key = {"type": "service_account", "private_key": SECRET}
    for sent in (key, json.dumps(key)):
        made = await store(shared_client, body("gcp", gcpKey=sent))
        path = f"/credentials/{made['credentialId']}"
        assert (await shared_client.patch(path, json={"gcpKey": sent})).status_code == 200
    unusable: list[Any] = [{}, "", 7, [SECRET], None, True]
    for bad in unusable:
        answer = await shared_client.post("/credentials", json=body("gcp", gcpKey=bad))
        assert problem(answer, 422)["detail"][0]["loc"] == ["body", "gcpKey"]
        assert SECRET not in answer.text


@pytest.mark.parametrize("credential_type", REQUIRED)
async def test_a_key_that_is_needed_or_is_of_another_type(
    shared_client: httpx.AsyncClient, credential_type: str
) -> None:
    whole = body(credential_type)
    for key in REQUIRED[credential_type]:
        lacking = {name: value for name, value in whole.items() if name != key}
        for sent in (lacking, {**lacking, key: None}, {**lacking, key: ""}, {**lacking, key: 7}):
            answer = await shared_client.post("/credentials", json=sent)
            assert problem(answer, 422)["detail"][0]["loc"] == ["body", key], sent
            assert SECRET not in answer.text
    for more in ("foreign", "refreshTokens", "aws_access_key_id"):
        answer = await shared_client.post("/credentials", json={**whole, more: SECRET})
        assert problem(answer, 422)["detail"][0]["loc"] == ["body", more]
        assert SECRET not in answer.text
    made = await store(shared_client, whole)
    path = f"/credentials/{made['credentialId']}"
    foreign = "password" if credential_type != "basic" else "apiToken"
    answer = await shared_client.patch(path, json={foreign: SECRET})
    assert problem(answer, 422)["detail"][0]["loc"] == ["body", foreign]
    assert SECRET not in answer.text
    for key in REQUIRED[credential_type]:
        answer = await shared_client.patch(path, json={key: None})
        assert problem(answer, 422)["detail"][0]["loc"] == ["body", key]


async def test_bad_requests_never_say_what_was_sent(shared_client: httpx.AsyncClient) -> None:
    """Whatever is wrong with a body, and wherever the secret stands in it."""
    made = await store(shared_client, body())
    path = f"/credentials/{made['credentialId']}"
    unknown_type = {"name": "n", "credentialType": SECRET}
    bodies: list[Any] = [
        *({**body(), name: value} for name in ("name", "description") for value in ([SECRET], {"x": SECRET})),
        *({**body(), "credentialType": value} for value in (SECRET, [SECRET], {"x": SECRET})),
        *({**body(), "password": value} for value in ([SECRET], {"x": SECRET}, f"{SECRET}\0", f"{SECRET}\ud800")),
        unknown_type,
        {"user": SECRET, "secret": SECRET},
        [SECRET],
        SECRET,
        {**body(), "name": SECRET * 100},
        {**body(), "more": {"nested": SECRET}},
    ]
    texts = [json.dumps(each) for each in bodies]
    texts += [f'{{"password": "{SECRET}", "password": "{SECRET}"}}', f'{{"password": "{SECRET}"', SECRET, f'"{SECRET}']
    for text in texts:
        for method, target in (("POST", "/credentials"), ("PATCH", path)):
            answer = await shared_client.request(
                method, target, content=text, headers={"content-type": "application/json"}
            )
            problem(answer, 422)
            assert SECRET not in answer.text, text
            for detail in answer.json()["detail"]:
                assert set(detail) == {"loc", "msg", "type", "input"}
                assert detail["input"] is None
    assert problem(await shared_client.get(f"/credentials?types={SECRET}"), 422)
    assert SECRET not in (await shared_client.get(f"/credentials?types={SECRET}")).text
    assert await read(shared_client, path) == made


async def test_a_change_of_some_values_keeps_the_others(shared_client: httpx.AsyncClient) -> None:
    """An empty change is none; a type may be repeated, not changed; what need not be there can be taken away."""
    made = await store(shared_client, body("s3", awsSessionToken=SECRET))
    path = f"/credentials/{made['credentialId']}"
    for change in ({}, {"credentialType": "s3"}, {"awsSessionToken": None}, {"awsAccessKeyId": SECRET}):
        answer = await shared_client.patch(path, json=change)
        assert (answer.status_code, answer.json()) == (200, made)
    refused = problem(await shared_client.patch(path, json={"credentialType": "basic"}), 422)
    assert refused["detail"][0]["loc"] == ["body", "credentialType"]
    for name in ("name", "credentialType"):
        refused = problem(await shared_client.patch(path, json={name: None}), 422)
        assert refused["detail"][0]["loc"] == ["body", name]


async def test_names_are_unique_for_each_user(shared_client: httpx.AsyncClient, owner: httpx.AsyncClient) -> None:
    name = unique()
    made = await store(shared_client, body(name=name))
    await store(owner, body(name=name))
    answer = await shared_client.post("/credentials", json=body("bearer", name=name))
    assert problem(answer, 409)["code"] == "CREDENTIAL_NAME_TAKEN"
    assert SECRET not in answer.text
    second = await store(shared_client, body())
    path = f"/credentials/{second['credentialId']}"
    assert problem(await shared_client.patch(path, json={"name": name}), 409)["code"] == "CREDENTIAL_NAME_TAKEN"
    assert (await shared_client.patch(path, json={"name": second["name"]})).status_code == 200
    assert (await shared_client.delete(f"/credentials/{made['credentialId']}")).status_code == 204
    assert (await shared_client.patch(path, json={"name": name})).status_code == 200


async def test_another_users_credentials_are_not_there(
    shared_server: ServerProcess, shared_client: httpx.AsyncClient, owner: httpx.AsyncClient
) -> None:
    """Neither to a colleague nor to another tenant, nor may they be changed; nobody without a token sees anything."""
    made = await store(owner, body())
    path = f"/credentials/{made['credentialId']}"
    async with shared_server.client(token=new_user(shared_server, "another tenant")[1]) as stranger:
        for other in (shared_client, stranger):
            for method in ("GET", "PATCH", "DELETE"):
                answer = await other.request(method, path, json={"password": "stolen"})
                assert problem(answer, 404)["code"] == "CREDENTIAL_NOT_FOUND"
                assert made["name"] not in answer.text
            listed = await read(other, "/credentials?limit=200")
            assert made["credentialId"] not in [each["credentialId"] for each in listed["data"]]
    async with httpx.AsyncClient(base_url=f"{shared_server.url}/api/v2", trust_env=False) as nobody:
        for method, target in (("GET", path), ("GET", "/credentials"), ("POST", "/credentials"), ("DELETE", path)):
            answer = await nobody.request(method, target, json={"password": [SECRET]})
            problem(answer, 401)
            assert SECRET not in answer.text
    assert await read(owner, path) == made


async def test_the_list(owner: httpx.AsyncClient) -> None:
    """Newest first, by types, in parts of up to 200."""
    types = ["bearer", "api_token", "basic"]
    made = [await store(owner, body(types[number % 3])) for number in range(203)]
    newest_first = [each["credentialId"] for each in reversed(made)]

    whole = await read(owner, "/credentials?limit=1000")
    assert (whole["count"], whole["totalCount"], whole["previous"]) == (200, 203, None)
    assert [each["credentialId"] for each in whole["data"]] == newest_first[:200]
    assert "limit=200" in whole["next"] and "offset=200" in whole["next"]
    rest = (await owner.get(whole["next"])).json()
    assert [each["credentialId"] for each in rest["data"]] == newest_first[200:]
    assert (rest["next"], rest["previous"]) == (None, rest["previous"])
    assert (await read(owner, "/credentials"))["count"] == 10
    assert (await read(owner, "/credentials?offset=500"))["data"] == []
    some = await read(owner, "/credentials/?types=bearer&types=basic&limit=150")
    assert some["totalCount"] == sum(each["credentialType"] != "api_token" for each in made)
    assert {each["credentialType"] for each in some["data"]} == {"bearer", "basic"}
    assert (await read(owner, "/credentials?types=gcp"))["totalCount"] == 0
    for query in ("limit=0", "offset=-1", "types=password"):
        problem(await owner.get(f"/credentials?{query}"), 422)


async def test_an_idempotency_key_stores_once(owner: httpx.AsyncClient) -> None:
    sent, headers = body(), {"Idempotency-Key": uuid4().hex}
    first = await owner.post("/credentials", json=sent, headers=headers)
    again = await owner.post("/credentials", json=sent, headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert (await read(owner, "/credentials"))["totalCount"] == 1
    other = await owner.post("/credentials", json={**sent, "password": "another"}, headers=headers)
    assert problem(other, 422)["code"] == "IDEMPOTENCY_KEY_REUSED"
    # A refusal is kept as well, and the key is no other operation's.
    taken = {"Idempotency-Key": uuid4().hex}
    for _ in range(2):
        answer = await owner.post("/credentials", json=body(name=sent["name"]) | {"password": SECRET}, headers=taken)
        assert answer.status_code in (409, 422)
        assert SECRET not in answer.text
    elsewhere = await owner.post("/artifacts", json={}, headers=headers)
    problem(elsewhere, 422)


async def test_versions(shared_client: httpx.AsyncClient) -> None:
    """What has changed since it was read is neither changed nor deleted; what is encrypted anew has not changed."""
    made = await shared_client.post(
        "/credentials", json={"name": f"versions {uuid4()}", "credentialType": "api_token", "apiToken": "one"}
    )
    path, old = f"/credentials/{made.json()['credentialId']}", {"If-Match": made.headers["etag"]}
    assert (await shared_client.get(path)).headers["etag"] == old["If-Match"]
    changed = await shared_client.patch(path, json={"apiToken": "two"}, headers=old)
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] != old["If-Match"]
    assert (await shared_client.get(path)).headers["etag"] == changed.headers["etag"]
    problem(await shared_client.patch(path, json={"description": "x"}, headers=old), 412)
    problem(await shared_client.delete(path, headers=old), 412)
    gone = await shared_client.delete(path, headers={"If-Match": changed.headers["etag"]})
    assert gone.status_code == 204
