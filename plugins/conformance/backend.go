package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
)

// texts returns the texts that the suite scores: ordinary text, and text that is difficult for tokenizers and windows.
func texts() []string {
	return []string{
		"The quick brown fox jumps over the lazy dog. It was not amused, and neither was the dog.\n",
		"",
		"x",
		" ",
		"Grüße aus Köln, 東京から, приве́т! 👩‍👩‍👧 e\u0301 \u200b\ufeff",
		"tab\tand\r\nCRLF\x00NUL \u0085\u2028",
		"<|endoftext|><s></s>[BOS] is text",
		strings.Repeat("a", 3000),
		strings.Repeat("The same sentence again and again. ", 300),
		"\ufffd is a character like any other",
	}
}

func documents(texts []string) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i, text := range texts {
			d := protocol.Document{Dataset: "conformance", Shard: "texts", Row: int64(i), Text: text, ScoreEnd: int32(len(text))}
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (s *suite) backend(b *host.Backend, cases []Case) {
	settings := protocol.Settings{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Context: 64, Stride: 32}
	bad := protocol.Model{Config: json.RawMessage(`[]`)}
	s.check("a configuration that is not a struct is refused as invalid input by Plan", func() error {
		_, err := b.Plan(s.ctx, bad, settings)
		return wantInvalid(err)
	})
	s.check("a configuration that is not a struct is refused as invalid input by Load", func() error {
		_, err := b.Load(s.ctx, bad)
		return wantInvalid(err)
	})
	s.cases(cases, func(c Case) {
		if d, err := b.Describe(s.ctx); err == nil && d.Trains && len(c.Model.Files) == 0 {
			if !s.check("training twice gives the same file", func() error { return s.train(b, &c.Model) }) {
				return
			}
		}
		s.check("a model can be planned", func() error {
			_, err := b.Plan(s.ctx, c.Model, settings)
			return err
		})
		var m *host.Model
		if !s.check("a model loads", func() (err error) { m, err = b.Load(s.ctx, c.Model); return err }) {
			return
		}
		s.check("unknown settings are refused as invalid input", func() error {
			unknown := settings
			unknown.Prefix = "sideways"
			_, err := scoreAll(s.ctx, m, unknown, documents(texts()))
			return wantInvalid(err)
		})
		var together []protocol.ScoredDocument
		for _, prefix := range []string{protocol.PrefixNone, protocol.PrefixFirst, protocol.PrefixBOS} {
			for _, anchor := range []string{protocol.AnchorBytes, protocol.AnchorTokens} {
				with := settings
				with.Prefix, with.Anchor = prefix, anchor
				// The host rejects answers whose ledger does not balance.
				s.check(fmt.Sprintf("the ledger holds with prefix %q and windows of %s", prefix, anchor), func() (err error) {
					together, err = scoreAll(s.ctx, m, with, documents(texts()))
					return errors.Join(err, checkPrefix(prefix, together))
				})
			}
		}
		if len(together) != len(texts()) {
			s.notRun("all other checks", "the documents could not be scored")
			return
		}
		scored := &scoring{s.ctx, b, m, settings, c.Tolerance, together}
		s.check("the loss of the end-of-text token is given on request", scored.endOfText)
		s.check("a document has the same losses whatever is scored with it", scored.alone)
		s.check("the scored span does not change the losses", scored.spans)
		s.requests(scored)
		s.neutral(b, c, settings, together)
		s.check("scoring stops when canceled", scored.canceled)
		s.check("a crash in mid-stream loses nothing and changes nothing", scored.crash)
		s.check(fmt.Sprintf("a document of %d MiB passes", c.LargeBytes>>20), func() error {
			large := strings.Repeat("All work and no play makes a dull document.\n", c.LargeBytes/44+1)[:c.LargeBytes]
			_, err := scoreAll(s.ctx, m, settings, documents([]string{large}))
			return err
		})
		s.check("a model unloads", m.Close)
	})
}

// scoring is a loaded model and its answers to documents(texts()).
type scoring struct {
	ctx       context.Context
	plugin    *host.Backend
	model     *host.Model
	settings  protocol.Settings
	tolerance float64
	together  []protocol.ScoredDocument
}

// endOfText checks that every document has a loss of the end-of-text token on request.
func (m *scoring) endOfText() error {
	with := m.settings
	with.EOS = true
	answers, err := scoreAll(m.ctx, m.model, with, documents(texts()))
	for i, a := range answers {
		if a.EOSNLL <= 0 {
			return fmt.Errorf("document %d has the loss %v", i, a.EOSNLL)
		}
	}
	return err
}

// alone checks that a document's losses do not depend on the other documents that are scored with it.
func (m *scoring) alone() error {
	reversed := slices.Clone(texts())
	slices.Reverse(reversed)
	answers, err := scoreAll(m.ctx, m.model, m.settings, documents(reversed))
	if err != nil {
		return err
	}
	slices.Reverse(answers)
	for i, text := range texts() {
		if err := sameLosses(m.together[i], answers[i], m.tolerance); err != nil {
			return fmt.Errorf("document %d in reversed order: %w", i, err)
		}
		alone, err := scoreAll(m.ctx, m.model, m.settings, documents([]string{text}))
		if err != nil {
			return err
		}
		if err := sameLosses(m.together[i], alone[0], m.tolerance); err != nil {
			return fmt.Errorf("document %d alone: %w", i, err)
		}
	}
	return nil
}

// spans checks that losses do not depend on the span.
func (m *scoring) spans() error {
	answers, err := scoreAll(m.ctx, m.model, m.settings, func(yield func(protocol.Document, error) bool) {
		for d, err := range documents(texts()) {
			d.ScoreStart = d.ScoreEnd / 2
			if !yield(d, err) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range answers {
		if err := sameLosses(m.together[i], answers[i], m.tolerance); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
	}
	return nil
}

// canceled checks that scoring ends with its context, and works after that.
func (m *scoring) canceled() error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	err := m.model.Score(ctx, m.settings, documents(texts()), func(protocol.Document, protocol.ScoredDocument) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		return endedWith(err)
	}
	_, err = scoreAll(m.ctx, m.model, m.settings, documents(texts()))
	return err
}

// crash checks that the losses are the same when the plugin is killed during scoring.
func (m *scoring) crash() error {
	var answers []protocol.ScoredDocument
	err := m.model.Score(m.ctx, m.settings, documents(texts()), func(_ protocol.Document, a protocol.ScoredDocument) error {
		if len(answers) == 0 {
			m.plugin.Kill()
		}
		answers = append(answers, a)
		return nil
	})
	if err != nil {
		return err
	}
	// All answers may have been sent before the plugin was killed.
	m.plugin.Kill()
	again, err := scoreAll(m.ctx, m.model, m.settings, documents(texts()))
	if err != nil {
		return err
	}
	for i := range answers {
		if err := sameLosses(m.together[i], again[i], m.tolerance); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		if err := sameLosses(m.together[i], answers[i], m.tolerance); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
	}
	return nil
}

// neutral checks that settings declared neutral do not change results.
func (s *suite) neutral(b *host.Backend, c Case, settings protocol.Settings, want []protocol.ScoredDocument) {
	const name = "neutral settings do not change the losses"
	names := b.Info().NeutralSettings
	switch {
	case len(names) == 0:
		return
	case c.Neutral == nil:
		s.notRun(name, "the case has no configuration that differs in them")
		return
	}
	s.check(name, func() (err error) {
		same, err := protocol.WithoutSettings(c.Model.Config, names)
		if err != nil {
			return err
		}
		other, err := protocol.WithoutSettings(c.Neutral, names)
		if err != nil {
			return err
		}
		if !bytes.Equal(same, other) || bytes.Equal(c.Model.Config, c.Neutral) {
			return fmt.Errorf("the case's configurations %s and %s must differ in %s and nothing else",
				c.Model.Config, c.Neutral, strings.Join(names, ", "))
		}
		m, err := b.Load(s.ctx, protocol.Model{Config: c.Neutral, Files: c.Model.Files})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		answers, err := scoreAll(s.ctx, m, settings, documents(texts()))
		if err != nil {
			return err
		}
		for i := range answers {
			if err := sameLosses(want[i], answers[i], c.Tolerance); err != nil {
				return fmt.Errorf("document %d: %w", i, err)
			}
		}
		return nil
	})
}

// train makes a file for m.
func (s *suite) train(b *host.Backend, m *protocol.Model) error {
	var files [2]bytes.Buffer
	for i := range files {
		if err := b.Train(s.ctx, *m, documents(texts()), &files[i]); err != nil {
			return err
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		return errors.New("the files differ")
	}
	path := filepath.Join(s.dir, fmt.Sprintf("model%d", len(s.report.Checks)))
	m.Files = []protocol.ModelFile{{Name: "model", Path: path, Digest: protocol.Digest(files[0].Bytes())}}
	return os.WriteFile(path, files[0].Bytes(), 0o600)
}

func scoreAll(ctx context.Context, m *host.Model, s protocol.Settings, documents iter.Seq2[protocol.Document, error]) ([]protocol.ScoredDocument, error) {
	var answers []protocol.ScoredDocument
	err := m.Score(ctx, s, documents, func(_ protocol.Document, a protocol.ScoredDocument) error {
		answers = append(answers, a)
		return nil
	})
	return answers, err
}

// checkPrefix checks that exactly the first token has no context, and only without a prefix token.
func checkPrefix(prefix string, answers []protocol.ScoredDocument) error {
	for i, a := range answers {
		start, ok := int32(-1), false
		for _, u := range a.Unscored {
			if u.Reason == protocol.ReasonNoContext {
				start, ok = u.Start, true
			}
		}
		expected := prefix == protocol.PrefixNone && len(a.TokenIDs) > 0
		if ok != expected || ok && start != a.TokenStarts[0] {
			return fmt.Errorf("document %d has the unscored ranges %v; with prefix %q, %q marks the first token, and only if no token precedes it",
				i, a.Unscored, prefix, protocol.ReasonNoContext)
		}
	}
	return nil
}

func sameLosses(a, b protocol.ScoredDocument, tolerance float64) error {
	if !slices.Equal(a.TokenIDs, b.TokenIDs) || !slices.Equal(a.TokenStarts, b.TokenStarts) || !slices.Equal(a.TokenEnds, b.TokenEnds) {
		return errors.New("it has different tokens")
	}
	for i := range a.TokenNLL {
		if difference := math.Abs(a.TokenNLL[i] - b.TokenNLL[i]); difference > tolerance {
			return fmt.Errorf("token %d has the losses %v and %v nats, which differ by more than %v", i, a.TokenNLL[i], b.TokenNLL[i], tolerance)
		}
	}
	return nil
}
