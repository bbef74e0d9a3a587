"""The clauses of nine real customs agreements: how each is written in an agreement file, or why it cannot be.

Source: the treaty texts under the identifiers that the files cite (public law text of the Netherlands, state
of May 2017), as read for this project; articles are named, no wording is taken over.  What the notes do not
tell of an agreement is no clause of it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from broker.core.agreements import parse_agreement
from broker.core.clauses import Agreement, Grant, Mode
from broker.core.model import Onward, Slot

FOLDER = Path(__file__).parent
PARTNERS = ("us", "za", "au", "id", "tr", "jp", "cv", "ae", "ph")
ALL = dict.fromkeys(PARTNERS, "")
PERSONAL = {Slot.IDENTIFIERS, Slot.PERSONS}

Check = Callable[[Agreement, str], bool]
"""Of an agreement, and the text of its file: is the clause there?"""


@dataclass(frozen=True, slots=True)
class RealClause:
    """One clause of the real agreements.

    Args:
        says: What it says.
        where: The agreements that have it, with the article where that is known.
        how: How it is written in the file; empty if it cannot be.
        limit: What of it cannot be written, and why; empty if nothing is lost.
        check: Tells whether an agreement has it; None if it cannot be written.
        alone: Whether the other agreements have it not.
    """

    says: str
    where: Mapping[str, str]
    how: str = ""
    limit: str = ""
    check: Check | None = None
    alone: bool = True


def agreements() -> Iterator[tuple[str, Agreement, str]]:
    """Yield each partner with the agreement and the text of its file."""
    for partner in PARTNERS:
        path = FOLDER / f"nl-{partner}.toml"
        text = path.read_bytes()
        yield partner, parse_agreement(text, path.name), text.decode()


def _giving(agreement: Agreement) -> list[Grant]:
    """The grants by which more flows than feedback."""
    return [grant for grant in agreement.grants if "feedback" not in grant.types]


def _to(agreement: Agreement, receiver: str) -> list[Grant]:
    return [grant for grant in _giving(agreement) if grant.receiver == receiver]


def _all(of: Callable[[Grant], bool]) -> Check:
    return lambda agreement, _: all(map(of, _giving(agreement)))


def _partner(agreement: Agreement) -> str:
    (partner,) = agreement.parties - {"nl"}
    return partner


def _community(agreement: Agreement, _: str) -> bool:
    return any(grant.terms.onward_community is Onward.NOTIFY for grant in _to(agreement, "nl"))


def _both_communities(agreement: Agreement, _: str) -> bool:
    grants = _to(agreement, _partner(agreement))
    return any(grant.terms.onward_community is Onward.NOTIFY for grant in grants)


def _personal_on(agreement: Agreement, _: str) -> bool:
    return agreement.personal_data is not None and any(each.slots >= PERSONAL for each in agreement.grants)


def _personal_off(agreement: Agreement, _: str) -> bool:
    # Named by a grant and not switched on: to switch on is one table of the next version.
    return agreement.personal_data is None and any(each.slots >= PERSONAL for each in agreement.grants)


def _asked_feedback(agreement: Agreement, text: str) -> bool:
    back = [grant for grant in agreement.grants if "feedback" in grant.types]
    asks = all(grant.terms.feedback_hours is None for grant in agreement.grants)
    return bool(back) and asks and "told on request" in text


CLAUSES = (
    RealClause(
        "information serves the purposes of the agreement alone",
        ALL,
        "`purposes`",
        check=lambda agreement, _: all(grant.purposes is not None for grant in agreement.grants),
    ),
    RealClause(
        "customs alone may use it; others with written approval",
        dict.fromkeys([each for each in PARTNERS if each != "jp"], "") | {"jp": "besides law enforcement"},
        '`onward.domestic = "consent"`',
        "that the approval is written is for the parties to keep",
        _all(lambda grant: grant.terms.onward_domestic in (Onward.CONSENT, Onward.ALLOW_UNLESS_VETO)),
    ),
    RealClause(
        "authorities at home may have it unless the giver objects",
        {"jp": "9(2)"},
        '`onward.domestic = "allow-unless-veto"`',
        "that this is for law enforcement alone: a rule is for all authorities at home",
        _all(lambda grant: grant.terms.onward_domestic is Onward.ALLOW_UNLESS_VETO),
    ),
    RealClause(
        "to third countries with consent",
        {each: "" for each in PARTNERS if each != "ae"},
        '`onward.third_country = "consent"`',
        check=_all(lambda grant: grant.terms.onward_third_country is Onward.CONSENT),
    ),
    RealClause(
        "to third countries never",
        {"ae": "16(1)"},
        '`onward.third_country = "deny"`',
        check=_all(lambda grant: grant.terms.onward_third_country is Onward.DENY),
    ),
    RealClause(
        "to the European Union after advance notice",
        {"us": "15(6)", "za": "14(3)", "au": "14(3)", "id": "15(3)"},
        '`onward.community = "notify"` in the grants to the Netherlands',
        "which community is meant: it follows from who receives",
        _community,
    ),
    RealClause(
        "to customs of ASEAN after advance notice",
        {"id": "15(4)"},
        '`onward.community = "notify"` in the grants to Indonesia',
        "which community is meant: it follows from who receives",
        _both_communities,
    ),
    RealClause(
        "personal data flows, under annexed principles or an undertaking of equivalent protection",
        {"us": "annex", "cv": "annex", "jp": "9(4)"},
        "`[personal_data]` with `legal_basis`",
        "the principles themselves are text, named by `instrument` and `legal_basis`",
        _personal_on,
    ),
    RealClause(
        "personal data does not flow until both agree that protection is equivalent",
        {"za": "15(3)", "au": "15(1)", "id": "16(3)", "tr": "15(3)", "ph": "17(3)"},
        "`[personal_data]` off, the slots named in the grants: on with the next version",
        check=_personal_off,
        alone=False,  # of the United Arab Emirates the notes do not tell, so it is off there, too
    ),
    RealClause(
        "personal data is necessary, accurate and not excessive",
        {"us": "annex 1", "ae": "18(4)"},
        "`slots` says what is given at all; corrections and recalls follow what was given",
        "what is necessary in a case is for people to judge",
        lambda agreement, _: all(grant.slots != set(Slot) for grant in agreement.grants),
        alone=False,
    ),
    RealClause(
        "the furnisher sets how long it may be kept",
        {"ae": "18(1), (6), (7)"},
        "the notice's own `retain_until`, which travels with it; `retention_days` can only shorten it",
        '"when no longer needed" is for people to judge',
        _all(lambda grant: grant.terms.retention_days is None),
        alone=False,
    ),
    RealClause(
        "destruction is confirmed, with the reason, and kept in a register",
        {"ae": "18"},
        "a grant of `lifecycle-confirmation`; the log of receipts is the register",
        "this version carries no order to erase; what is erased by its date is receipted",
        check=lambda agreement, _: any("lifecycle-confirmation" in grant.types for grant in agreement.grants),
    ),
    RealClause(
        "what was received is destroyed when the agreement ends",
        {"ae": "18(9)"},
        '`on_termination = "erase"`',
        check=lambda _, text: '\non_termination = "erase"' in text,
    ),
    RealClause(
        "use and results are told on request",
        {"us": "15(5)", "cv": "annex 2", "ae": "18(2)"},
        "a grant of `feedback` and no `feedback_hours`: the notice asks by its own deadline",
        check=_asked_feedback,
    ),
    RealClause(
        "use in court with consent",
        {"us": "15(2)", "id": "15(1)", "ph": "16(1)"},
        '`evidentiary_use = "consent"`',
        "that the prosecutor consents, and only where the furnisher's law asks for it",
        _all(lambda grant: grant.terms.evidentiary_use is Onward.CONSENT),
    ),
    RealClause(
        "use in court from the start",
        {"tr": "14(1)"},
        '`evidentiary_use = "allow"`',
        check=_all(lambda grant: grant.terms.evidentiary_use is Onward.ALLOW),
    ),
    RealClause(
        "it is reviewed every five years",
        {"us": "23"},
        "`review_due`",
        "an interval: each version names its next day",
        lambda agreement, _: agreement.review_due_at is not None,
    ),
    RealClause(
        "running cases are completed after the end",
        {"us": "", "cv": ""},
        "`wind_down_days`, as many as cases may take",
        "without any limit: a number of days is needed",
        lambda agreement, _: agreement.wind_down_days > 0,
    ),
    RealClause(
        "assistance is automatic, in advance, spontaneous or on request, in priority areas",
        {"ae": "6, 7, 4(3)"},
        "`mode` of several grants; the areas as `subjects` or `types`",
        check=lambda agreement, _: {grant.mode for grant in agreement.grants} == set(Mode),
    ),
    RealClause(
        "it ends three months after notice",
        {"us": "22", "cv": "26", "ae": "26"},
        limit="there is no clause for a period of notice: who leaves ends it at once; parties agree on a day "
        "for `terminated_on`",
    ),
    RealClause(
        "a request may be refused or postponed, with the reason",
        {"ae": "19"},
        limit="no clause obliges anybody to answer; refusing is an answer of its own, with its reason",
    ),
    RealClause(
        "a request says whether it could be met the other way round",
        {"us": "17(2)", "ae": "19(2)", "ph": "18(2)"},
        limit="it is part of the request, not of the agreement",
    ),
    RealClause(
        "contact officials are listed",
        {"us": "11(4)", "jp": "7(3)"},
        limit="people change more often than agreements; a list belongs to the members' entries",
    ),
    RealClause(
        "parts of a state stand outside",
        {"us": "20", "ae": "22"},
        limit="`countries` says what a route must touch, not what it must not; a part with an administration "
        "of its own is simply no party",
    ),
    RealClause(
        "other agreements prevail",
        {"us": "2(4)"},
        limit="agreements add up, under the strictest of their terms; none prevails",
    ),
    RealClause(
        "English is the language",
        {"jp": ""},
        limit="no clause is about language: codes read in every language, free text is as written",
    ),
    RealClause(
        "controlled delivery is defined",
        {"jp": "1(j)"},
        limit="a definition; the notice suggests such an action by its code",
    ),
)


def table() -> str:
    """Return the clauses as the table of `docs/agreements.md`."""
    lines = ["| a real clause | of | in the file | what is lost |", "| --- | --- | --- | --- |"]
    for clause in CLAUSES:
        where = (
            "all nine"
            if set(clause.where) == set(PARTNERS) and not any(clause.where.values())
            else ", ".join(
                f"NL-{each.upper()}{f' {article}' if article else ''}"
                for each, article in clause.where.items()
            )
        )
        how = clause.how or "**cannot be written**"
        lines.append(f"| {clause.says} | {where} | {how} | {clause.limit or '–'} |")
    return "\n".join(lines) + "\n"
