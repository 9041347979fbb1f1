"""What Schemathesis loads beside its own checks."""

from __future__ import annotations

import schemathesis
from schemathesis import Case, CheckContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response


@schemathesis.check
def refused_by_a_rule(_context: CheckContext, response: Response, case: Case) -> bool | None:
    """Data that fits the document is refused by a rule that no schema can say, never for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return None
    body = response.json()
    problems = body["detail"] if isinstance(body["detail"], list) else []
    of_form = [problem for problem in problems if problem["type"] != "value_error"]
    if of_form:
        raise Failure(
            operation=case.operation.label,
            title="The document is less strict than the server",
            message="\n".join(f"{problem['loc']}: {problem['msg']} ({problem['type']})" for problem in of_form),
        )
    return None
