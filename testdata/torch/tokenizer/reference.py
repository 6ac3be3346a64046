"""The Python library's answers, without truncation, padding and dropout.

Reads texts as JSON strings, one per line. Writes for each the token ids with special tokens as text, and with special tokens
parsed. The argument is a tokenizer.json."""

import json
import sys

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.no_truncation()
tokenizer.no_padding()
if getattr(tokenizer.model, "dropout", None) is not None:
    tokenizer.model.dropout = None
texts = [json.loads(line) for line in sys.stdin]


def encode(special):
    tokenizer.encode_special_tokens = not special
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


for plain, special in zip(encode(False), encode(True)):
    print(json.dumps([plain, special]))
