"""Personal data planted in text, and numbers that only look like it: how many are found.

The generator knows nothing of data/crawl/personal.py: the spellings are those that people of many
countries use. Rules were chosen by every second kind (CHOSEN) and are judged by the others (ASIDE).
What is missed, and what is masked without need, kind by kind:

    python tests/test_personal_text.py
"""

import random
import re
import string
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

from data.crawl.personal import MASKS, mask_personal

REAL = ROOT.parent / "shared" / "real" / "text" / "wikitext-2-valid.txt"
CHOSEN, ASIDE = 0, 1     # halves of the kinds
EACH = 300              # sentences planted, and as many that only look like it

# ---- A spelling is a line: # stands for a digit, N for one from 2 to 9, h for one of hexadecimal,
# w for a word, O for a number from 1 to 254, | between spellings.

# Behind the country's name: how its numbers are written for the world; and at home, where a word
# such as "Tel." stands before them.
TELEPHONES = {
    "United Kingdom": ("+44 20 7### ####|+44 (0)20 7### ####|+44 1632 960###",
                       "020 7### ####|01632 960###|07700 900###|(01632) 960###"),
    "Germany": ("+49 30 ######|+49 (0)89/######|0049 40 #######", "030 / ## ## ##|089-######"),
    "France": ("+33 1 ## ## ## ##|+33 (0)6 ## ## ## ##|0033 4########",
               "01 ## ## ## ##|06.##.##.##.##"),
    "Italy": ("+39 06 ### #####|+39 3## #######", "06 ########|02/#######|3## ### ####"),
    "Spain": ("+34 91# ## ## ##|+34 6## ### ###", "91# ## ## ##|6########"),
    "Netherlands": ("+31 20 ### ####|+31-6-########", "020-#######|06 ## ## ## ##"),
    "Switzerland": ("+41 44 ### ## ##|+41 (0)79 ### ## ##", "044 ### ## ##|079/### ## ##"),
    "Austria": ("+43 1 ### ## ##|+43 (0)664 #######", "01/### ## ##|0664 #######"),
    "Sweden": ("+46 8 ### ### ##|+46-70-### ## ##", "08-### ### ##|070-### ## ##"),
    "Norway": ("+47 22 ## ## ##|+47 9## ## ###", "22 ## ## ##|9## ## ###"),
    "Poland": ("+48 22 ### ## ##|+48 5## ### ###", "22 ### ## ##|(22) ### ## ##"),
    "Portugal": ("+351 21# ### ###", "21# ### ###|9########"),
    "Ireland": ("+353 1 ### ####|+353 (0)87 #######", "(01) ### ####|087 ### ####"),
    "Russia": ("+7 495 ###-##-##|+7 (812) ###-##-##", "8 (495) ###-##-##|8-800-###-##-##"),
    "India": ("+91 98### #####|+91-11-2### ####|+91 (0)22 2#######", "011-2#######|098### #####"),
    "Japan": ("+81 3-3###-####|+81-90-####-####", "03-3###-####|090-####-####"),
    "China": ("+86 10 6### ####|+86 138 #### ####", "010-6#######|138 #### ####"),
    "Australia": ("+61 2 9### ####|+61 4## ### ###", "(02) 9### ####|04## ### ###"),
    "Brazil": ("+55 11 3###-####|+55 (11) 9####-####", "(11) 3###-####|(11) 9####-####"),
    "Mexico": ("+52 55 5### ####|+52 (33) 3### ####", "55 5### ####|(33) 3### ####"),
    "South Africa": ("+27 21 4## ####|+27 (0)82 ### ####", "021 4## ####|082-###-####"),
    "Israel": ("+972 2-67#-####|+972-54-###-####", "02-67#####|054-#######"),
    "Singapore": ("+65 6### ####|+65-9###-####", "6### ####|9#######"),
    "Turkey": ("+90 312 ### ## ##|+90 (532) ### ## ##", "(0312) ### ## ##|0532 ### ## ##"),
}
AMERICA = {        # by form, in any sentence
    "dashes": "N##-N##-####", "brackets": "(N##) N##-####|(N##)N##-####", "dots": "N##.N##.####",
    "one and dashes": "1-N##-N##-####|1-800-N##-####",
    "plus one": "+1 N## N## ####|+1-N##-N##-####",
    "soft hyphens": "N##\u2011N##\u2011####|N##\u2010N##\u2010####", "long dashes": "N##–N##–####",
    "fixed blanks": "(N##)\u00a0N##-####|+1\u00a0N##\u00a0N##\u00a0####",
    "one and brackets": "1 (N##) N##-####|+1 (N##) N##-####", "slash": "N##/N##-####",
    "an extension": "«N##-N##-####» ext. ###|«(N##) N##-####» x###", "link": "tel:«+1N##N######»",
    "star": "N##*N##*####"}
NUMBERED = {       # where a word such as "Tel." stands before them
    "seven digits": "N##-####|N## ####", "ten digits": "N##N######", "blanks": "N## N## ####"}
EMAILS = {
    "plain": "w@w.com|w@w.org", "dots": "w.w@w.com|w.w.w@w.net", "plus": "w+w@w.com|w+##@w.org",
    "underscore": "w_w@w.co.uk|w_##@w.com", "digits": "w##@w#.com|##w@w.org",
    "subdomain": "w@w.w.w.edu|w@cs.w.ac.jp", "hyphens": "w-w@w-w.de|w@w-w.co.za",
    "new domains": "w@w.museum|w@w.photography|w@w.io", "angles": "W W <«w@w.com»>|<«w.w@w.fr»>",
    "mailto": "mailto:«w@w.org»|mailto:«w.w@w.it»?subject=w", "capitals": "W@W.COM|W.W@W.Org",
    "other letters": "jürgen.w@w.de|w@müller-w.de|łukasz@w.pl", "a letter": "w@w.co|w.x@w.ca",
    "cyrillic": "почта@пример-w.рф|w@пример.рф"}
ADDRESSES = {
    "in a sentence": "5#.O.O.O|1#5.O.O.O", "with a port": "«5#.O.O.O»:8080|«18#.O.O.O»:443",
    "in a link": "http://«5#.O.O.O»/w|ftp://«9#.O.O.O»/w.txt",
    "of a net": "«5#.O.O.O»/24|«18#.O.O.0»/16",
    "in brackets": "[«5#.O.O.O»]|(«9#.O.O.O»)", "in a log": "«5#.O.O.O» - - [1#/Oct/2014:1#:2#:3#]",
    "quoted": '"ip": "«18#.O.O.O»"|ip=«9#.O.O.O»',
    "by name": "IP address «6#.O.O.O»|host «8#.O.O.O»",
    "version 6, whole": "2a0#:hhhh:hhhh:hhhh:hhhh:hhhh:hhhh:hhhh",
    "version 6, short": "2a0#:hhhh::hhh|2606:hhhh:hhh::hh:h",
    "version 6, net": "«2a0#:hhh:hhhh::»/48",
    "version 6, port": "[«2a0#:hhhh:hh::hhh»]:443|http://[«2606:hhhh::hhhh»]/w",
    "version 6, capitals": "2A0#:HHHH:HHHH::HHH"}
PLACES = ["Write to {x} and we will answer.", "We reached them at {x} on Monday.", "{x}",
          "It says {x}, as far as I can read it.", "(see {x})", "Contact: {x}.",
          "The notice had {x} on its second line."]
CALLS = ["Tel. {x}", "Phone: {x}", "Call {x} for details.", "Please call us at {x}.", "Fax: {x}.",
         "Telephone {x}, weekdays only.", "Mobile: {x}", "Tel: {x}, ask for Anna.", "T: {x}",
         "Téléphone : {x}", "Telefon {x}", "Teléfono: {x}", "You can phone me on {x} after six.",
         "dial {x} from any phone"]

LOOKALIKES = {
    "version of software": "Chrome ##.0.####.###|version #.##.###.#|v#.#.#.##|Firefox/##.0.#.#",
    "build": "build 10.0.#####.###|Windows 10.0.19###.3###|driver 4#.12.14.17",
    "package": "w-#.#.##.tar.gz|w==#.##.#.#|w_##.#.##.#-1_amd64.deb",
    "section": "see 3.#.1.#|§ 4.1#.#.2|section ##.#.##.#",
    "list": "contents:\n#.#.#.# Scope|rules:\n1#.#.#.# Terms",
    "clause": "clause ##.##.##.##|Article 12.#.1#.# of the rules",
    "count": "about # ### ### people|## ### ### copies",
    "count with commas": "#,###,###,### of them",
    "count with points": "#.###.### Einwohner|##.###.### inhabitants",
    "count in words": "call ####### times|we called 1200000 functions",
    "date": "19##-1#-2#|2#.1#.19##|1#/2#/19##|19##/0#/1#",
    "date and time": "20191#2#T1#2#3#|20###### 1#:2#",
    "range of years": "19##–20##|1###-1###|19##-19##, 20##-20##",
    "years": "1990 1995 2000 2005 20##",
    "call number": "QA76.73.C15 K4# 19##|call number 02#.04 20##|HF54##.S## #### v.3",
    "catalogue": "BWV 10##-10##|Op. 1## No. #|MS 4##-6##-2",
    "ISBN": "ISBN 978-#-##-######-#|ISBN 0-###-#####-#|ISBN 978##########|ISBN #########X",
    "ISSN": "ISSN ####-####", "DOI": "doi:10.1###/s###########|10.10##/j.w.20##.0#.0##",
    "arXiv": "arXiv:2005.1####|2#01.#####v2",
    "price": "$#,###.##|€ #.###,##|£1##,###|USD 1 2## ###.00",
    "price with a sign": "+1 250.00 today|+12.50 −13.75 +14.20", "offer": "$###-###-####",
    "coordinates": "40.####, -74.####|+40.#### -074.####|51°3#′2#″N 0°0#′3#″W",
    "grid": "SK 123 456|N 51 3# 2#.4 W 0 0# 3#.5",
    "product": "ISO 9001-2015|SKU ###-####-###|model 1##-##-####A",
    "part": "06A-906-###|P/N ####-##-####|part no. 1##-###.##.#",
    "serial": "S/N 1#########|serial 0########1",
    "order": "Order 1#########|invoice 10-######-##",
    "picture": "logo@2x.png|icon@3x.svg|photo-##@1.5x.jpg",
    "handle": "@w_## and @w|@media (min-width: ###px)|w@localhost",
    "decorator": "@w.w.setter|@app.route('/w')",
    "sum": "12 + 34 = 46|4## - 2## = 1##|3 × 415 = 1245", "power": "2^10 = 1024|10^-6 to 10^-12",
    "product of numbers": "12 x 34 x 56|1920x1080@60", "fractions": "3/4 - 1/2 = 1/4|11/16-13/16",
    "score": "21-14, 21-18|6-4 6-7 7-5|won 102-99, 98-104", "record": "12-3-1 (10-2-0)|W 31-28-3",
    "time": "10:30-11:30|2:03:59.2##|at 14:##:##",
    "timetable": "0630 0715 0800 0845|08.15-09.45, 10.15-11.45",
    "decimals": "3.14159265358979|0.5772156649",
    "row of decimals": "1.5 2.5 3.5 4.5|0.12 0.34 0.56 0.78",
    "row of numbers": "1 2 3 4 5 6 7 8 9 10|100 200 300 400 500",
    "verse": "John 3:16-18; 4:1-26|Ps 119:105-112",
    "pages": "pp. 415-428|pages 1121–1134", "volume": "vol. 12, no. 3, pp. 101-119|12(3):101-119",
    "hash": "hhhhhhhhhhhhhhhhhhhh|sha256:hhhhhhhhhhhh",
    "identifier": "hhhhhhhh-hhhh-4hhh-8hhh-hhhhhhhhhhhh",
    "network card": "hh:hh:hh:hh:hh:hh|hh-hh-hh-hh-hh-hh", "code": "std::vector<w>|a[1::2]|w::w::w",
    "private address": "192.168.1.O|10.0.O.O|127.0.0.1|172.16.0.O", "mask": "255.255.255.0|0.0.0.0",
    "own address": "fe80::1|::1|fd00:hhhh::1", "postcode": "94103-####|10117 Berlin|SW1A 2AA",
    "colour": "rgb(12#, 4#, 2##)|hsl(2##, 50%, 50%)", "temperature": "−12 to +15 °C|+10 +12 +14 +9",
    "weight": "72.5-75.0 kg|100-120-140 g", "chord": "320003|x-0-2-2-1-0|3-2-0-0-0-3",
    "flight": "BA 2490 and LH 400|Boeing 747-400, 737-800", "road": "A1-M25-A40|US 101-280-85",
    "odds": "100-30 and 11-4|7/2, 15/8, 9/4", "telegram": "call sign 4X1AB|MHz 145.500-145.800",
    "law": "42 U.S.C. 1983-1988|Reg. (EU) 2016/679",
    "phone model": "phone 12.99|mobile 5.1.1|Tel Aviv 1948",
    "poll": "52-45-3|41.5–38.2–20.3", "patent": "US 4,405,829|EP 1 234 567 B1|No. 6,285,999",
    "grades": "1-1-2-1-3|90-85-77-92",
    "unix time": "at 1700000###|1#########000 ms",
    "lottery": "3-17-22-31-45-48"}
REMARKS = ["It was {x}.", "{x}", "The note says {x}, and no more.", "We looked at {x} again.",
           "({x})", "In the table stands {x}; the rest is lost.", "Since then {x} has been used."]


def spelled(dice: random.Random, pattern: str) -> str:
    """One of the spellings of a pattern."""
    def fill(match):
        word = "".join(dice.choice(string.ascii_lowercase) for _ in range(dice.randint(3, 8)))
        return {"#": str(dice.randint(0, 9)), "N": str(dice.randint(2, 9)), "w": word,
                "W": word.upper(), "h": dice.choice("0123456789abcdef"),
                "H": dice.choice("0123456789ABCDEF"), "O": str(dice.randint(1, 254))}[match[0]]

    alone = r"(?<![A-Za-z])%s(?![A-Za-z])"
    runs = re.sub(alone % "[hH]+", lambda run: re.sub(".", fill, run[0]), dice.choice(
        pattern.split("|")))
    return re.sub(f"#|N(?=#)|{alone % '[wWO]'}", fill, runs)


def planted() -> dict:
    """{kind: (patterns, sentences around them)}; what is to be masked stands in «»."""
    calling = {f"{land}, for the world": (f"«{world.replace('|', '»|«')}»", PLACES)
               for land, (world, _) in TELEPHONES.items()}
    for land, (_, home) in TELEPHONES.items():
        calling[f"{land}, at home"] = f"«{home.replace('|', '»|«')}»", CALLS
    marked = {**AMERICA, **EMAILS, **ADDRESSES}
    return (calling | {name: (f"«{some.replace('|', '»|«')}»", CALLS)
                       for name, some in NUMBERED.items()}
            | {name: (some if "«" in some else f"«{some.replace('|', '»|«')}»", PLACES)
               for name, some in marked.items()})


def sentences(kinds: dict, half: int, beside: list):
    """Yield (kind, what stands before, the secret or number, what stands after) of every second
    kind, EACH in all; on its sides stand lines of a text."""
    dice, names = random.Random("personal"), list(kinds)[half::2]
    for k in range(EACH):
        patterns, frames = kinds[names[k % len(names)]]
        before, after = dice.choice(frames).split("{x}")
        first, secret, last = re.split("[«»]", spelled(dice, patterns))
        blank = dice.choice([" ", "\n"])
        yield (names[k % len(names)], dice.choice(beside) + blank + before + first,
               secret, last + after + blank + dice.choice(beside))


def measure(half: int, beside: list):
    """(recall, precision, what was missed, what was masked without need) of a half of the kinds."""
    missed, needless = [], []
    for kind, before, secret, after in sentences(planted(), half, beside):
        text = mask_personal(before + secret + after)[0]
        inner = text[len(before):len(text) - len(after)]
        if not (text.startswith(before) and text.endswith(after) and inner in MASKS.values()):
            missed.append((kind, before[-25:] + "«" + secret + "»" + after[:15]))
    lookalikes = {kind: (f"«{some.replace('|', '»|«')}»", REMARKS)
                  for kind, some in LOOKALIKES.items()}
    for kind, before, number, after in sentences(lookalikes, half, beside):
        text = before + number + after
        if mask_personal(text)[0] != text:
            needless.append((kind, before[-25:] + "«" + number + "»" + after[:15]))
    found = EACH - len(missed)
    return found / EACH, found / max(1, found + len(needless)), missed, needless


def real_lines() -> list:
    """Long lines of an encyclopedia."""
    if not REAL.exists():
        pytest.skip(f"{REAL} is not there")
    return [line.strip() for line in REAL.read_text("utf-8").splitlines() if len(line) > 200]


@pytest.mark.parametrize("lines", [lambda: ["They went on, and nobody said a word."], real_lines])
@pytest.mark.parametrize("half, recall, precision", [(CHOSEN, 0.98, 0.98), (ASIDE, 0.92, 0.96)])
def test_most_personal_data_is_found_and_little_else(half, recall, precision, lines):
    found = measure(half, lines())
    assert found[0] >= recall, found[2]
    assert found[1] >= precision, found[3]


def test_real_text_without_personal_data_stays_as_it_is():
    text = "\n".join(real_lines())
    assert mask_personal(text) == (text, {})


if __name__ == "__main__":
    for each in CHOSEN, ASIDE:
        right, sure, *wrong = measure(each, real_lines())
        print(f"{'kinds by which rules were chosen' if each == CHOSEN else 'other kinds'}: "
              f"recall {right:.3f}, precision {sure:.3f}")
        for name, some in zip(("missed", "masked without need"), wrong):
            for one in some:
                print(f"    {name}: {one}")
