"""Which types, countries, subjects and purposes of an agreement exist, as far as the lists here tell.

Decides what is worth a lawyer's look before signing.  Refuses nothing: lists and catalogues grow, and an
agreement may be older or younger than they are; a code that is in none simply matches nothing today.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from broker.core.clauses import Agreement, Grant
from broker.core.model import Tlp
from broker.core.strict_toml import Problem
from schemas import notice_schemas
from schemas.code_lists import CodeList, code_list
from schemas.wording import labels

OF_THE_PROTOCOL = frozenset({"lifecycle-order", "lifecycle-confirmation"})
"""Types that follow others; their names are part of the rules in `broker.core.agreements`."""

NO_COUNTRIES = {"UK": "GB", "EL": "GR", "EU": None, "XK": None}
"""Codes that people write for countries, and the one that is meant; of a union its states are listed."""

SCHEMES = ("basel", "hs")
"""Schemes of subjects whose codes are listed here."""


def codes_doubted(agreement: Agreement) -> tuple[Problem, ...]:
    """Return each type and code that is in no list, with the nearest that is."""
    return tuple(
        problem
        for number, grant in enumerate(agreement.grants, 1)
        for problem in _of_grant(f"grant {number}", grant)
    )


def _of_grant(place: str, grant: Grant) -> Iterator[Problem]:
    schemas = notice_schemas()
    for each in sorted(grant.types - schemas.keys() - OF_THE_PROTOCOL):
        yield Problem(
            f"{place}, types",
            f"'{each}' is no type of this catalogue{_near(each, schemas)}; there are {', '.join(schemas)}: "
            "nothing flows of it until there is one",
        )
    for each in sorted(grant.types & schemas.keys()):
        mark = Tlp[schemas[each]["tlp"]]
        if mark > grant.tlp_max:
            yield Problem(
                f"{place}, tlp_max",
                f"{grant.tlp_max.name} is below {mark.name}, the usual mark of {each}: most are withheld",
            )
    countries = code_list("countries")
    for each in sorted(grant.countries or ()):
        if each not in countries:
            yield Problem(f"{place}, countries", f"{_no_country(each)} (ISO 3166-1, {countries.edition})")
    for each in sorted(grant.subjects or ()):
        yield from _of_subject(f"{place}, subjects", each)
    known = labels("en").tables["purposes"]
    for each in sorted((grant.purposes or frozenset()) - known.keys()):
        yield Problem(
            f"{place}, purposes",
            f"'{each}' is no purpose that is known here{_near(each, known)}; known are {', '.join(known)}: "
            "only notices that state this very word match",
        )


def _no_country(code: str) -> str:
    if code not in NO_COUNTRIES:
        return f"'{code}' is the code of no country"
    meant = NO_COUNTRIES[code]
    return f"'{code}' is the code of no country; " + (
        f"did you mean {meant}?" if meant else "list its states"
    )


def _of_subject(place: str, subject: str) -> Iterator[Problem]:
    scheme, _, code = subject.partition(":")
    if scheme not in SCHEMES:
        near = _near(scheme, SCHEMES)
        if near:
            yield Problem(place, f"'{subject}' is of no scheme that is known here{near}")
        return
    codes: CodeList = code_list(scheme)
    # Below the subheading each country has digits of its own.
    looked_up = code[:6] if scheme == "hs" else code
    if looked_up not in codes:
        near = _near(looked_up, codes)
        yield Problem(place, f"'{subject}' is not in the list {scheme}, edition {codes.edition}{near}")


def _near(word: str, possible: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(possible), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""
