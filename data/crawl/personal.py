"""Masking of personal data: e-mail and IP addresses, numbers of telephones, cards, social security.

A pattern finds what may be one by its form, and a function says whether it is, by what stands
around it: a version is no address, and a count no telephone number.
"""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address, ip_network

# What stands for each kind: a value of the same form that nobody has, set aside for examples (RFC
# 2606, 5737 and 3849; 555-0100 for fiction) or never issued (a card of zeros, social security's
# area 000). So a model learns the form, and what is masked once is left alone the next time.
MASKS = {"email": "email@example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
         "card": "0000 0000 0000 0000", "ssn": "000-00-0000", "phone": "202-555-0100"}
DOCUMENTATION = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
                                             "2001:db8::/32")]

# No part of a longer number or a sum; and what every text has that holds a number to be masked.
BEFORE, AFTER = r"(?<![\w.,/+=#$€£-])(?<!::)", r"(?![\w+=/]|[.,:-]\d)"
ALIKE = {"\u2010": "-", "\u2011": "-", "–": "-", "\u00a0": " ", "\u202f": " "}  # in numbers
HINT = re.compile(r"[\d:](?:(?<=\d)(?:[^\w\n]{0,3}\d){4}|(?<=:)[0-9a-f]{0,4}:)", re.I)

EMAIL = re.compile(r"""
    (?<![\w.%+-]) [\w.%+-]{0,63} [\w+-] @ (?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+ [^\W\d_]{2,63}
    (?![^\W_])""", re.X)
IPV4 = re.compile(r"(?<![\w.:+-])(?<!==)(?:\d{1,3}\.){3}\d{1,3}(?![\w+-]|\.\d)", re.A)
IPV6 = re.compile(r"""
    [23](?<![\w:.].) [0-9a-f]{3}: [0-9a-f:]{1,33}[0-9a-f] (?!\w|:[\w:]|[.-]\d)""",
    re.I | re.X | re.A)
CARD = re.compile(rf"""{BEFORE} (?:
    (?:4\d{{3}} | 5[1-5]\d\d | 2[2-7]\d\d | 6\d{{3}} | 35\d\d) ([ -]?) \d{{4}} \1 \d{{4}} \1 \d{{4}}
    | 3[47]\d\d ([ -]?) \d{{6}} \2 \d{{5}} | 3[068]\d\d ([ -]?) \d{{6}} \3 \d{{4}}) {AFTER}
    """, re.X | re.A)
SSN = re.compile(rf"""{BEFORE}
    (?!000|666|9) \d{{3}} ([\ -]?) (?!00) \d\d \1 (?!0000) \d{{4}} {AFTER}""", re.X | re.A)
PHONE = re.compile(rf"""(?:
    {BEFORE} (?:\+?1[\ .-]?)?
    (?:\([2-9]\d\d\)\ ?[2-9]\d\d[\ .-] | [2-9]\d\d([./-])[2-9]\d\d(?:\1|-)) \d{{4}}
    | (?<![\w+=)]) (?:\+|00(?=[1-9]\d{{1,2}}\ )) \(?[1-9] (?:[\ .()/-]{{0,2}}\d){{8,14}}) {AFTER}
    """, re.X | re.A)
CALLED = re.compile(rf"{BEFORE}[+(]{{0,2}}\d(?:[ ()./-]{{0,3}}\d){{6,14}}{AFTER}", re.A)

# Of these words before four numbers with points, the last one decides: a version, or an address.
VERSION = """version ver v rev revision release released build firmware driver update updated
    upgrade upgraded assembly package module plugin patch installer install installed changelog sdk
    dll kernel library software section chapter clause figure table"""
NETWORK = """ip ipv4 ipv6 address addresses host hostname server servers ping port dns gateway
    router proxy subnet client login visitor user connect connected connects network"""
HEADING = re.compile(r"\s*(?:#+|==+)?\s*\[?")
FILE_NAME = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|ico|bmp|avif|css|js|json|tgz|gz|whl|jar)$",
                       re.I)
SECURITY = re.compile(r"\bssn\b|social.security", re.I)
CALL = re.compile(r"""
    \b (?:t[eé]l[eé]?(?:(?:ph|f)on[eo]?)? | [tmf](?=:) | phone | ph | fax | mobile | cell
        | call(?!\ numbers?\b) | dial | whatsapp)
    \b [^\w\n]{0,3} (?:(?:us|me|him|her|now|at|on|is|no|number) \b [^\w\n]{0,3}){0,3} $""",
    re.I | re.X)
COUNTED = re.compile(r"\s+(?!(?:always|as|days|hours|is|this|us|was|weekdays|yes)\b)[a-z]+s\b")
SIGNED = re.compile(r"\d [+-]\d")
DATE = re.compile(r"""
    [12]\d{3} \W{1,3} [12]\d{3} | \d{4} [./-] \d\d? [./-] \d\d? | \d\d? [./-] \d\d? [./-] \d{2,4}
    """, re.X | re.A)


def is_email(found, before, after):
    """By its form, but for the names of files: logo@2x.png."""
    return not FILE_NAME.search(found)


def is_address(found, before, after):
    """Of the internet, and no version or section number."""
    try:
        address = ip_address(found)
    except ValueError:
        return False
    public = address.is_global or any(address in net for net in DOCUMENTATION)
    if not public or len(found) <= len("1.2.3.4"):
        return False
    if ":" in found:
        return True
    line = before.rpartition("\n")[2].lower()
    told = [word for word in re.findall(r"[a-z]+[46]?", line) if word in TOLD]
    if told:
        return TOLD[told[-1]]
    titled = HEADING.fullmatch(line) and re.match(r"\]|[.)]?\s+[A-Z]", after)
    return not titled or not line.strip() and max(map(int, found.split("."))) > 40


def is_card(found, before, after):
    """By the last digit, which is Luhn's check digit."""
    digits = [int(digit) for digit in reversed(found) if digit.isdigit()]
    return sum(digits[::2], sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def is_ssn(found, before, after):
    """With hyphens, or where it is said to be one."""
    return "-" in found or SECURITY.search(before)


def is_phone(found, before, after):
    """No list of decimals or of signed numbers, which may begin with + too, and, where it begins as
    America's do, of their length."""
    if "." in found and (" " in found or found.count(".") == 1) or SIGNED.search(found):
        return False
    return not found.startswith("+1") or sum(map(str.isdigit, found)) == 11


def is_called(found, before, after):
    """What is no telephone number by its form is one by the words before it, if it is no date and
    no count: a round number, or one of several things."""
    count = found.isdigit() and (found.endswith("0000") or COUNTED.match(after))
    return CALL.search(before) and not count and not DATE.fullmatch(found) \
        and re.search(r"\d{3}|^\(?0", found)


TOLD = {word: False for word in VERSION.split()} | {word: True for word in NETWORK.split()}

# Of each kind in turn: what may be one, and whether it is, given up to 40 characters on its sides.
WRITTEN = [("email", EMAIL, is_email)]
NUMBERS = [("ipv6", IPV6, is_address), ("ipv4", IPV4, is_address), ("card", CARD, is_card),
           ("ssn", SSN, is_ssn), ("phone", PHONE, is_phone), ("phone", CALLED, is_called)]


def mask_personal(text: str) -> tuple[str, Counter]:
    """Replace e-mail and public IP addresses, telephone, card and social-security numbers by MASKS.

    Returns the text, and how many of each kind were replaced. FineWeb does so with addresses
    (arXiv:2406.17557). Doing it twice does no more than once.
    """
    counts = Counter()
    for kind, pattern, valid in (*(WRITTEN if "@" in text else ()),
                                 *(NUMBERS if HINT.search(text) else ())):
        plain, parts, done = text, [], 0
        for other, sign in ALIKE.items():
            plain = plain.replace(other, sign)
        for match in pattern.finditer(plain):
            found, (start, end) = match[0], match.span()
            if any(mask in found for mask in MASKS.values()) or not valid(
                    found, plain[max(0, start - 40):start], plain[end:end + 40]):
                continue
            counts[kind] += 1
            parts += [text[done:start], MASKS[kind]]
            done = end
        text = "".join(parts) + text[done:]
    return text, counts
