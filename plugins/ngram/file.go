package ngram

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"surprisal.dev/plugins/ngram/kneserney"
)

// A model file begins with fileMagic and the versions of the format and of the tokenization (one byte each). For words,
// the sorted vocabulary follows: its size, then each word's length and bytes. Numbers are unsigned varints. Then come
// the counts of each of the language's models, and the SHA-256 of all preceding bytes.
const (
	fileMagic   = "surprisal n-gram"
	fileVersion = 1

	fileBytes = 0
	fileWords = 1
)

// writeFile calls write with a writer for a model file's content and adds the header and the checksum.
func writeFile(w io.Writer, tokens byte, write func(*bufio.Writer) error) error {
	hash := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(w, hash), 1<<20)
	_, _ = b.WriteString(fileMagic) // a bufio.Writer keeps its first error for Flush
	_, _ = b.Write([]byte{fileVersion, tokens})
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write model file: %w", err)
	}
	if _, err := w.Write(hash.Sum(nil)); err != nil {
		return fmt.Errorf("write model file: %w", err)
	}
	return nil
}

func writeWords(b *bufio.Writer, words []string) {
	_, _ = b.Write(binary.AppendUvarint(nil, uint64(len(words))))
	for _, word := range words {
		_, _ = b.Write(binary.AppendUvarint(nil, uint64(len(word))))
		_, _ = b.WriteString(word)
	}
}

// readFile returns the language of a model file. It treats data as untrusted.
func readFile(data []byte) (language, error) {
	const head = len(fileMagic) + 2
	if len(data) < head+sha256.Size || string(data[:len(fileMagic)]) != fileMagic {
		return nil, errors.New("not an n-gram model file")
	}
	if version := data[len(fileMagic)]; version != fileVersion {
		return nil, fmt.Errorf("unsupported model file version %d; this program reads version %d", version, fileVersion)
	}
	content, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(content); !bytes.Equal(got[:], sum) {
		return nil, errors.New("corrupt or truncated: its checksum does not match")
	}
	l, rest, err := readLanguage(content[head-1], content[head:])
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes of trailing data", len(rest))
	}
	return l, nil
}

func readLanguage(tokens byte, data []byte) (language, []byte, error) {
	switch tokens {
	case fileBytes:
		counts, rest, err := kneserney.Read(data, bytesVocabulary)
		return byteLanguage{model: counts}, rest, err
	case fileWords:
		words, rest, err := readWords(data)
		if err != nil {
			return nil, nil, err
		}
		pieces, rest, err := kneserney.Read(rest, wordSymbolCount(len(words)))
		if err != nil {
			return nil, nil, fmt.Errorf("words: %w", err)
		}
		spelling, rest, err := kneserney.Read(rest, spellingVocabulary)
		if err != nil {
			return nil, nil, fmt.Errorf("spelling: %w", err)
		}
		return wordLanguage{words: words, pieces: pieces, spelling: spelling}, rest, nil
	}
	return nil, nil, fmt.Errorf("unknown tokenization %d", tokens)
}

func readWords(data []byte) (map[string]uint32, []byte, error) {
	count, n := binary.Uvarint(data)
	// A word needs at least two bytes, and its token id fits 31 bits.
	if n <= 0 || count > uint64(min(len(data)/2, math.MaxInt32-firstWord)) {
		return nil, nil, errors.New("words: the number of words is out of range")
	}
	data = data[n:]
	words := make(map[string]uint32, count)
	last := ""
	for i := range count {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return nil, nil, fmt.Errorf("words: word %d of %d is out of range", i, count)
		}
		word := string(data[n : uint64(n)+size])
		if word <= last {
			return nil, nil, fmt.Errorf("words: word %d, %q, is not after %q", i, word, last)
		}
		words[word], last = uint32(i), word
		data = data[uint64(n)+size:]
	}
	return words, data, nil
}
