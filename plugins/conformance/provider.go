package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
)

func (s *suite) provider(p *host.Provider, cases []Case) {
	s.check("a configuration that is not a struct is refused as invalid input", func() error {
		_, err := p.Resolve(s.ctx, protocol.ResolveRequest{Source: protocol.Source{Config: json.RawMessage(`[]`)}, Network: true})
		return wantInvalid(err)
	})
	s.cases(cases, func(c Case) {
		var pinned protocol.Resolution
		if !s.check("resolving a source twice gives the same result", func() (err error) {
			pinned, err = s.resolve(p, c.Source)
			return err
		}) {
			return
		}
		request := protocol.ReadRequest{Source: c.Source, Pinned: pinned, Fields: c.Fields}
		var rows []protocol.Row
		if !s.check("rows come in order, each with its fields or a problem", func() (err error) {
			// The host rejects rows out of order and rows with missing fields.
			rows, err = readAll(s.ctx, p, request)
			if err == nil && len(rows) < 3 {
				err = fmt.Errorf("the case's source has %d rows; the suite needs at least 3", len(rows))
			}
			return err
		}) {
			return
		}
		read := &reading{s.ctx, p, request, rows}
		s.check("shards are the resolution's files, and rows are counted in each from 0", func() error { return checkShards(pinned, rows) })
		s.check("reading twice gives the same rows", func() error { return wantRows(s.ctx, p, request, rows) })
		s.check("reading resumes from any row", read.resumes)
		s.check("a range of rows can be read", func() error {
			part := request
			part.From, part.To = 1, 2
			return wantRows(s.ctx, p, part, rows[1:2])
		})
		s.check("an unknown field is refused, or makes the rows problems", func() error {
			unknown := request
			unknown.Fields = slices.Clone(c.Fields)
			unknown.Fields[0] = "no.such.field"
			return checkUnknownField(s.ctx, p, unknown)
		})
		s.check("reading stops when canceled", read.canceled)
		s.check("many readers at the same time get the same rows", read.together)
		s.check("content that differs from the pinned one is refused as changed", read.changed)
		s.check("a crash in mid-stream loses and repeats nothing", read.crash)
		s.tooLarge(p, c)
		s.large(p, c)
	})
}

// reading is a pinned source and its rows.
type reading struct {
	ctx     context.Context
	plugin  *host.Provider
	request protocol.ReadRequest
	rows    []protocol.Row
}

// resumes checks that a read can begin at any row.
func (r *reading) resumes() error {
	for _, from := range []int{1, len(r.rows) / 2, len(r.rows) - 1, len(r.rows)} {
		resumed := r.request
		resumed.From = int64(from)
		if err := wantRows(r.ctx, r.plugin, resumed, r.rows[from:]); err != nil {
			return fmt.Errorf("from row %d: %w", from, err)
		}
	}
	return nil
}

// canceled checks that reading ends with its context, and works after that.
func (r *reading) canceled() error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	err := r.plugin.Read(ctx, r.request, func(protocol.Row) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		return endedWith(err)
	}
	return wantRows(r.ctx, r.plugin, r.request, r.rows)
}

// together checks that several readers do not disturb each other.
func (r *reading) together() error {
	failures := make(chan error, 4)
	for range cap(failures) {
		go func() { failures <- wantRows(r.ctx, r.plugin, r.request, r.rows) }()
	}
	var err error
	for range cap(failures) {
		err = errors.Join(err, <-failures)
	}
	return err
}

// changed checks that content that differs from the pinned one is rejected.
func (r *reading) changed() error {
	if len(r.request.Pinned.Files) == 0 {
		return errors.New("the resolution lists no files")
	}
	changed := r.request
	changed.Pinned.Files = slices.Clone(r.request.Pinned.Files)
	changed.Pinned.Files[0].Digest = protocol.Digest([]byte("something else"))
	_, err := readAll(r.ctx, r.plugin, changed)
	if protocol.KindOf(err) != protocol.Changed {
		return endedWith(err)
	}
	return nil
}

// crash checks that the rows are the same when the plugin is killed during a read.
func (r *reading) crash() error {
	var got []protocol.Row
	err := r.plugin.Read(r.ctx, r.request, func(row protocol.Row) error {
		if len(got) == 1 {
			r.plugin.Kill()
		}
		got = append(got, row)
		return nil
	})
	if err := compareRows(got, err, r.rows); err != nil {
		return err
	}
	// All rows of a small source may have been sent before the plugin was killed.
	r.plugin.Kill()
	return wantRows(r.ctx, r.plugin, r.request, r.rows)
}

// large checks that a row of the case's size is read.
func (s *suite) large(p *host.Provider, c Case) {
	name := fmt.Sprintf("a row of %d MiB passes", c.LargeBytes>>20)
	if c.Large == nil {
		s.notRun(name, "the case has no large source")
		return
	}
	s.check(name, func() error {
		pinned, err := s.resolve(p, *c.Large)
		if err != nil {
			return err
		}
		largest := 0
		err = p.Read(s.ctx, protocol.ReadRequest{Source: *c.Large, Pinned: pinned, Fields: c.Fields}, func(r protocol.Row) error {
			if r.Problem != "" {
				return fmt.Errorf("row %d: %s", r.Ordinal, r.Problem)
			}
			for _, value := range r.Values {
				largest = max(largest, len(value))
			}
			return nil
		})
		if err == nil && largest < c.LargeBytes {
			err = fmt.Errorf("the largest value has %d bytes", largest)
		}
		return err
	})
}

// tooLarge checks that a row above the size limit is reported as a problem and does not end the read.
func (s *suite) tooLarge(p *host.Provider, c Case) {
	name := fmt.Sprintf("a row of more than %d MiB is a problem", protocol.MaxTextBytes>>20)
	if c.TooLarge == nil {
		s.notRun(name, "the case has no source with such a row")
		return
	}
	s.check(name, func() error {
		pinned, err := s.resolve(p, *c.TooLarge)
		if err != nil {
			return err
		}
		problems := 0
		err = p.Read(s.ctx, protocol.ReadRequest{Source: *c.TooLarge, Pinned: pinned, Fields: c.Fields}, func(r protocol.Row) error {
			if r.Problem != "" {
				problems++
			}
			return nil
		})
		if err == nil && problems == 0 {
			err = errors.New("no row is a problem")
		}
		return err
	})
}

func (s *suite) resolve(p *host.Provider, source protocol.Source) (protocol.Resolution, error) {
	first, err := p.Resolve(s.ctx, protocol.ResolveRequest{Source: source, Network: true})
	if err != nil {
		return first, err
	}
	if !json.Valid(first.Parameters) {
		return first, fmt.Errorf("the parameters are not JSON: %q", first.Parameters)
	}
	second, err := p.Resolve(s.ctx, protocol.ResolveRequest{Source: source, Network: true})
	if err == nil && !reflect.DeepEqual(first, second) {
		err = fmt.Errorf("first %+v, then %+v", first, second)
	}
	return first, err
}

func readAll(ctx context.Context, p *host.Provider, r protocol.ReadRequest) ([]protocol.Row, error) {
	var rows []protocol.Row
	err := p.Read(ctx, r, func(row protocol.Row) error {
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

func wantRows(ctx context.Context, p *host.Provider, r protocol.ReadRequest, want []protocol.Row) error {
	got, err := readAll(ctx, p, r)
	return compareRows(got, err, want)
}

func compareRows(got []protocol.Row, err error, want []protocol.Row) error {
	if err != nil {
		return err
	}
	for i := range min(len(got), len(want)) {
		if !reflect.DeepEqual(got[i], want[i]) {
			return fmt.Errorf("row %d is %.200q; the first read gave %.200q", i, fmt.Sprint(got[i]), fmt.Sprint(want[i]))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("got %d rows; the first read gave %d", len(got), len(want))
	}
	return nil
}

func checkShards(r protocol.Resolution, rows []protocol.Row) error {
	file := 0
	next := map[string]int64{}
	for _, row := range rows {
		for file < len(r.Files) && r.Files[file].Name != row.Shard {
			file++
		}
		if file == len(r.Files) {
			return fmt.Errorf("row %d belongs to shard %q, which is not a file of the resolution or is out of order", row.Ordinal, row.Shard)
		}
		if row.Number != next[row.Shard] {
			return fmt.Errorf("row %d has the number %d in shard %q, expected %d", row.Ordinal, row.Number, row.Shard, next[row.Shard])
		}
		next[row.Shard]++
	}
	return nil
}

func checkUnknownField(ctx context.Context, p *host.Provider, r protocol.ReadRequest) error {
	err := p.Read(ctx, r, func(row protocol.Row) error {
		if row.Problem == "" {
			return fmt.Errorf("row %d has a value for the field %q", row.Ordinal, r.Fields[0])
		}
		return nil
	})
	if protocol.KindOf(err) == protocol.InvalidInput {
		return nil
	}
	return err
}
