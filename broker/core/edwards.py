"""Points of edwards25519, as far as it takes to refuse a public key.

Decides whether 32 bytes are the one form of a point that lies on the curve and has not small order.
Under a key of small order a signature can be made that many messages share, without any private key.
Public values alone are computed here, so nothing needs constant time.

Source: RFC 8032 sections 5.1.3 (decoding) and 5.1.4 (doubling).
"""

from __future__ import annotations

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)


def is_weak(raw: bytes) -> bool:
    """Is `raw` no point, a point in another than its one form, or one of small order?"""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= _P:
        return True
    x = _x_of(y, sign)
    return x is None or _times_eight_is_neutral(x, y)


def _x_of(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != square:
        return None
    if x == 0:
        # Zero has no sign; written with one it would be a second form.
        return None if sign else 0
    return x if x & 1 == sign else _P - x


def _times_eight_is_neutral(x: int, y: int) -> bool:
    z = 1
    for _ in range(3):
        a, b, c = x * x, y * y, 2 * z * z
        h, g = a + b, a - b
        e, f = h - (x + y) ** 2, c + g
        x, y, z = e * f % _P, g * h % _P, f * g % _P
    return x == 0 and y == z
