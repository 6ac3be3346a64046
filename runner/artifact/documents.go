package artifact

import (
	"encoding/json"
	"iter"

	"surprisal.dev/plugins/protocol"
)

// Counts are facts about the documents that depend only on the documents.
type Counts struct {
	Documents int64 `json:"documents"`
	// Bytes counts the bytes of the texts, and ScoredBytes those inside the scored spans.
	Bytes       int64 `json:"bytes"`
	ScoredBytes int64 `json:"scoredBytes"`
	// LargestDocument is the size in bytes of the longest text. It bounds the memory that later actions need.
	LargestDocument int64 `json:"largestDocument"`
	// Words counts the words inside the scored spans: segments by the default rule of Unicode Standard Annex 29 that
	// contain a letter or a number.
	Words int64 `json:"words"`
	// Clusters counts the clusters that a field of the rows names; 0 without such a field.
	Clusters int64 `json:"clusters,omitempty"`
}

// MaxClusters is the maximum number of clusters that a field of a dataset may name.
const MaxClusters = 1 << 18

// FewClusters is the number of clusters below which intervals are rough.
const FewClusters = 40

// Metadata is metadata.json: the origin of the documents and the rows that were skipped.
type Metadata struct {
	Provider  Plugin          `json:"provider"`
	Source    json.RawMessage `json:"source"`
	Revision  string          `json:"revision,omitempty"`
	Files     []protocol.File `json:"files"`
	Fields    []string        `json:"fields"`
	Cluster   string          `json:"cluster,omitempty"`
	Rows      any             `json:"rows"`
	Sample    any             `json:"sample,omitempty"`
	Limits    any             `json:"limits"`
	RowsRead  int64           `json:"rowsRead"`
	Counts    Counts          `json:"counts"`
	Truncated int64           `json:"truncated"`
	// ReplacedBytes counts invalid UTF-8 bytes that became U+FFFD, and ReplacedRows the rows that contained them.
	ReplacedBytes int64 `json:"replacedBytes"`
	ReplacedRows  int64 `json:"replacedRows"`
	// TargetInInput counts supervised documents whose input gives the target away.
	TargetInInput int64 `json:"targetInInput"`
	// Straddling are supervised documents in which a token may hold the end of the input and the beginning of the target.
	Straddling *Straddling `json:"straddling,omitempty"`
	// ChatFramed are documents that are framed as a conversation.
	ChatFramed *ChatFramed        `json:"chatFramed,omitempty"`
	Dropped    map[string]Dropped `json:"dropped"`
}

// Straddling counts supervised documents in which a token may hold the end of the input and the beginning of the target.
type Straddling struct {
	Documents int64 `json:"documents"`
	// Example has the place of the first in the source, and the text around the end of its input.
	Example string `json:"example"`
}

// MeasuredChatFramed is the name of the measurement of a dataset that has the number of such documents.
const MeasuredChatFramed = "chatFramed"

// MeasuredEqual is the name of the measurement of a dataset that has the number of documents that are equal to another.
// It is an estimate if more than MostDistinct of them are different.
const (
	MeasuredEqual = "equalDocuments"
	MostDistinct  = 1 << 16
)

// ChatFramed counts documents that are framed as a conversation, in the template of a model for conversations.
type ChatFramed struct {
	Documents int64 `json:"documents"`
	// Template, Mark and Example are the template of the first such document, a mark in it, and its place in the source.
	Template string `json:"template"`
	Mark     string `json:"mark"`
	Example  string `json:"example"`
}

// Dropped counts the rows that were skipped for a reason, with some examples.
type Dropped struct {
	Rows     int64    `json:"rows"`
	Examples []string `json:"examples"`
}

// Plugin identifies the plugin that made an artifact.
type Plugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Protocol is the version of the plugin protocol.
	Protocol int `json:"protocol"`
	// Digest is the SHA-256 of the plugin's binary.
	Digest string `json:"digest"`
}

// ReadDocuments reads tables of documents one after the other. It calls each with every document before yielding it.
func ReadDocuments(paths []string, each func(protocol.Document)) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		var index int64
		for _, path := range paths {
			for row, err := range documentRows(path) {
				if err != nil {
					yield(protocol.Document{}, err)
					return
				}
				d := protocol.Document{
					Index: index, Shard: row.Shard, Row: row.Row, Text: row.Text, ScoreStart: row.ScoreStart, ScoreEnd: row.ScoreEnd,
					Cluster: row.Cluster,
				}
				index++
				each(d)
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// documentRows reads a table of documents and closes it. It stops after an error.
func documentRows(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		in, err := OpenDocuments(path)
		if err != nil {
			yield(Document{}, err)
			return
		}
		stopped := false
		for row, err := range in.All() {
			if stopped = !yield(row, err) || err != nil; stopped {
				break
			}
		}
		if err := in.Close(); err != nil && !stopped {
			yield(Document{}, err)
		}
	}
}
