"""Every answer of the local API that is not a success: Problem Details (RFC 9457) with our stable code."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

from adapters.api.shapes import Problem
from broker.core.errors import (
    HalongError,
    NotAuthorised,
    NotCanonical,
    NotFound,
    SourceReused,
    TooLarge,
    TooMany,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1

RULE_BROKEN = 422
"""The request has its shape; what it asks for is refused by a rule."""

STATUS: dict[type[HalongError], int] = {
    NotCanonical: 400,
    NotAuthorised: 401,
    NotFound: 404,
    SourceReused: 409,
    TooLarge: 413,
    TooMany: 429,
    Unavailable: 503,
}


def problem(status: int, code: str, detail: str, field: str | None = None) -> web.Response:
    """Return an answer that is not a success."""
    body = Problem(
        type=f"halong:error/{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        field=field,
    )
    answer = web.Response(status=status, body=msgspec.json.encode(body), content_type=MEDIA_TYPE)
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="halong"'
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


def problem_of(error: HalongError) -> web.Response:
    """Return the answer that tells of an error."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), RULE_BROKEN)
    return problem(status, error.code, str(error), error.field)
