package scaling

import (
	"slices"
	"strings"

	"surprisal.dev/runner/artifact"
)

// Limits of lists of documents.
const (
	// listed is the number of documents of a list.
	listed = 5
	// fewestBytes is the size from which a document is listed. Bits per byte of a few bytes say little.
	fewestBytes = 32
	// excerptLimit is the number of code points of an excerpt.
	excerptLimit = 600
)

// Document is a listed document with the losses of all models, in the order of the models.
type Document struct {
	Dataset string `json:"dataset"`
	Shard   string `json:"shard"`
	Row     int64  `json:"row"`
	// Bytes counts the scored bytes.
	Bytes int64 `json:"scoredBytes"`
	// BPB are bits per byte, and Perplexity are perplexities per token.
	BPB        []float64  `json:"bpb"`
	Perplexity []*float64 `json:"perplexityPerToken"`
	// Text is the beginning of the scored text. Cut is true if there is more.
	Text string `json:"text"`
	Cut  bool   `json:"cut"`
}

// ranking holds the documents with the largest values, the largest first. Of equal ones, earlier documents come first.
type ranking struct {
	values    []float64
	documents []Document
}

// add adds a document if its value is among the largest; make makes it.
func (r *ranking) add(value float64, document func() Document) {
	at := len(r.values)
	for at > 0 && r.values[at-1] < value {
		at--
	}
	if at == listed {
		return
	}
	r.values = slices.Insert(r.values, at, value)
	r.documents = slices.Insert(r.documents, at, document())
	if len(r.values) > listed {
		r.values, r.documents = r.values[:listed], r.documents[:listed]
	}
}

// Documents counts and lists the documents of at least fewestBytes scored bytes.
type Documents struct {
	// Hardest and Easiest are by the mean of the models' bits per byte.
	Hardest []Document `json:"hardest"`
	Easiest []Document `json:"easiest"`
	// MostGain and LeastGain are by the difference of bits per byte between the models of Gain. They are null if there is
	// no Gain.
	MostGain  []Document `json:"mostGain"`
	LeastGain []Document `json:"leastGain"`
	// Lower, Equal and Higher count the documents by whether the loss falls from the first model of Gain to the last.
	// Monotone counts those where it falls at each step in the order of x.
	Lower    int64 `json:"lower"`
	Equal    int64 `json:"equal"`
	Higher   int64 `json:"higher"`
	Monotone int64 `json:"monotone"`
}

// ranked ranks documents.
type ranked struct {
	gain                          []int // the models of the main family in the order of x
	hardest, easiest, most, least ranking
	counts                        Documents
}

func (r *ranked) add(dataset string, d *artifact.ScoredDocument, losses []loss) {
	if losses[0].bytes < fewestBytes {
		return
	}
	mean := 0.0
	for _, l := range losses {
		mean += l.bpb() / float64(len(losses))
	}
	document := func() Document {
		out := Document{Dataset: dataset, Shard: strings.Clone(d.Shard), Row: d.Row, Bytes: losses[0].bytes}
		for _, l := range losses {
			out.BPB = append(out.BPB, l.bpb())
			out.Perplexity = append(out.Perplexity, l.perplexity())
		}
		out.Text, out.Cut = excerpt(d.Text, int(d.ScoreStart), int(d.ScoreEnd))
		return out
	}
	r.hardest.add(mean, document)
	r.easiest.add(-mean, document)
	if len(r.gain) == 0 {
		return
	}
	difference := losses[r.gain[0]].bpb() - losses[r.gain[len(r.gain)-1]].bpb()
	r.most.add(difference, document)
	r.least.add(-difference, document)
	switch {
	case difference > 0:
		r.counts.Lower++
	case difference < 0:
		r.counts.Higher++
	default:
		r.counts.Equal++
	}
	for i, m := range r.gain[1:] {
		if losses[m].bpb() >= losses[r.gain[i]].bpb() {
			return
		}
	}
	r.counts.Monotone++
}

func (r *ranked) result() Documents {
	d := r.counts
	d.Hardest, d.Easiest, d.MostGain, d.LeastGain = r.hardest.documents, r.easiest.documents, r.most.documents, r.least.documents
	return d
}

// excerpt returns a copy of the beginning of the bytes [start, end) of a text, and whether it is cut. Characters that
// cross a boundary are left out.
func excerpt(text string, start, end int) (string, bool) {
	part := strings.ToValidUTF8(text[start:end], "")
	n := 0
	for i := range part {
		if n == excerptLimit {
			return strings.Clone(part[:i]), true
		}
		n++
	}
	return strings.Clone(part), false
}
