package ngram

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"surprisal.dev/plugins/ngram/kneserney"
	"surprisal.dev/plugins/sdk"
)

// parameters returns the number of parameters of the model in a file: its distinct n-grams, each of which has a
// probability. A model of words also counts the n-grams of its spelling. It does not verify the file's checksum.
func parameters(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, sdk.Invalid("model file %q does not exist; train the model again", path)
	}
	if err != nil {
		return 0, fmt.Errorf("read model file: %w", err)
	}
	n, err := ngrams(data)
	if err != nil {
		return 0, sdk.Invalid("model file %q: %v; train the model again", path, err)
	}
	return n, nil
}

func ngrams(data []byte) (int64, error) {
	const head = len(fileMagic) + 2
	if len(data) < head+sha256.Size || !bytes.HasPrefix(data, []byte(fileMagic)) {
		return 0, errors.New("not an n-gram model file")
	}
	content := data[head : len(data)-sha256.Size]
	if data[head-1] == fileBytes {
		n, _, err := kneserney.Size(content, bytesVocabulary)
		return n, err
	}
	words, n := binary.Uvarint(content)
	if n <= 0 || words > uint64(len(content)) {
		return 0, errors.New("words: the number of words is out of range")
	}
	content = content[n:]
	for i := range words {
		size, n := binary.Uvarint(content)
		if n <= 0 || size > uint64(len(content)-n) {
			return 0, fmt.Errorf("words: word %d of %d is out of range", i, words)
		}
		content = content[uint64(n)+size:]
	}
	pieces, rest, err := kneserney.Size(content, wordSymbolCount(int(words)))
	if err != nil {
		return 0, fmt.Errorf("words: %w", err)
	}
	spelling, _, err := kneserney.Size(rest, spellingVocabulary)
	if err != nil {
		return 0, fmt.Errorf("spelling: %w", err)
	}
	return pieces + spelling, nil
}
