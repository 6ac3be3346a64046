"""Writes tokenizer.json files into a directory.

GPT-2's is made from the encoder.json and vocab.bpe of its package, also with SmolLM2's steps and with bytes that have no token.
Small ones of the other kinds are trained on the text files named.
    variants.py OUT GPT2_DIR TEXT..."""

import json
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

out, gpt2, texts = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
special = "<|endoftext|>"


def byte_level(prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix)


def save(name, tokenizer):
    tokenizer.save(str(out / f"{name}.json"))


vocabulary = json.loads((gpt2 / "encoder.json").read_text())
lines = (gpt2 / "vocab.bpe").read_text().split("\n")
merges = [tuple(line.split(" ")) for line in lines[1:] if line]


def from_gpt2(steps, prefix=False, without=()):
    kept = {t: i for t, i in vocabulary.items() if not set(t) & set(without)}
    pairs = [(a, b) for a, b in merges if a in kept and b in kept and a + b in kept]
    tokenizer = Tokenizer(models.BPE(vocab=kept, merges=pairs))
    tokenizer.pre_tokenizer = steps
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([special])
    return tokenizer


digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])
save("gpt2", from_gpt2(byte_level()))
save("gpt2-digits", from_gpt2(digits))
save("gpt2-prefix", from_gpt2(byte_level(True)))
# The bytes 04 06 13 14 16 1D F1 F2, which SmolLM2 lacks, and the exclamation mark.
save("gpt2-dropping", from_gpt2(digits, without="ĄĆēĔĖĝñò!"))


def train(name, model, trainer, normalizer=None, pre_tokenizer=None):
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train(texts, trainer)
    save(name, tokenizer)


def bpe(**settings):
    return trainers.BpeTrainer(vocab_size=1200, show_progress=False, special_tokens=["<unk>", "<s>"], **settings)


alphabet = pre_tokenizers.ByteLevel.alphabet()
train("bpe-nfkc", models.BPE(), bpe(initial_alphabet=alphabet), normalizers.NFKC(), byte_level())
train("bpe-nfd-lowercase", models.BPE(), bpe(initial_alphabet=alphabet),
      normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]), byte_level(True))
train("bpe-dropping", models.BPE(), bpe(), None, pre_tokenizers.Split(Regex(r"\s+"), "isolated"))
train("bpe-unknown", models.BPE(unk_token="<unk>", fuse_unk=True), bpe(), None, pre_tokenizers.Metaspace())
train("bpe-dropout", models.BPE(dropout=0.5), bpe(initial_alphabet=alphabet), None, byte_level())
train("unigram-metaspace", models.Unigram(),
      trainers.UnigramTrainer(vocab_size=1000, show_progress=False, special_tokens=["<unk>", "<s>"], unk_token="<unk>"),
      normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]), pre_tokenizers.Metaspace())
train("wordpiece-bert", models.WordPiece(unk_token="[UNK]"),
      trainers.WordPieceTrainer(vocab_size=1000, show_progress=False, special_tokens=["[UNK]", "[CLS]"]),
      normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer())
