// Command prefix measures what sharing the prompt of a five-shot set saves. It scores rows whose prompts contain the same
// five examples, and the same rows with a number before each prompt, so that they share nothing. The ratio of seconds is
// compared with that of the floating-point operations of the tokens that are computed. Seconds are processor time of the
// backend, which other load on the machine changes less than elapsed time: with one thread, none of it is waiting.
//
//	go run ./bench/torch/prefix -program bin/runner-backend-torch MODEL...
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"surprisal.dev/bench/torch/model"
	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/graph"
)

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/runner-backend-torch", "the torch backend")
	flag.StringVar(&o.dtype, "dtype", "bfloat16", "the type of weights in memory")
	flag.IntVar(&o.rows, "rows", 200, "the number of rows that share their prompt")
	flag.IntVar(&o.distinct, "distinct", 40, "the number of rows without sharing that are measured")
	flag.IntVar(&o.threads, "threads", 1, "threads of the backend; 0: one per core")
	flag.IntVar(&o.rounds, "rounds", 3, "measurements of each; medians are reported")
	flag.Parse()
	if err := run(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	program, dtype         string
	rows, distinct, rounds int
	threads                int
}

func run(o options, models []string) error {
	set, err := fiveShots(o.rows)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "model\ttokens of a row\tshared\trows/s, shared\trows/s, not shared\tratio\tcounted\tratio / counted")
	for _, path := range models {
		r, err := measure(o, path, set)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		ratio, counted := r.shared.rate()/r.distinct.rate(), r.distinct.operations/r.shared.operations
		fmt.Fprintf(out, "%s\t%.0f\t%.1f%%\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", filepath.Base(path), r.shared.tokens,
			100*r.shared.share, r.shared.rate(), r.distinct.rate(), ratio, counted, ratio/counted)
	}
	return out.Flush()
}

// scored is what was measured of a set. tokens and operations are means of a row; share is that of the shared tokens.
type scored struct {
	rows, tokens, share, operations float64
	seconds                         []float64
}

func (s scored) rate() float64 {
	slices.Sort(s.seconds)
	return s.rows / s.seconds[len(s.seconds)/2]
}

type results struct{ shared, distinct scored }

// measure scores both sets in turn.
func measure(o options, path string, set []row) (r results, err error) {
	m, err := model.Of(path, o.dtype)
	if err != nil {
		return r, err
	}
	m.Config = bytes.Replace(m.Config, []byte(`"threads":0`), fmt.Appendf(nil, `"threads":%d`, o.threads), 1)
	weights, err := checkpoint.Open(path)
	if err != nil {
		return r, err
	}
	architecture := weights.Architecture()
	if err := weights.Close(); err != nil {
		return r, err
	}
	program, err := filepath.Abs(o.program)
	if err != nil {
		return r, err
	}
	h, err := host.New(host.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = cmp.Or(err, h.Close()) }()
	ctx := context.Background()
	backend, err := h.OpenBackend(ctx, []string{program})
	if err != nil {
		return r, err
	}
	loaded, err := backend.Load(ctx, m)
	if err != nil {
		return r, err
	}
	defer func() { err = cmp.Or(err, loaded.Close()) }()
	distinct := slices.Clone(set[:min(o.distinct, len(set))])
	for i := range distinct {
		distinct[i].input = fmt.Sprintf("%d. %s", i, distinct[i].input)
	}
	for range o.rounds {
		for of, rows := range map[*scored][]row{&r.shared: set, &r.distinct: distinct} {
			if err := of.add(ctx, loaded, rows, architecture); err != nil {
				return r, err
			}
			fmt.Fprintf(os.Stderr, "%s: %d rows, %.1f%% shared, in %.1f s\n", filepath.Base(path), len(rows), 100*of.share, of.seconds[len(of.seconds)-1])
		}
	}
	return r, nil
}

// add scores rows once.
func (s *scored) add(ctx context.Context, m *host.Model, rows []row, a graph.Architecture) error {
	settings, err := protocol.Settings{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens}.Resolve(int64(a.Context))
	if err != nil {
		return err
	}
	var tokens, shared, operations float64
	before, err := processorTime()
	if err != nil {
		return err
	}
	err = m.Score(ctx, settings, documents(rows), func(_ protocol.Document, answer protocol.ScoredDocument) error {
		// The prefix token is read, and the last token is not.
		n := len(answer.TokenIDs)
		tokens, shared = tokens+float64(n), shared+float64(answer.SharedTokens)
		all, err := sequence(a, n)
		if err != nil {
			return err
		}
		first, err := sequence(a, int(answer.SharedTokens))
		operations += all - first
		return err
	})
	after, timeErr := processorTime()
	s.seconds = append(s.seconds, (after - before).Seconds())
	s.rows = float64(len(rows))
	s.tokens, s.share, s.operations = tokens/s.rows, shared/tokens, operations/s.rows
	return cmp.Or(err, timeErr)
}

// ticks is the number of clock ticks in a second, in /proc on Linux.
const ticks = 100

// processorTime returns the processor time of the processes that this one has started.
func processorTime() (total time.Duration, err error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that has ended
		}
		if err != nil {
			return 0, err
		}
		for _, pid := range strings.Fields(string(data)) {
			stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
			if err != nil {
				return 0, err
			}
			// The name, in parentheses, may contain spaces. User and system time are the 12th and 13th fields after it.
			_, rest, _ := strings.Cut(string(stat), ") ")
			for _, field := range strings.Fields(rest)[11:13] {
				n, err := strconv.ParseInt(field, 10, 64)
				if err != nil {
					return 0, err
				}
				total += time.Duration(n) * time.Second / ticks
			}
		}
	}
	return total, nil
}

// sequence returns the number of operations for the first tokens of a sequence, their attention included.
func sequence(a graph.Architecture, tokens int) (float64, error) {
	if tokens == 0 {
		return 0, nil
	}
	cost, err := a.Estimate(graph.Workload{Context: tokens, Tokens: tokens, Logits: 1, Ranks: 1, ElementBytes: 2})
	return float64(tokens) * cost.FLOPsPerToken, err
}

func documents(rows []row) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i, r := range rows {
			text := r.input + r.target
			if !yield(protocol.Document{Index: int64(i), Row: int64(i), Text: text, ScoreStart: int32(len(r.input)), ScoreEnd: int32(len(text))}, nil) {
				return
			}
		}
	}
}
