"""Prints the class of every code point as a digit, by the regex package: 1 letter, 2 mark, 3 number, 4 white space, 0 other.

A second line has 1 for every code point that readers cannot see, and 0 for the others.
"""

import sys

import regex

CLASSES = [(r"\p{L}", "1"), (r"\p{M}", "2"), (r"\p{N}", "3"), (r"\p{White_Space}", "4")]

text = "".join(map(chr, range(sys.maxunicode + 1)))
out = ["0"] * len(text)
for expression, digit in CLASSES:
    for match in regex.finditer(expression, text):
        if out[match.start()] != "0":
            sys.exit(f"U+{match.start():04X} has two classes")
        out[match.start()] = digit
print("".join(out))

HIDDEN = r"[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Other_Default_Ignorable_Code_Point}]--\p{Prepended_Concatenation_Mark}]"
out = ["0"] * len(text)
for match in regex.finditer(HIDDEN, text, regex.V1):
    out[match.start()] = "1"
print("".join(out))
