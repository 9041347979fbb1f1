"""What Schemathesis loads beside its own checks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from itertools import chain, count
from typing import Any
from zlib import crc32

import schemathesis
from schemathesis import Case, CheckContext, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import UseAfterFree

from tests.fuzz.fitting import fit
from tests.fuzz.prepared import Prepared

PREPARED = Prepared(**json.loads(os.environ["FUZZ_PREPARED"]))
_standing = {PREPARED.draft_artifact_id, *chain.from_iterable(PREPARED.kept.values())}
_numbers = count()


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Let most requests that fit their schema fit what no schema can say; which ones is decided by their content."""
    # A stream of events goes on until the client hangs up; as a page they are asked for all the same.
    if _follows(case.query.get("follow")):
        del case.query["follow"]
    _spare(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    path, query, headers = case.path_parameters, case.query, case.headers
    content = json.dumps([case.operation.label, query, case.body if isinstance(case.body, dict) else None])
    choice = crc32(content.encode())
    if choice % 8 == 0:
        return
    for name, ids in PREPARED.kept.items():
        # One phase makes up the same id again and again.
        if name in path and not re.fullmatch("[0-9a-f]{24}", str(path[name])):
            path[name] = ids[choice % len(ids)]
    _spare(case)
    if isinstance(case.body, dict):
        case.body = fit(case.body, PREPARED, path)
        if case.method == "POST" and "credentialType" in case.body:
            case.body["name"] = f"{str(case.body['name'])[:50]} {next(_numbers)}"
    proton_id = PREPARED.protons.get(path.get("workload_id", ""))
    if proton_id is not None:
        path.update({"proton_id": proton_id} if "proton_id" in path else {})
        query.update({"protonId": proton_id} if "protonId" in query else {})
    # One phase always takes the same values, which would be refused: the key as used for another request, the tag as
    # that of an older version.
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = f"key {next(_numbers)}"
    if "If-Match" in headers:
        headers["If-Match"] = "*"


def _spare(case: Case[Any]) -> None:
    """Let nothing be deleted that the rest of the run needs: ids come out of answers, too."""
    name = case.operation.path.rpartition("/")[2].strip("{}")
    if case.method == "DELETE" and case.path_parameters.get(name) in _standing:
        spare = PREPARED.expendable[name]
        case.path_parameters[name] = spare[next(_numbers) % len(spare)]


@schemathesis.hook
def filter_failure(_context: HookContext, failure: Failure, _case: Case[Any], _response: Response) -> bool:
    """Keep every failure but one kind: what DELETE only begins anew, or only cancels, is there to be read after it."""
    return not (isinstance(failure, UseAfterFree) and re.search(r"/(stats|replacement)(\?|$)", failure.free))


def _follows(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(str(one).lower() in {"true", "1", "1.0", "t", "on", "y", "yes"} for one in values)


@schemathesis.check
def refused_by_a_rule(_context: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Data that fits the document is refused by a rule that no schema can say, never for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return None
    body = response.json()
    problems = body["detail"] if isinstance(body["detail"], list) else []
    of_form = [problem for problem in problems if problem["type"] != "value_error" and not _is_whole(problem)]
    if of_form:
        raise Failure(
            operation=case.operation.label,
            title="The document is less strict than the server",
            message="\n".join(f"{problem['loc']}: {problem['msg']} ({problem['type']})" for problem in of_form),
        )
    return None


def _is_whole(problem: Mapping[str, Any]) -> bool:
    """JSON Schema takes 8080.0 for an integer; the server asks for 8080: it gives numbers back as they were sent."""
    return problem["type"] == "int_type" and isinstance(problem["input"], float) and problem["input"].is_integer()
