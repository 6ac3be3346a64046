package sliding

import (
	"math"

	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
)

// Statistics is statistics.json. Counts and means are over the windows of the cursor; those that refine them count for
// passages, strips and characters only. Probabilities are those of the suffix after the prompt, unless a name says
// otherwise, and logarithms are natural unless a name says otherwise.
type Statistics struct {
	Model   string          `json:"model"`
	Dataset string          `json:"dataset"`
	Slicing windows.Slicing `json:"slicing"`
	Refine  *windows.Refine `json:"refine,omitempty"`
	Prefix  string          `json:"prefix"`
	// Dtype is that of the loaded model.
	Dtype string `json:"dtype"`

	Texts      int64 `json:"texts"`
	Characters int64 `json:"characters"`
	Windows    int64 `json:"windows"`
	// Skipped counts the cursors at which there are too few tokens, and SkippedAtEnd those of them whose slice ends with
	// the text. Refining counts the additional windows. TextsWithout counts the texts without a window.
	Skipped      int64 `json:"skipped"`
	SkippedAtEnd int64 `json:"skippedAtEnd"`
	Refining     int64 `json:"refining"`
	TextsWithout int64 `json:"textsWithoutWindows"`

	MaxLogP           float64 `json:"maxLogP"`
	MeanLogP          float64 `json:"meanLogP"`
	MeanWithoutPrompt float64 `json:"meanLogPWithoutPrompt"`
	// MeanDifference is the mean difference that the prompt makes.
	MeanDifference float64 `json:"meanDifference"`
	// Greedy counts the windows whose suffix greedy decoding extracts.
	Greedy      int64   `json:"greedy"`
	GreedyShare float64 `json:"greedyShare"`

	Thresholds   []Threshold    `json:"thresholds"`
	Histogram    []Bin          `json:"histogram"`
	Discoverable []Discoverable `json:"discoverable"`

	// Memorized counts the passages of at least the lowest threshold that are not easy, and Easy the others. Passages has
	// the brightest.
	Memorized int64     `json:"memorizedPassages"`
	Easy      int64     `json:"easyPassages"`
	Passages  []Passage `json:"passages"`
	Strips    []Strip   `json:"strips"`
	Notes     []string  `json:"notes"`
}

// Threshold counts windows and characters by probability.
type Threshold struct {
	// P is a probability, and Windows counts the windows with at least that.
	P       float64 `json:"p" parquet:"p"`
	Windows int64   `json:"windows" parquet:"windows"`
	Share   float64 `json:"share" parquet:"share"`
	// Easy counts those of the windows whose suffix has at least the lowest threshold without its prompt.
	Easy int64 `json:"easy" parquet:"easy"`
	// TopK counts the windows with at least P if each token is drawn from the top k.
	TopK int64 `json:"top_k" parquet:"top_k"`
	// Characters counts the characters that such windows cover, refining ones included.
	Characters     int64   `json:"characters" parquet:"characters"`
	CharacterShare float64 `json:"character_share" parquet:"character_share"`
}

// thresholds are probabilities. From the lowest on, a passage is reported.
var thresholds = []float64{1e-4, 1e-3, 1e-2, 0.1, 0.25, 0.5, 0.75, 0.9}

// lowest is the logarithm of the lowest threshold, likely that of one half.
var (
	lowest = math.Log(thresholds[0])
	likely = math.Log(0.5)
)

// Discoverable is the share of windows that are (n,p)-discoverable for each n of Tries.
type Discoverable struct {
	P float64 `json:"p"`
	// TopK is 0 if tokens are drawn from the whole vocabulary.
	TopK   int64     `json:"topK"`
	Tries  []float64 `json:"tries"`
	Shares []float64 `json:"shares"`
	// Possible is the share for any n: of the windows with a probability above 0.
	Possible float64 `json:"possible"`
}

// discoverableP are the probabilities p of (n,p).
var discoverableP = []float64{0.1, 0.5, 0.9, 0.99, 0.999}

// triesDecades is the largest decimal logarithm of the numbers of tries of a curve.
const triesDecades = 12

// tally counts the windows of the cursor.
type tally struct {
	Statistics
	sum, without float64
	histogram    [2]histogram
	// discovered counts by sampling, p and decade of the number of tries, possible by sampling.
	discovered [2][][]int64
	possible   [2]int64
	characters []int64
	arithmetic string
	// longestWithout is the number of characters of the longest text without a window.
	longestWithout int64
}

func newTally(p parameters) *tally {
	t := &tally{Statistics: Statistics{
		Model: p.Model, Dataset: p.Dataset, Slicing: p.Slicing, Refine: p.Refine, MaxLogP: math.Inf(-1),
		Passages: []Passage{}, Strips: []Strip{}, Notes: []string{},
	}, characters: make([]int64, len(thresholds))}
	for _, p := range thresholds {
		t.Thresholds = append(t.Thresholds, Threshold{P: p})
	}
	for i := range t.discovered {
		t.histogram[i] = histogram{}
		for range discoverableP {
			t.discovered[i] = append(t.discovered[i], make([]int64, triesDecades+1))
		}
	}
	return t
}

// add counts a window of the cursor.
func (t *tally) add(w *artifact.Window) {
	t.Windows++
	t.MaxLogP = max(t.MaxLogP, w.LogP)
	t.sum += w.LogP
	t.without += w.LogPWithoutPrompt
	if w.Greedy() {
		t.Greedy++
	}
	for i := range t.Thresholds {
		at := &t.Thresholds[i]
		limit := math.Log(at.P)
		if w.LogP >= limit {
			at.Windows++
			if w.LogPWithoutPrompt >= lowest {
				at.Easy++
			}
		}
		if w.LogPTopK >= limit {
			at.TopK++
		}
	}
	t.histogram[0].add(w.LogP)
	t.histogram[1].add(w.LogPWithoutPrompt)
	for i, logP := range []float64{w.LogP, w.LogPTopK} {
		if math.IsInf(logP, -1) {
			continue
		}
		t.possible[i]++
		for j, p := range discoverableP {
			n, _ := tries(p, logP)
			for k := range t.discovered[i][j] {
				if n <= math.Pow10(k) {
					t.discovered[i][j][k]++
				}
			}
		}
	}
}

// addCharacter counts a character with the largest log probability of the windows that cover it.
func (t *tally) addCharacter(logP float64) {
	t.Characters++
	for i, p := range thresholds {
		if logP >= math.Log(p) {
			t.characters[i]++
		}
	}
}

// finish computes what follows from the counts.
func (t *tally) finish() {
	n := float64(t.Windows)
	t.MeanLogP, t.MeanWithoutPrompt = t.sum/n, t.without/n
	t.MeanDifference = t.MeanLogP - t.MeanWithoutPrompt
	t.GreedyShare = float64(t.Greedy) / n
	for i := range t.Thresholds {
		at := &t.Thresholds[i]
		at.Share = float64(at.Windows) / n
		at.Characters = t.characters[i]
		at.CharacterShare = float64(at.Characters) / float64(t.Characters)
	}
	t.Histogram = joinHistograms(t.histogram[0], t.histogram[1])
	for i, topK := range []int64{0, t.Slicing.TopK} {
		for j, p := range discoverableP {
			d := Discoverable{P: p, TopK: topK, Possible: float64(t.possible[i]) / n}
			for k, count := range t.discovered[i][j] {
				d.Tries, d.Shares = append(d.Tries, math.Pow10(k)), append(d.Shares, float64(count)/n)
			}
			t.Discoverable = append(t.Discoverable, d)
		}
	}
}
