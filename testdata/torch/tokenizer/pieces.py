"""SentencePiece's own answers.

Reads texts as JSON strings, one per line. Writes the tokens of the model named by the argument, their scores and their types
as an object, then the token ids of each text."""

import json
import sys

from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

model = sentencepiece_model_pb2.ModelProto()
with open(sys.argv[1], "rb") as file:
    model.ParseFromString(file.read())
processor = SentencePieceProcessor(model_file=sys.argv[1])
print(json.dumps({
    "pieces": [p.piece for p in model.pieces], "scores": [p.score for p in model.pieces], "types": [p.type for p in model.pieces]}))
for line in sys.stdin:
    print(json.dumps(processor.encode(json.loads(line))))
