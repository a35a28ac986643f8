"""Personal data: what is masked, and what only looks like it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.crawl.personal import MASKS, mask_personal


@pytest.mark.parametrize("kind, texts", [
    ("email", "jo.smith+x@mail.example.co.uk|a@b.io|joe_b@site.com|müller@straße.de|x-1@y-2.org"),
    ("ipv4", "8.8.4.45|93.184.216.34|203.0.113.9|255.1.2.3".replace("255", "155")),
    ("ipv6", "2a00:1450:4001:82a::200e|2606:2800:220:1:248:1893:25C8:1946|2001:db8::77"),
    ("phone", "(415) 555-2671|415-555-2671|415.555.2671|415/555-2671|1-800-555-1234|(415)555-2671"
              "|+1 415 555 2671|+1-415-555-2671|+1.415.555.2671|+1 (415) 555-2671|+44 20 7946 0958"
              "|+442079460958|0044 20 7946 0958|+49 (0)30 1234567|+33 6 12 34 56 78"
              "|+49/30/1234567"),
    ("card", "4111 1111 1111 1111|4111-1111-1111-1111|5555555555554444|3782 822463 10005"
             "|378282246310005|6011111111111117|30569309025904|2223003122003222"),
    ("ssn", "123-45-6789|078-05-1120|899-99-9999|665-01-0001"),
])
def test_personal_data_is_masked(kind, texts):
    for found in texts.split("|"):
        for before, after in (("", ""), ("It is ", "."), ("(", ")"), ("<b>", "</b>"),
                              ("a: ", ", x"), ("x\n", "\ny"), ("“", "”")):
            text, counts = mask_personal(before + found + after)
            assert (text, counts) == (before + MASKS[kind] + after, {kind: 1}), found


@pytest.mark.parametrize("before, number, kind", [
    ("tel: ", "030/1234567", "phone"), ("Phone: ", "555-0123", "phone"),
    ("SSN ", "078 05 1120", "ssn"),
    ("Tél. ", "06 12 34 56 78", "phone"), ("call us at ", "415 555 2671", "phone"),
    ("Teléfono: ", "915 21 29 00", "phone"), ("social security number: ", "123456789", "ssn")])
def test_numbers_are_known_by_the_words_before_them(before, number, kind):
    assert mask_personal(before + number + ".") == (before + MASKS[kind] + ".", {kind: 1})
    assert mask_personal("number " + number + ".")[1] == {}


@pytest.mark.parametrize("text", """in 1984 and 1999-2000|12 + 13 = 25|12+13=25|$1,234,567.89
    |ISBN 978-3-16-148410-0|ISBN 0-306-40615-2|9783161484100|2019-12-31 23:59:59|3.14159265358979
    |0.4111111111111111|192.168.0.1|10.0.0.1|127.0.0.1|169.254.1.1|fe80::1|::1|fd00:1234::1
    |version 88.0.43.182|v1.20.30.40|section 1.2.3.4|1.22.333.4444|1 234 567 890|+12 + 13
    |+12.50 13.60 14.70|+2.123456789012|000-12-3456|900-12-3456|666-12-3456|123-00-4567|123-45-0000
    |4111 1111 1111 1112|1234567890123456|4111111111111111.5|std::vector<int>|12:30:45
    |call 1999-2000|born 12/05/1987|on call 2019-05-06|a@b|@user|5 @ 3.50|1234 5678 9012
    |10,000,000,000|call 10.30-11.30|telephone 1876|phone 12.99|2020 2021 2022 2023 2024
    |255.255.255.255|999.999.999.999|http://x.org/12345678901|+100,000,000|123-45-67890
    |1-2-3-4-5-6-7|2 4 6 8 10 12 14 16|100-200-3000|2019-01-01T00:00+01:00|a-415-555-2671
    |123456789|£4 111.11|Figure 3.1-415|1914-18, 1939-45|415-555-26711""".split("|"))
def test_other_numbers_are_left_alone(text):
    text = text.strip()
    assert mask_personal(text) == (text, {})

@pytest.mark.parametrize("text", """Upgrade the driver to 42.12.14.17 before you start
    |The assembly is Foo.Bar 12.0.34.251 in NuGet|"version": "64.12.33.18"|firmware: 12.33.44.55
    |released as 14.22.33.44|the plugin needs 12.14.16.18|Kernel 42.12.14.17|section 12.13.14.15
    |library 33.44.55.66 was installed|on the server, version 64.12.33.18|== 12.14.16.18 Changes
    |## [71.128.14.10] - 2026-09-02|12.13.14.15 Scope of this part|12.3.14.25. Terms""".split("|"))
def test_versions_and_sections_are_no_addresses(text):
    assert mask_personal(text.strip()) == (text.strip(), {})


@pytest.mark.parametrize("text", """the server 52.12.14.17 answers|ping 52.12.14.17|IP: 52.12.14.17
    |Log in to 52.12.14.17 now|visited from 52.12.14.17|52.12.14.17 - - [10/Oct/2000
    |52.120.14.17 Ohio
    |the version of the server at 52.12.14.17|upgrade the router, 52.12.14.17|"ip": "52.12.14.17"
    |52.12.14.17""".split("|"))
def test_addresses_are_known_by_the_words_before_them(text):
    assert mask_personal(text.strip())[1] == {"ipv4": 1}


@pytest.mark.parametrize("text", """We call 1000000 functions each second
    |Mobile: 12500000 subscribers
    |call 1234567 times|Mobile: 8300000|call number is 025.04 2012|call number 4567891
    |+15 -20 -30 -40 -50 points|+12 +13 -14 +15 +16|The clock said +1700000000 then|+1234567890
    |logo@2x.png|icon@3x.svg, a@b.css|main@2.x.js|user@1.0.0.tgz|sprite@1.5x.JPEG""".split("|"))
def test_counts_signed_numbers_and_files_are_no_personal_data(text):
    assert mask_personal(text.strip()) == (text.strip(), {})


@pytest.mark.parametrize("text", ["call 5551234 now", "Call 5551234.", "phone 0770090012 or",
                                  "phone 5551234 always", "dial 5551234 days and nights"])
def test_numbers_to_call_are_masked_whatever_follows(text):
    assert mask_personal(text)[1] == {"phone": 1}


PIECES = [*"01259 -.()+/:@a,_é\n", "tel ", "ssn ", "a@b.cc", "x.com", "8.8.4.45", "415-555-2671",
          "2a00:1450:4001:82a::200e", "4111 1111 1111 1111", "+44 20 7946 0958", "123-45-6789",
          "(415) 555-2671", "1 ", "+1", "4111", "555", *MASKS.values()]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=1000)
def test_masking_twice_is_masking_once(text):
    masked, _ = mask_personal(text)
    assert mask_personal(masked) == (masked, {})


def test_kinds_are_counted():
    text, counts = mask_personal("a@b.org, c@d.org; +44 20 7946 0958, 415-555-2671; 8.8.4.45")
    assert counts == {"email": 2, "phone": 2, "ipv4": 1}
    assert text == "email@example.com, email@example.com; 202-555-0100, 202-555-0100; 192.0.2.1"
