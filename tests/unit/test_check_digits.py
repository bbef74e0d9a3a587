"""Check digits against published numbers and numbers computed by others.

The vectors are facts from the project's own table of check digits (November 2026): numbers that were
published by the standards' owners, customs and carriers, and numbers computed with python-stdnum 2.2 or by
the published rule.  Owner codes, airline prefixes and serials of computed ones are placeholders.
"""

import pytest

from schemas.check_digits import KINDS, check_digit

VECTORS = [
    # kind, number, fits, what it shows
    ("iso6346", "CSQU3054383", True, "published"),
    ("iso6346", "CSQU3054384", False, "wrong check digit"),
    ("iso6346", "TASU1170000", True, "published: check value 10 is written 0"),
    ("iso6346", "TSTU5973951", True, "computed"),
    ("iso6346", "TSTU5973952", False, "last digit changed"),
    ("iso6346", "XXCU5294523", True, "computed"),
    ("iso6346", "XXCU5294524", False, "last digit changed"),
    ("iso6346", "ZZQJ2495147", True, "detachable equipment"),
    ("iso6346", "ZZQJ2495148", False, "last digit changed"),
    ("iso6346", "AAAZ6568810", True, "trailer"),
    ("iso6346", "AAAZ6568811", False, "last digit changed"),
    ("iso6346", "TSTU4000060", True, "remainder 10 is written 0"),
    ("iso6346", "tstu1234568", True, "lower case"),
    ("iso6346", "TSTU 123456 8", True, "spaces"),
    ("iso6346", "TSTX1234568", False, "fourth letter is not U, J, Z or R"),
    ("iso6346", "TSTU1324568", False, "two neighbours swapped"),
    ("iso6346", "TSTU123456", False, "too short"),
    ("upu-s10", "RB123456785GB", True, "published"),
    ("upu-s10", "RB123456786US", False, "wrong check digit"),
    ("upu-s10", "RA473124829US", True, "published serial 47312482"),
    ("upu-s10", "CP001020301BR", False, "published by a customs authority as an example, with a wrong digit"),
    ("upu-s10", "RX000000005NL", True, "computed"),
    ("upu-s10", "EE123456785VN", True, "computed"),
    ("upu-s10", "CP987654326KR", True, "computed"),
    ("upu-s10", "LX100000034DE", True, "computed"),
    ("upu-s10", "RA200000010FR", True, "11 less the remainder is 10, written 0"),
    ("upu-s10", "RA300000065JP", True, "11 less the remainder is 11, written 5"),
    ("upu-s10", "EE123456786VN", False, "last digit changed"),
    ("upu-s10", "EE12345678VN", False, "check digit missing"),
    ("upu-s10", "EE213456785VN", False, "first two digits swapped"),
    ("upu-s10", "EE 123 456 785 VN", True, "spaces"),
    ("imo", "9319466", True, "published"),
    ("imo", "8814275", True, "published"),
    ("imo", "8814274", False, "wrong check digit"),
    ("imo", "9074729", True, "computed"),
    ("imo", "9074720", False, "last digit changed"),
    ("imo", "1234567", True, "computed"),
    ("imo", "1234568", False, "last digit changed"),
    ("imo", "IMO 9074729", True, "with its prefix"),
    ("imo", "9274709", False, "digits reversed"),
    ("cas", "87-86-5", True, "published"),
    ("cas", "87-86-6", False, "wrong check digit"),
    ("cas", "50-36-2", True, "cocaine"),
    ("cas", "561-27-3", True, "heroin"),
    ("cas", "437-38-7", True, "fentanyl"),
    ("cas", "108-24-7", True, "acetic anhydride"),
    ("cas", "7439-97-6", True, "mercury"),
    ("cas", "437-38-8", False, "last digit changed"),
    ("cas", "437387", True, "hyphens missing"),
    ("air-waybill", "000-12345675", True, "published serial 1234567"),
    ("air-waybill", "000-00000070", True, "serial of zeros and a 7"),
    ("air-waybill", "999-76543213", True, "computed"),
    ("air-waybill", "999-76543214", False, "last digit changed"),
    ("air-waybill", "999-76543217", False, "7, 8 and 9 never occur as check digits"),
    ("air-waybill", "99976543213", True, "hyphen missing"),
]


@pytest.mark.parametrize(("kind", "number", "fits", "shows"), VECTORS)
def test_a_check_digit_is_judged_as_its_standard_says(kind: str, number: str, fits: bool, shows: str) -> None:
    assert check_digit(kind, number) == ("VALID" if fits else "INVALID"), shows


def test_every_kind_has_numbers_that_fit_and_numbers_that_do_not() -> None:
    judged = {(kind, fits) for kind, _, fits, _ in VECTORS}
    assert judged == {(kind, fits) for kind, rule in KINDS.items() if rule for fits in (True, False)}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("number", ["", "-", " ", "0", "Ａ", "١٢٣٤٥٦٧", "RB１２３４５６７８５GB", "x" * 5000])
def test_no_text_whatever_stops_a_check(kind: str, number: str) -> None:
    assert check_digit(kind, number) in {"INVALID", "NOT_CHECKABLE"}


def test_a_number_without_a_common_check_digit_is_not_checkable() -> None:
    assert check_digit("none", "1Z999AA10123456784") == "NOT_CHECKABLE"
