"""Questions about whole numbers: primes, factors, divisors, number bases, Roman numerals. All work is bounded."""

from __future__ import annotations

from toolset.calculator.errors import NotMine, TooLarge

MAX_FACTORED = 10**12
"""Largest number taken apart: at most a million trial divisions by 6k ± 1."""
WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
MAX_TESTED = 318_665_857_834_031_151_167_461
"""Below it, Miller-Rabin with the first twelve primes is a proof (Sorenson & Webster 2015)."""
BASES = {"binary": (2, "b"), "octal": (8, "o"), "hex": (16, "x"), "hexadecimal": (16, "x")}
ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


def is_prime(number: int) -> bool:
    """Deterministic Miller-Rabin. Raises TooLarge past the bound up to which it is a proof."""
    if number < 2:
        return False
    if number >= MAX_TESTED:
        raise TooLarge("the primality of a number past the bound")
    for prime in WITNESSES:
        if number % prime == 0:
            return number == prime
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for witness in WITNESSES:
        power = pow(witness, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def factors(number: int) -> dict[int, int]:
    """Prime factors and their exponents of a number from 2 to MAX_FACTORED."""
    if number < 2:
        raise NotMine("no prime factors")
    if number > MAX_FACTORED:
        raise TooLarge("the factors of a number past the bound")
    found: dict[int, int] = {}
    rest, candidate = number, 2
    while candidate * candidate <= rest and not (candidate > 1000 and is_prime(rest)):
        while rest % candidate == 0:
            found[candidate] = found.get(candidate, 0) + 1
            rest //= candidate
        candidate += 1 if candidate == 2 else 2 if candidate == 3 or candidate % 6 == 5 else 4
    if rest > 1:
        found[rest] = found.get(rest, 0) + 1
    return found


def product_text(found: dict[int, int]) -> str:
    return " * ".join(f"{prime}^{power}" if power > 1 else str(prime) for prime, power in found.items())


def primality(number: int) -> str:
    if is_prime(number):
        return f"{number} is prime"
    if 2 <= number <= MAX_FACTORED:
        return f"{number} is not prime: {number} = {product_text(factors(number))}"
    return f"{number} is not prime"


def factorization(number: int) -> str:
    found = factors(number)
    return f"{number} is prime" if found == {number: 1} else f"{number} = {product_text(found)}"


def divisors(number: int) -> str:
    if not 1 <= number <= MAX_FACTORED:
        raise TooLarge("the divisors of a number past the bound")
    all_divisors = [1]
    for prime, power in factors(number).items() if number > 1 else ():
        all_divisors = [divisor * prime**exponent for divisor in all_divisors for exponent in range(power + 1)]
    if len(all_divisors) > 200:
        raise TooLarge(f"{len(all_divisors)} divisors")
    return f"the divisors of {number} are {', '.join(map(str, sorted(all_divisors)))}"


def in_base(number: int, base: str) -> str:
    if number < 0 or number.bit_length() > 128:
        raise NotMine("a negative or long number in another base")
    return f"{number} = {format(number, '#' + BASES[base.lower()][1])}"


def from_base(digits: str) -> str:
    return f"{digits} = {int(digits, 0)}"


def from_named_base(digits: str, base: str) -> str:
    radix, letter = BASES[base.lower()]
    try:
        value = int(digits, radix)
    except ValueError:
        raise NotMine("digits of another base") from None
    return f"0{letter}{digits} = {value}"


def roman(number: int) -> str:
    if not 1 <= number <= 3999:
        raise NotMine("no Roman numeral")
    rest, text = number, ""
    for value, letters in ROMAN:
        count, rest = divmod(rest, value)
        text += letters * count
    return f"{number} = {text}"
