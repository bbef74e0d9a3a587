"""How it looks what acceding or leaving changes: who gives whom what then, and when what ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from broker.commands.agreement.phrases import day, names_of, slots_of
from broker.terminal import style, table

if TYPE_CHECKING:
    from broker.commands.agreement.ending import Ending
    from broker.core.agreements import Agreement
    from broker.core.reach import Effect

Tell = Callable[[str], None]
"""Where lines go: the answer for people, or beside the one for programs."""


def head_object(agreement: Agreement, member: str) -> dict[str, object]:
    """Return what it is about, for programs."""
    return {
        "agreement": agreement.name,
        "digest": agreement.digest.hex(),
        "title": agreement.title,
        "member": member,
    }


def effect_object(effect: Effect) -> dict[str, object]:
    """Return a change for programs."""
    return {
        "from": effect.giver,
        "to": effect.receiver,
        "type": effect.notice_type,
        "before": [slot.label for slot in sorted(effect.before)],
        "after": [slot.label for slot in sorted(effect.after)],
    }


def show_effects(title: str, found: Sequence[Effect], tell: Tell) -> None:
    """Print what changes, kinds of notices that change alike together."""
    if not found:
        tell(f"  {title}: nothing changes")
        return
    tell(f"  {style(title, bold=True)}")
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for each in found:
        change = f"{slots_of(each.before) or 'nothing'} → {slots_of(each.after) or 'nothing'}"
        alike.setdefault((each.giver, each.receiver, change, ""), []).append(each.notice_type)
    rows = [
        (f"{giver} → {receiver}", names_of(types).replace(" ", ", "), change)
        for (giver, receiver, change, _), types in alike.items()
    ]
    for line in table(rows, indent="    "):
        tell(line)


def show_ending(
    agreement: Agreement, ending: Ending, held: int | None, tell: Tell, *, in_order: bool
) -> None:
    """Print when what ends, and what becomes of what was received."""
    if in_order:
        tell(f"  ends on        {day(ending.ends_at)}: no new case begins from that day")
    else:
        tell("  ends           as soon as the directory without it is in force: nothing new begins under it")
    if ending.open_cases_until is not None:
        tell(f"  open cases     go on until {day(ending.open_cases_until)}")
    elif in_order:
        tell("  open cases     end on that day: the text sets no winding down")
    else:
        only = f"; they go on for {agreement.wind_down_days} days only after an end in the text: --on"
        tell(f"  open cases     end at once, too{only if agreement.wind_down_days else ''}")
    tell("  corrections    recalls and orders to erase still come for what was received")
    count = "" if held is None else f" ({held:,} held here)"
    if ending.erase_by is not None:
        when = day(ending.erase_by) if in_order else "at once"
        tell(f"  to erase       {when}: what was received under it{count}")
    elif ending.kept_until is not None:
        tell(f"  to keep        until each retention ends, the last on {day(ending.kept_until)}{count}")
    else:
        tell(f"  to keep        without limit, since a grant sets no retention{count}")


def ending_object(ending: Ending) -> dict[str, object]:
    """Return the dates for programs."""

    def maybe(at: int | None) -> str | None:
        return None if at is None else day(at)

    return {
        "ends_on": day(ending.ends_at),
        "open_cases_until": maybe(ending.open_cases_until),
        "erase_by": maybe(ending.erase_by),
        "kept_until": maybe(ending.kept_until),
    }
