"""Tokens to a tree: a precedence-climbing parser with bounds on nesting.

Binding, from loose to tight: + −; × ÷ mod of; sign; ^ (from the right); ! % ° squared cubed. Text that people read in
two ways is not parsed (NotMine): `6/2(1+2)`, `15% - 5`, "square root of 16 plus 9", `80 + 15% + 5%`, `50 + 30 + 10%`.
The whole token list must be used. It computes nothing.
"""

from __future__ import annotations

from fractions import Fraction

from toolset.calculator.bounds import MAX_DEPTH
from toolset.calculator.errors import NotMine, TooLarge
from toolset.calculator.lexer import Token, tokenize
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
)
from toolset.calculator.vocabulary import (
    ANGLES,
    BINDING,
    CONSTANTS,
    DIFFERENCES,
    FUNCTIONS,
    LISTS,
    NAMED_LISTS,
    ORDINALS,
    PAIRS,
    PHRASES,
)


def parse(text: str) -> Node:
    """The tree of a whole expression. Raises NotMine where the text is no expression or has two readings.

    The comma of `gcd(12,180)` could group thousands or part arguments: the reading that makes sense is taken, and
    where both do the text is not parsed. In prose ("the average of 1,200 and 300") a comma without a space groups.
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
        if prose:
            break
    if len(readings) != 1:
        raise NotMine(f"{len(readings)} readings of the comma")
    return readings[0]


class Parser:
    """A cursor over tokens; each method reads one construct or raises NotMine."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.wrapped: set[int] = set()  # nodes that stood in parentheses, by id; the tree keeps them alive

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
        left = self.prefix()
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
            elif operator == "^":
                left = Binary("^", plain(left), plain(self.expression(3)))
            else:
                left = self.combine(operator, in_words, left, self.expression(strength))

    def operator(self) -> tuple[str | None, bool]:
        """The binary operator that comes next, taken, and whether it was in words."""
        token = self.token
        if token.is_op("+", "-", "*", "/", "^"):
            self.at += 1
            return token.text, False
        if token.is_op("%"):  # a modulo: a percent sign is taken by postfix()
            self.at += 1
            return "mod", False
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

    def combine(self, operator: str, in_words: bool, left: Node, right: Node) -> Node:
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
            if is_percentage(left) != is_percentage(right):
                chained = isinstance(left, Change) or (isinstance(left, Binary) and left.operator in "+-")
                if isinstance(right, Percent) and (not chained or id(left) in self.wrapped):
                    return Change(operator, left, right)
                raise NotMine("a percentage plus or minus a number, or of which of them")
            if isinstance(left, Change) and id(left) not in self.wrapped:
                raise NotMine("a chain after a percentage change")
        elif operator == "mod":
            return Binary("mod", plain(left), plain(right))
        if isinstance(left, Of) and operator in "*/":
            raise NotMine("'of' in a product groups either way")
        return Binary(operator, left, right)

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
            if (depth == 0 and token.is_op("/", "%", "^")) or token.is_word("of", "over", "divided", "mod"):
                raise NotMine("a product without a sign after a division")
        right = self.prefix()
        if self.op("^"):
            right = Binary("^", plain(right), plain(self.expression(3)))
        return Binary("*", plain(left), plain(right))

    def prefix(self) -> Node:
        """A signed, possibly postfixed operand."""
        if self.op("-") or self.words("minus") or self.words("negative"):
            operand = self.nested(self.expression, 3)
            return Degrees(Negative(operand.operand)) if isinstance(operand, Degrees) else Negative(operand)
        if self.token.is_op("+") and self.at == 0:
            raise NotMine("a leading plus")  # a phone number more often than a sum
        return self.postfix(self.primary())

    def postfix(self, node: Node) -> Node:
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
            elif self.words("squared"):
                node = Binary("^", plain(node), Number(Fraction(2), "2"))
            elif self.words("cubed"):
                node = Binary("^", plain(node), Number(Fraction(3), "3"))
            elif token.is_word("degrees", "degree", "deg"):
                self.at += 1
                node = Degrees(plain(node))
            elif token.is_word("choose", "npr", "ncr") and isinstance(node, Number):
                self.at += 1
                if self.token.kind != "number":
                    raise NotMine("choose how many?")
                name = "permutations" if token.text == "npr" else "choose"
                node = Call(name, (node, self.primary()))
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
        return self.named()

    def named(self) -> Node:
        """A constant or a function, by symbol (`sqrt(16)`) or in words ("the square root of 16")."""
        name = self.token.text
        if name in CONSTANTS:
            self.at += 1
            return Constant(name)
        if self.words("square", "root"):
            return self.call("sqrt")
        if self.words("cube", "root"):
            return self.call("cbrt")
        if name in ORDINALS and self.words(name, "root", "of"):
            self.at -= 1
            return self.root(ORDINALS[name])
        if self.words("natural", "log") or self.words("natural", "logarithm"):
            return self.call("ln")
        if self.words("log", "base") or self.words("logarithm", "base"):
            base = self.primary()
            if not self.words("of"):
                raise NotMine("log base what of what?")
            self.at -= 1
            inner = self.call("log")
            assert isinstance(inner, Call)
            return Call("log", (inner.arguments[0], base))
        for phrase, function in NAMED_LISTS:
            if self.words(*phrase):
                return self.list_call(function)
        if name in ("twice", "double", "triple"):
            self.at += 1
            factor = 3 if name == "triple" else 2
            return Binary("*", Number(Fraction(factor), str(factor)), plain(self.last_operand()))
        self.at += 1
        if name in FUNCTIONS:
            return self.call(FUNCTIONS[name])
        if name in LISTS:
            return self.list_call(LISTS[name])
        if name in PAIRS and self.token.is_op("("):
            return self.list_call(PAIRS[name], exactly=2)
        if name in DIFFERENCES and (self.words("of") or self.words("between")):
            left, right = self.list_items(exactly=2)
            return Binary(DIFFERENCES[name], left, right)
        raise NotMine(f"the word {name!r}")

    def root(self, degree: int) -> Node:
        inner = self.call("sqrt")
        assert isinstance(inner, Call)
        return Call("root", (inner.arguments[0], Number(Fraction(degree), str(degree))))

    def call(self, name: str) -> Node:
        """The argument of a one-argument function, in parentheses or as the last operand."""
        of = self.words("of")
        if self.token.is_op("("):
            arguments = self.arguments(angle=name in ANGLES)
            if name == "log10" and len(arguments) == 2:
                name = "log"
            elif len(arguments) != 1:
                raise NotMine(f"{name} of {len(arguments)} arguments")
            if of and self.token.kind != "end":
                raise NotMine(f"an operator after '{name} of (...)'")
            return Call(name, tuple(arguments))
        operand = self.last_operand()
        if isinstance(operand, Binary) and id(operand) not in self.wrapped:
            raise NotMine("a square after a function without parentheses")
        return Call(name, (operand if name in ANGLES and isinstance(operand, Degrees) else plain(operand),))

    def last_operand(self) -> Node:
        """An operand without parentheses, after which nothing may follow that it could have included."""
        operand = self.nested(self.prefix)
        if isinstance(operand, Degrees) and self.token.is_op("+", "-", "*", "/"):
            return operand
        if not (self.token.kind == "end" or self.token.is_op(")", ",", "=")):
            raise NotMine("an operator after a function without parentheses")
        return operand

    def arguments(self, *, angle: bool = False) -> list[Node]:
        """(a, b, ...)"""
        self.at += 1
        first = self.expression()
        items = [first if angle and isinstance(first, Degrees) else plain(first)]
        while self.op(","):
            items.append(plain(self.expression()))
        if not self.op(")"):
            raise NotMine("arguments that do not close")
        return items

    def list_call(self, name: str, exactly: int | None = None) -> Node:
        if self.token.is_op("("):
            items = self.arguments()
        elif self.words("of"):
            items = self.list_items(exactly)
        else:
            raise NotMine(f"{name} of what?")
        if len(items) < 2 or (exactly and len(items) != exactly):
            raise NotMine(f"{name} of {len(items)} numbers")
        return Call(name, tuple(items))

    def list_items(self, exactly: int | None = None) -> list[Node]:
        """ "3 and 4", "3, 4, and 5" to the end of the text; each item is one operand."""
        if self.op("("):
            self.at -= 1
            items = self.arguments()
        else:
            items = []
            while True:
                if self.token.joined:
                    raise NotMine("an 'and' that parts or belongs to a number")
                items.append(plain(self.nested(self.prefix)))
                comma = self.op(",")
                if not (self.words("and") or comma):
                    break
        if self.token.kind != "end":
            raise NotMine("something after a list")
        if len(items) < 2 or (exactly and len(items) != exactly):
            raise NotMine(f"{len(items)} items")
        return items
