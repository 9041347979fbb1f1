"""The encryption key (§11): made once, refused where it cannot be used, changed while a server runs and is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.api.support import create, problem, reach, read
from tests.support.postgresql import PostgreSQL
from tests.support.rows import Person, add_person, opened
from tests.support.secrets import environment, from_credential, store, workload
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.credentials import service
from workload_api.credentials.rotation import BATCH, reseal_all, rotate_file
from workload_api.credentials.sealing import KEY_FILE, KeyRing, make_key_file, new_key, read_keys
from workload_api.credentials.service import CredentialContent
from workload_api.db.engine import Database
from workload_api.db.models import IdempotencyKeyRow
from workload_api.domain.sealing import KeyUnusable
from workload_api.settings import SettingsError


class Killed(Exception):
    """In place of a crash at a step."""


async def stored(database: Database, person: Person, ring: KeyRing, count: int) -> list[str]:
    """Credentials whose password is their number."""
    ids = []
    async with database.write() as session:
        for number in range(count):
            content = CredentialContent(f"c{number}", None, "basic", {"user": "u", "password": str(number)})
            ids.append((await service.create_credential(session, person.caller, content, ring)).id)
    return ids


async def passwords(database: Database, ring: KeyRing, ids: Sequence[str]) -> list[str]:
    """What the credentials hold."""
    async with database.read() as session:
        rows = await service.credentials_of(session, ids)
    return [service.opened(rows[each], ring)["password"] for each in ids]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key file with one key."""
    file = tmp_path / KEY_FILE
    make_key_file(file)
    return file


def test_keys_encrypt_for_one_purpose_and_the_first_one_alone(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    file = tmp_path / "no-such-file"
    before, both, after = (KeyRing(keys, file) for keys in ([old], [new, old], [new]))
    sealed = before.seal(b"word\0s", "mine")
    assert b"word" not in sealed
    assert both.unseal(sealed, "mine") == b"word\0s"
    for ring, purpose in ((after, "mine"), (both, "yours"), (both, ""), (KeyRing(None, file), "mine")):
        with pytest.raises(KeyUnusable) as refused:
            ring.unseal(sealed, purpose)
        assert "word" not in refused.value.message
    anew = both.reseal(sealed)
    assert anew is not None
    assert after.unseal(anew, "mine") == b"word\0s"
    assert both.reseal(anew) is None
    with pytest.raises(KeyUnusable):
        after.reseal(sealed)


async def test_a_first_start_of_several_makes_one_key(tmp_path: Path) -> None:
    file = tmp_path / "data" / KEY_FILE
    code = "import sys; from pathlib import Path; from workload_api.credentials.sealing import *; "
    code += "file = Path(sys.argv[1]); make_key_file(file); print(read_keys(file)[0])"
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(file), stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    said = {(await child.communicate())[0] for child in children}
    assert len(said) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {path.name for path in file.parent.iterdir()} == {KEY_FILE, f"{KEY_FILE}.lock"}


def test_what_cannot_be_used_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    for value in ("", "short", f"{new_key()},", f"{new_key()},nonsense", "ü"):
        done = ServerProcess(tmp_path, settings={"ENCRYPTION_KEY": value}).command("serve")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "WORKLOAD_API_ENCRYPTION_KEY" in done.stderr
        assert "nonsense" not in done.stderr
    server = ServerProcess(tmp_path)
    server.data_dir.mkdir()
    for content in ("", "nonsense\n"):
        (server.data_dir / KEY_FILE).write_text(content)
        for command in (["serve"], ["credential", "rotate-key"]):
            done = server.command(*command)
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
            assert "WORKLOAD_API_ENCRYPTION_KEY" in done.stderr and KEY_FILE in done.stderr
            assert "nonsense" not in done.stderr


async def test_a_server_without_the_right_key_says_so_and_serves(database_url: str, tmp_path: Path) -> None:
    """With another key, with none though there should be one, and with the right one again."""
    server = ServerProcess(tmp_path, database_url=database_url, settings={"LEASE": "2s"})
    with server:
        async with server.client() as client:
            credential = await store(client, "c", user="u", password="p")
            made = await create(client, workload(from_credential("P", credential, "password")))
            await reach(client, made["id"], "running")
            assert (await client.post(f"/workloads/{made['id']}/stop")).status_code == 202
            await reach(client, made["id"], "stopped")
            file = server.data_dir / KEY_FILE
            right = file.read_text()
            assert "encryption_key" not in server.log
            for wrong in (None, new_key()):
                server.terminate()
                file.unlink() if wrong is None else file.write_text(wrong)
                before = len(server.log)
                await asyncio.to_thread(server.start)
                assert "encryption_key_unusable" in server.log[before:]
                assert "WORKLOAD_API_ENCRYPTION_KEY" in server.log[before:]
                assert file.exists() == (wrong is not None), "no key is made where one is missing"
                assert (await read(client, f"/credentials/{credential}"))["name"] == "c"
                refused = problem(await client.patch(f"/credentials/{credential}", json={"password": "q"}), 503)
                assert refused["code"] == "ENCRYPTION_KEY_UNUSABLE"
                assert "WORKLOAD_API_ENCRYPTION_KEY" in refused["message"]
                assert right.strip() not in refused["message"]
                again = {"name": "d", "credentialType": "bearer", "token": "t"}
                code = (await client.post("/credentials", json=again)).status_code
                assert code == (503 if wrong is None else 201)
            assert (await client.post(f"/workloads/{made['id']}/start")).status_code == 202
            errored = await reach(client, made["id"], "errored")
            shown = await read(client, f"/workloads/{made['id']}/protons/{errored['protonId']}/statusDetails")
            assert credential in shown["overallStatus"]["summary"]
            assert "WORKLOAD_API_ENCRYPTION_KEY" in shown["overallStatus"]["summary"]
            # The running server takes the file's keys as they come; it looks again by itself.
            file.write_text(f"{file.read_text()}\n{right}")
            await reach(client, made["id"], "running")
            assert (await environment(client, made))["P"] == "p"
            assert (await client.patch(f"/credentials/{credential}", json={"password": "q"})).status_code == 200


async def test_rotation_while_a_server_runs(database_url: str, tmp_path: Path) -> None:
    """Credentials are made, changed and used all the while; afterwards nothing needs the old key."""
    with ServerProcess(tmp_path, database_url=database_url) as server:
        file = server.data_dir / KEY_FILE
        async with server.client() as client:
            ids = [await store(client, f"c{number}", user="u", password=str(number)) for number in range(150)]
            headers = {"Idempotency-Key": "before-the-rotation"}
            body = {"name": "once", "credentialType": "bearer", "token": "t"}
            first = await client.post("/credentials", json=body, headers=headers)
            api_key = await create(client, workload({"source": "api-key"}))
            await reach(client, api_key["id"], "running")
            token = (await environment(client, api_key))["DATAROBOT_API_TOKEN"]
            written = 0
            done_writing = asyncio.Event()

            async def write(part: int) -> None:
                nonlocal written
                while not done_writing.is_set():
                    for number in range(part, len(ids), 4):
                        change = {"password": f"{number} {written}", "user": str(number)}
                        answer = await client.patch(f"/credentials/{ids[number]}", json=change)
                        assert answer.status_code == 200, answer.text
                        written += 1
                        if done_writing.is_set():
                            return

            writers = [asyncio.create_task(write(part)) for part in range(4)]
            for _ in range(3):
                before, count = file.read_text(), written
                done = await asyncio.to_thread(server.command, "credential", "rotate-key")
                assert (done.returncode, done.stderr) == (0, ""), done.stderr
                assert "encrypted anew" in done.stdout
                assert len(read_keys(file)) == 1
                assert file.read_text() != before
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                assert written > count, "nothing was written meanwhile"
            done_writing.set()
            await asyncio.gather(*writers)
            fresh = KeyRing(None, file)
            async with opened(database_url) as database:
                async with database.read() as session:
                    rows = await service.credentials_of(session, ids)
                assert [service.opened(rows[each], fresh)["user"] for each in ids] == [str(n) for n in range(150)]
                again = await reseal_all(database, fresh)
                assert (again.changed, again.unreadable) == (0, 0)
            # The idempotency key and the workload's token outlive it as well.
            retried = await client.post("/credentials", json=body, headers=headers)
            assert (retried.json(), retried.headers["idempotency-replayed"]) == (first.json(), "true")
            kept = await client.get(f"/credentials/{first.json()['credentialId']}")
            assert kept.headers["etag"] == first.headers["etag"], "to encrypt anew is no change"
            path = f"/workloads/{api_key['id']}"
            assert (await client.post(f"{path}/stop")).status_code == 202
            await reach(client, api_key["id"], "stopped")
            assert (await client.post(f"{path}/start")).status_code == 202
            await reach(client, api_key["id"], "running")
            assert (await environment(client, api_key))["DATAROBOT_API_TOKEN"] == token


async def test_a_rotation_that_dies_at_any_step(database_url: str, key_file: Path) -> None:
    """Whatever the step, everything can be read with what the file holds then; the next rotation goes on."""
    async with opened(database_url) as database:
        person, ring = await add_person(database), KeyRing(None, key_file)
        ids = await stored(database, person, ring, 2 * BATCH + 10)
        expected = [str(number) for number in range(len(ids))]
        for steps in range(20):
            left = steps

            async def die() -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed

            try:
                await rotate_file(database, key_file, die)
            except Killed:
                died = True
            else:
                died = False
            for each in (KeyRing(None, key_file), ring):
                assert await passwords(database, each, ids) == expected
            if not died:
                break
        assert steps >= 5
        assert len(read_keys(key_file)) == 1
        done = await rotate_file(database, key_file)
        assert (done.changed, done.unreadable) == (len(ids), 0)


async def test_a_rotation_that_is_killed(database_url: str, tmp_path: Path) -> None:
    """The command, by ``kill -9`` at various moments; a server runs on the same keys."""
    with ServerProcess(tmp_path, database_url=database_url, settings={"CONTROLLER": "false"}) as server:
        file = server.data_dir / KEY_FILE
        async with opened(database_url) as database, server.client() as client:
            person, ring = await add_person(database), KeyRing(None, file)
            ids = await stored(database, person, ring, 10 * BATCH)
            expected = [str(number) for number in range(len(ids))]
            own = await store(client, "own", user="u", password="p")
            killed_half_way = 0
            command = [sys.executable, "-m", "workload_api", "credential", "rotate-key"]
            for delay in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
                before = file.read_text()
                child = subprocess.Popen(command, env=server.environment, stdout=subprocess.DEVNULL)
                await until(lambda: file.read_text() != before, interval=0.002)  # noqa: B023 (asked at once)
                at = time.monotonic() + delay
                await until(lambda: time.monotonic() >= at, interval=0.002)  # noqa: B023 (asked at once)
                os.kill(child.pid, signal.SIGKILL)
                killed_half_way += child.wait() == -signal.SIGKILL and len(read_keys(file)) > 1
                assert await passwords(database, KeyRing(None, file), ids) == expected
                assert (await client.patch(f"/credentials/{own}", json={"user": "v"})).status_code == 200
            assert killed_half_way
            (file.parent / f"{KEY_FILE}.1234.new").write_text(new_key())
            done = await asyncio.to_thread(server.command, "credential", "rotate-key")
            assert done.returncode == 0, done.stderr
            assert len(read_keys(file)) == 1
            assert {path.name for path in file.parent.glob(f"{KEY_FILE}*")} == {KEY_FILE, f"{KEY_FILE}.lock"}
            assert await passwords(database, KeyRing(None, file), ids) == expected
            assert (await client.patch(f"/credentials/{own}", json={"user": "w"})).status_code == 200


async def test_who_sealed_before_and_commits_after(postgresql: PostgreSQL, key_file: Path) -> None:
    """A write that took the old key, and is slow to commit, is waited for and not left behind."""
    url = postgresql.create()
    async with opened(url) as database:
        person, ring = await add_person(database), KeyRing(None, key_file)
        content = CredentialContent("slow", None, "basic", {"user": "u", "password": "slow"})
        async with database.write() as session:
            made = (await service.create_credential(session, person.caller, content, ring)).id
            rotation = asyncio.create_task(rotate_file(database, key_file))
            await until(lambda: len(read_keys(key_file)) == 2)
            finished, _ = await asyncio.wait([rotation], timeout=0.5)
            assert not finished
        assert (await rotation).changed == 1
        assert await passwords(database, KeyRing(None, key_file), [made]) == ["slow"]
    postgresql.drop(url)


async def test_values_read_before_the_old_key_went(sqlite_url: str, key_file: Path) -> None:
    """A process that read a row under the old key, and comes to open it after the rotation, still can."""
    async with opened(sqlite_url) as database:
        person, ring = await add_person(database), KeyRing(None, key_file)
        [made] = await stored(database, person, ring, 1)
        async with database.read() as session:
            row = (await service.credentials_of(session, [made]))[made]
        await rotate_file(database, key_file)
        assert service.opened(row, ring)["password"] == "0"
        with pytest.raises(KeyUnusable):
            service.opened(row, KeyRing(None, key_file))
        # A file that is spoiled while a server runs is not followed.
        right = key_file.read_text()
        key_file.write_text("nonsense")
        assert await passwords(database, ring, [made]) == ["0"]
        key_file.write_text(right)
        assert await passwords(database, ring, [made]) == ["0"]
        key_file.unlink()
        assert await passwords(database, ring, [made]) == ["0"]
        with pytest.raises(KeyUnusable):
            ring.seal(b"x", "y")
        with pytest.raises(SettingsError):
            await rotate_file(database, key_file)


async def test_rotation_by_the_setting(database_url: str, tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    server = ServerProcess(tmp_path, database_url=database_url, settings={"ENCRYPTION_KEY": old})
    with server:
        async with server.client() as client:
            credential = await store(client, "c", user="u", password="p")
            assert not (server.data_dir / KEY_FILE).exists()
            alone = await asyncio.to_thread(server.command, "credential", "rotate-key")
            assert (alone.returncode, "0 stored" in alone.stdout, "holds one key" in alone.stdout) == (0, True, True)
            server.settings["ENCRYPTION_KEY"] = f"{new}, {old}"
            await asyncio.to_thread(server.restart)
            done = await asyncio.to_thread(server.command, "credential", "rotate-key")
            assert done.returncode == 0
            assert "1 stored" in done.stdout and "last 1 of the 2 keys" in done.stdout
            assert new not in done.stdout and old not in done.stdout
            server.settings["ENCRYPTION_KEY"] = new
            await asyncio.to_thread(server.restart)
            assert "encryption_key" not in server.log
            assert (await client.patch(f"/credentials/{credential}", json={"user": "v"})).status_code == 200
            server.settings["ENCRYPTION_KEY"] = old
            lost = await asyncio.to_thread(server.command, "credential", "rotate-key")
            assert lost.returncode == 1
            assert "1 stored secrets fit no key" in lost.stderr


async def test_secrets_cannot_be_guessed_by_what_is_kept_of_retries(database_url: str, tmp_path: Path) -> None:
    """The fingerprint of a request with a secret is encrypted, and moving it to another key does not open it."""
    with ServerProcess(tmp_path, database_url=database_url, settings={"CONTROLLER": "false"}) as server:
        async with server.client() as client:
            for name in ("one", "two"):
                body = {"name": name, "credentialType": "basic", "user": "u", "password": "1234"}
                answer = await client.post("/credentials", json=body, headers={"Idempotency-Key": name})
                assert answer.status_code == 201
        async with opened(database_url) as database, database.read() as session:
            rows = list((await session.scalars(select(IdempotencyKeyRow).order_by(IdempotencyKeyRow.key))).all())
        assert [(row.key, row.fingerprint) for row in rows] == [("one", ""), ("two", "")]
        ring = KeyRing(None, server.data_dir / KEY_FILE)
        for row, other in (rows, reversed(rows)):
            assert row.sealed is not None
            assert ring.unseal(row.sealed, f"fingerprint {row.user_id} {row.key}")
            with pytest.raises(KeyUnusable):
                ring.unseal(row.sealed, f"fingerprint {row.user_id} {other.key}")
