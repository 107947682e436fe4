"""Tokens to a tree: a precedence-climbing parser with bounds on nesting.

Binding, from loose to tight: + −; × ÷ mod of; sign; ^ (from the right); ! % ° squared cubed. Text that people read in
two ways is not parsed (NotMine): `6/2(1+2)`, `15% - 5`, "square root of 16 plus 9", `80 + 15% + 5%`, `50 + 30 + 10%`;
what spaces say about grouping is in `spacing`. The whole token list must be used. It computes nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction

from toolset.calculator.bounds import MAX_DEPTH
from toolset.calculator.errors import NotMine, TooLarge
from toolset.calculator.lexer import Token, tokenize
from toolset.calculator.names import named
from toolset.calculator.spacing import is_fraction as is_fraction_at
from toolset.calculator.spacing import is_ratio, is_tight, splits
from toolset.calculator.syntax import (
    Binary,
    Call,
    Change,
    Constant,
    Degrees,
    Negative,
    Node,
    Number,
    Of,
    Percent,
    is_fraction,
    is_percentage,
    plain,
    show,
)
from toolset.calculator.vocabulary import (
    BINDING,
    CONSTANTS,
    FUNCTIONS,
    LISTS,
    ORDINALS,
    PAIRS,
    PHRASES,
    POWERS,
)


def parse(text: str) -> Node:
    """The tree of a whole expression. Raises NotMine where the text is no expression or has two readings.

    The comma of `gcd(12,180)` could group thousands or part arguments: the reading that makes sense is taken, and
    where both do the text is not parsed. In prose a comma without a space groups ("the average of 1,200 and 300"), but
    where it could as well part two numbers of three digits ("the sum of 100,200 and 300").
    """
    if "," not in text or not any(name in text.lower() for name in (*LISTS, *PAIRS)):
        return Parser(tokenize(text)).whole()
    prose = "(" not in text
    readings: list[Node] = []
    for thousands in (True, False):
        try:
            reading = Parser(tokenize(text, thousands=thousands)).whole()
        except TooLarge:
            raise
        except NotMine:
            continue
        if reading not in readings:
            readings.append(reading)
        if prose and not LISTED.search(text):
            break
    if len(readings) != 1:
        raise NotMine(f"{len(readings)} readings of the comma")
    return readings[0]


LISTED = re.compile(r"(?<![0-9,.])[0-9]{3},[0-9]{3}(?![0-9])|[0-9],[0-9]{3},[0-9]")
"""Numbers that a comma may part as well as group."""


def parse_operand(text: str) -> Node:
    """The tree of a single operand, such as the last one of a command: a number, a fraction or power without spaces, a
    function's value, anything in parentheses. Raises NotMine for others: "4 plus 2" in "multiply 3 by 4 plus 2".
    """
    node = parse(text)
    tied = isinstance(node, Binary) and node.operator in "/^" and is_operand(node.left) and is_operand(node.right)
    if is_operand(node) or (tied and not re.search(r"\s|÷", text)) or in_parentheses(text):
        return node
    raise NotMine("an operand that may end before its operator")


def in_parentheses(text: str) -> bool:
    """Whether one pair of parentheses holds the whole text."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at > 0 and at == len(text) - 1
    return False


def is_operand(node: Node) -> bool:
    """Whether nothing in the node could be parted from it."""
    match node:
        case Negative(operand) | Percent(operand) | Degrees(operand):
            return is_operand(operand)
        case Of(_, whole):
            return is_operand(whole)
    return isinstance(node, Number | Constant | Call)


class Parser:
    """A cursor over tokens; each method reads one construct or raises NotMine."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.wrapped: set[int] = set()  # nodes that stood in parentheses, by id; the tree keeps them alive
        self.fractions: set[int] = set()  # where a fraction without spaces is one number

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def words(self, *words: str) -> bool:
        """Take these words if they come next."""
        here = self.tokens[self.at : self.at + len(words)]
        if len(here) == len(words) and all(token.is_word(word) for token, word in zip(here, words, strict=True)):
            self.at += len(words)
            return True
        return False

    def op(self, text: str) -> bool:
        if self.token.is_op(text):
            self.at += 1
            return True
        return False

    def whole(self) -> Node:
        node = self.expression()
        if self.token.kind != "end":
            raise NotMine(f"{self.token.text!r} is left over")
        return node

    def nested(self, read, *arguments) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge(f"more than {MAX_DEPTH} levels")
        node = read(*arguments)
        self.depth -= 1
        return node

    def expression(self, binding: int = 0) -> Node:
        return self.nested(self._expression, binding)

    def _expression(self, binding: int) -> Node:
        begin, left = self.at, self.prefix()
        while True:
            start, (operator, in_words) = self.at, self.operator()
            if operator is None:
                if not self.multiplies_silently(left):
                    return left
                operator = "silent"
            strength = 3 if operator == "silent" else BINDING[operator]
            if strength <= binding:
                self.at = start
                return left
            if operator == "silent":
                left = self.silent_product(left)
            else:
                right = self.right_operand(operator, in_words, begin, start)
                if self.tokens[start].is_word("over", "mod", "modulo"):
                    self.check_neighbours(left, begin, start)
                left = self.combine(operator, left, right)

    def operator(self) -> tuple[str | None, bool]:
        """The binary operator that comes next, taken, and whether it was in words."""
        token = self.token
        if token.is_op("+", "-", "*", "/", "÷", "^", "%"):  # a modulo: a percent sign is taken by postfix()
            self.at += 1
            return "/" if token.text == "÷" else token.text, False
        if token.is_word("x"):
            self.at += 1
            following = self.token
            if not (token.space_before and token.space_after) or (following.is_op("-") and following.space_after):
                raise NotMine("an x that may be an unknown")  # 2x - 3
            return "*", False
        if self.words("of"):
            return "of", True
        for phrase, operator in PHRASES:
            if self.words(*phrase):
                return operator, True
        if self.words("to", "the"):
            ordinal = self.token
            self.at += 1
            if ordinal.kind == "word" and ordinal.text in ORDINALS:
                self.at -= 1
                self.tokens[self.at] = Token("number", str(ORDINALS[ordinal.text]), Fraction(ORDINALS[ordinal.text]))
                if self.tokens[self.at + 1].is_word("power"):
                    del self.tokens[self.at + 1]
                return "^", True
            raise NotMine("'to the' what?")
        return None, False

    def right_operand(self, operator: str, in_words: bool, begin: int, start: int) -> Node:
        """The right operand of an operator at `start` whose left operand begins at `begin`.

        Raises NotMine where a neighbour may belong to an operand.
        """
        sign = self.tokens[start]
        if operator in ("/", "mod", "of", "^") and (in_words or sign.text == "÷"):
            signed = self.token.is_op("-") or self.token.is_word("minus", "negative")
            if is_fraction_at(self.tokens, self.at + signed):
                self.fractions.add(self.at + signed)
        node = self.expression(3 if operator == "^" else BINDING[operator])
        spaced = sign.space_before or sign.text == "÷"
        if splits(self.tokens, operator, spaced=spaced, in_words=in_words, left=begin, right=self.at):
            raise NotMine("spaces that group otherwise than the operators do")
        if operator == "^" and show(node) in ("1", "-1") and is_tight(self.tokens, self.at):
            raise NotMine("a power of 1, or of a fraction")
        if operator == "^" and in_words:
            one = id(node) in self.wrapped or not (isinstance(node, Binary) or show(node).endswith("!"))
            if not (one and (self.tokens[start + 2].kind == "number" or self.at_end())):
                raise NotMine("an operator after a power in words")
        return node

    def at_end(self) -> bool:
        """Whether the text, or a part of it in parentheses, ends here."""
        return self.token.kind == "end" or self.token.is_op(")", ",")

    def check_neighbours(self, left: Node, begin: int, start: int) -> None:
        """Raise NotMine where other operations stand beside "over" or "mod", which for some bind more loosely."""
        one = is_operand(left) or id(left) in self.wrapped or (isinstance(left, Binary) and left.operator == "^")
        alone = begin == 0 or self.tokens[begin - 1].is_op("(", ",")
        if not (alone and self.at_end() and (one or (is_fraction_at(self.tokens, begin) and start == begin + 3))):
            raise NotMine("a fraction in words, or a modulo, beside another operation")

    def combine(self, operator: str, left: Node, right: Node) -> Node:
        """The node of a binary operator; where percentages take part, only in their unambiguous forms."""
        if isinstance(left, Degrees) or isinstance(right, Degrees):
            raise NotMine("arithmetic on angles")
        if operator == "of":
            if not (isinstance(left, Percent) or is_fraction(left)):
                raise NotMine("'of' without a share")
            if self.more_in_words() or self.tokens[self.at - 1].is_word("squared", "cubed"):
                raise NotMine("'of' followed by an operator in words groups either way")
            return Of(left, right)
        if operator in "+-":
            if any(self.scales_percentage(side) for side in (left, right)):
                raise NotMine("a multiple of a percentage, of 1 or of the other term")
            if is_percentage(left) != is_percentage(right):
                chained = isinstance(left, Change | Of) or (isinstance(left, Binary) and left.operator in "+-")
                if isinstance(right, Percent) and (not chained or id(left) in self.wrapped):
                    return Change(operator, left, right)
                raise NotMine("a percentage plus or minus a number, or of which of them")
            if isinstance(left, Change) and id(left) not in self.wrapped:
                raise NotMine("a chain after a percentage change")
        elif operator in ("mod", "%", "^"):
            return Binary(operator, plain(left), plain(right))
        if isinstance(left, Of) and operator in "*/":
            raise NotMine("'of' in a product groups either way")
        return Binary(operator, left, right)

    def scales_percentage(self, node: Node) -> bool:
        """`5% * 2`, `2 * 5%`; not in parentheses."""
        return (
            isinstance(node, Binary)
            and node.operator in "*/"
            and id(node) not in self.wrapped
            and (isinstance(node.left, Percent) or isinstance(node.right, Percent))
        )

    def more_in_words(self) -> bool:
        start = self.at
        operator, in_words = self.operator()
        self.at = start
        return operator is not None and in_words

    def multiplies_silently(self, left: Node) -> bool:
        """Whether a product without a sign comes next: 2(3+4), 2pi, (1+2)(3+4)."""
        token = self.token
        if token.is_op("("):  # `sqrt(2)(3)` and `5 (3)` could mean more than one thing
            return not isinstance(left, Percent | Of | Degrees | Call) and not token.space_before
        return token.is_word("pi", "tau") and isinstance(left, Number) and not token.space_before

    def silent_product(self, left: Node) -> Node:
        """Read it; `1/2pi` and `6/2(1+2)` are read in two ways, so nothing may stand left or right at its level."""
        before = self.tokens[: self.at]
        depth = 0
        for token in reversed(before):
            depth += token.is_op(")") - token.is_op("(")
            if depth < 0 or (depth == 0 and token.is_op("+", "-", ",")):
                break
            if (depth == 0 and token.is_op("/", "÷", "%", "^")) or token.is_word("of", "over", "divided", "mod"):
                raise NotMine("a product without a sign after a division")
        right = self.prefix()
        if self.op("^"):
            right = Binary("^", plain(right), plain(self.expression(3)))
        return Binary("*", plain(left), plain(right))

    def prefix(self) -> Node:
        """A signed, possibly postfixed operand."""
        start = self.at
        if self.op("-") or self.words("minus") or self.words("negative"):
            operand = self.nested(self.expression, 3)
            in_words = any(token.is_word(*POWERS) for token in self.tokens[start : self.at])
            if in_words and isinstance(operand, Binary) and id(operand) not in self.wrapped:
                raise NotMine("a power in words of a negative number, or its negative")
            return Degrees(Negative(operand.operand)) if isinstance(operand, Degrees) else Negative(operand)
        if self.token.is_op("+") and self.at == 0:
            raise NotMine("a leading plus")  # a phone number more often than a sum
        return self.postfix(self.primary(), start)

    def postfix(self, node: Node, start: int) -> Node:
        """`node`, which began at `start`, with the signs and words that follow it."""
        while True:
            token = self.token
            if token.is_op("!"):
                if self.tokens[self.at + 1].is_op("!") or token.space_before:
                    raise NotMine("a double factorial, or an exclamation")
                self.at += 1
                node = Call("factorial", (plain(node),))
            elif token.is_op("%") and self.is_percent_sign():
                self.at += 1
                node = Percent(plain(node))
            elif self.words("percent") or self.words("per", "cent") or self.words("pct"):
                node = Percent(plain(node))
            elif token.is_word("squared", "cubed"):
                if is_tight(self.tokens, start - 1):
                    raise NotMine("a power in words of one operand, or of all that is tied to it")
                self.at += 1
                exponent = 2 if token.text == "squared" else 3
                node = Binary("^", plain(node), Number(Fraction(exponent), str(exponent)))
            elif token.kind == "power":
                self.at += 1
                exponent = Number(token.value, token.text)
                node = Binary("^", plain(node), Negative(exponent) if token.joined else exponent)
            elif token.is_word("degrees", "degree", "deg"):
                self.at += 1
                node = Degrees(plain(node))
            elif token.is_word("choose", "npr", "ncr") and isinstance(node, Number):
                self.at += 1
                if self.token.kind != "number":
                    raise NotMine("choose how many?")
                name = "permutations" if token.text == "npr" else "choose"
                node = Call(name, (node, self.primary()))
                if not self.at_end() or (start and not self.tokens[start - 1].is_op("(", ",")):
                    raise NotMine("a choice beside another operation")
            else:
                return node

    def is_percent_sign(self) -> bool:
        """`15% of`, `15% + 2`, `(15%)` hold percent signs; `10 % 3`, `10%3` a modulo; `15% 80`, `10 % -3` neither."""
        sign, following = self.token, self.tokens[self.at + 1]
        if following.is_op("-") and sign.space_before and not following.space_after:
            raise NotMine("a percentage minus a number, or a modulo of a negative one")
        starts_operand = following.kind == "number" or following.is_op("(") or following.is_word(*FUNCTIONS, *CONSTANTS)
        if not starts_operand:
            return True
        if sign.space_before != sign.space_after:
            raise NotMine("a percent sign before an operand")
        return False

    def primary(self) -> Node:
        token = self.token
        if token.kind == "number":
            if self.takes_fraction():
                return self.fraction()
            self.at += 1
            if self.token.kind == "number":
                raise NotMine("two numbers in a row")
            return Number(token.value, token.text)
        if self.op("("):
            node = self.expression()
            if not self.op(")"):
                raise NotMine("a parenthesis that does not close")
            self.wrapped.add(id(node))
            return node
        if token.kind != "word":
            raise NotMine(f"{token.text!r} where a number should be")
        if self.words("the"):
            return self.primary()
        return named(self)

    def takes_fraction(self) -> bool:
        """Whether the fraction without spaces that starts here is one operand: before "squared" or a percent sign."""
        at = self.at
        if not is_ratio(self.tokens, at):
            return False
        self.at += 3
        percent = self.token.is_word("percent", "pct", "per") or (self.token.is_op("%") and self.is_percent_sign())
        self.at = at
        if percent:
            above, below = self.tokens[at].value, self.tokens[at + 2].value
            tied = is_tight(self.tokens, at - 1) and not self.tokens[at - 1].is_op("+", "-")
            if tied or above >= below or above.denominator != 1 or below.denominator != 1:
                raise NotMine("a fraction of a percent, or a number over a percentage")
            return True
        powered = self.tokens[at + 3].is_word("squared", "cubed", "raised", "to")
        return is_fraction_at(self.tokens, at) and (powered or at in self.fractions)

    def fraction(self) -> Node:
        """`3/4` as one operand."""
        above, below = self.tokens[self.at], self.tokens[self.at + 2]
        self.at += 3
        node = Binary("/", Number(above.value, above.text), Number(below.value, below.text))
        self.wrapped.add(id(node))
        return node
