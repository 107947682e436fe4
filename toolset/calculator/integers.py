"""Questions about whole numbers: primes, factors, divisors, number bases, Roman numerals. All work is bounded."""

from __future__ import annotations

from math import gcd

from toolset.calculator.errors import NotMine, TooLarge

MAX_FACTORED = 10**12
"""Largest number taken apart: its divisors could be more than a line holds, its prime factors take milliseconds."""
SMALL = 1_000
"""Below it factors are found by trial division; what is left of a number up to MAX_FACTORED has at most three."""
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
    rest = number
    for candidate in (2, *range(3, SMALL, 2)):
        while rest % candidate == 0:
            found[candidate] = found.get(candidate, 0) + 1
            rest //= candidate
    for prime in sorted(large_primes(rest)):
        found[prime] = found.get(prime, 0) + 1
    return found


def large_primes(rest: int) -> list[int]:
    """The prime factors of a number without small ones, each as often as it divides it."""
    if rest == 1:
        return []
    if is_prime(rest):
        return [rest]
    divisor = proper_divisor(rest)
    return large_primes(divisor) + large_primes(rest // divisor)


def proper_divisor(composite: int) -> int:
    """A divisor other than 1 and the number itself, by Pollard's rho (1975): about sqrt(p) steps for a prime factor p.

    Where a walk closes without one, the next begins; each is x -> x^2 + shift, so the work is the same every time.
    """
    divisor, shift = composite, 0
    while divisor == composite:
        slow, fast, divisor, shift = 2, 2, 1, shift + 1
        while divisor == 1:
            slow = (slow * slow + shift) % composite
            fast = (fast * fast + shift) % composite
            fast = (fast * fast + shift) % composite
            divisor = gcd(slow - fast, composite)
    return divisor


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
    """`0b101 = 5`; the digits may have the prefix of their base already."""
    radix, letter = BASES[base.lower()]
    try:
        value = int(digits, radix)
    except ValueError:
        raise NotMine("digits of another base") from None
    prefix = "" if digits[:2].lower() == f"0{letter}" else f"0{letter}"
    return f"{prefix}{digits} = {value}"


def roman(number: int) -> str:
    if not 1 <= number <= 3999:
        raise NotMine("no Roman numeral")
    rest, text = number, ""
    for value, letters in ROMAN:
        count, rest = divmod(rest, value)
        text += letters * count
    return f"{number} = {text}"
