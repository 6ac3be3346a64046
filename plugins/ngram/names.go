package ngram

import "context"

// TokenTexts implements sdk.TokenNamer.
func (m model) TokenTexts(_ context.Context, ids []int32) ([][]byte, error) {
	texts := make([][]byte, len(ids))
	names := m.names()
	for i, id := range ids {
		texts[i] = names(id)
	}
	return texts, nil
}

func (byteLanguage) names() func(id int32) []byte {
	return func(id int32) []byte {
		if id >= bytesEnd {
			return nil
		}
		return []byte{byte(id)}
	}
}

func (l wordLanguage) names() func(id int32) []byte {
	words := make([]string, len(l.words))
	for word, i := range l.words {
		words[i] = word
	}
	return func(id int32) []byte {
		switch {
		case id >= firstWord:
			return []byte(words[id-firstWord])
		case id == wordsEnd:
			return nil
		}
		return []byte{byte(id % lastByte)}
	}
}
