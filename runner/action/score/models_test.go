package score_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/score"
)

// garage loads models that do nothing but be loaded.
type garage struct {
	mu     sync.Mutex
	events []string
	fail   map[string]error
	gate   chan struct{} // loading waits for it, if there is one
}

type parked struct {
	name string
	in   *garage
}

func (g *garage) note(event string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, event)
}

func (g *garage) load(ctx context.Context, backend string, m protocol.Model) (score.Model, error) {
	name := backend + string(m.Config)
	g.note("load " + name)
	if g.gate != nil {
		select {
		case <-g.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.fail[name]; err != nil {
		return (*parked)(nil), err
	}
	return &parked{name, g}, nil
}

func (*parked) Describe() protocol.LoadedModel { return protocol.LoadedModel{} }

func (*parked) Score(context.Context, protocol.Settings, iter.Seq2[protocol.Document, error], func(protocol.Document, protocol.ScoredDocument) error) error {
	return nil
}

func (p *parked) Close() error {
	p.in.note("close " + p.name)
	return nil
}

// TestModelsPool takes (+) and gives back (-) models one after the other.
func TestModelsPool(t *testing.T) {
	for _, test := range []struct {
		name  string
		idle  int
		steps []string
		want  []string
	}{
		{
			"a model stays loaded between two uses", 1,
			[]string{"+a", "-a", "+a", "-a"},
			[]string{"load a", "close a"},
		}, {
			"users share it", 0,
			[]string{"+a", "+a", "-a", "-a"},
			[]string{"load a", "close a"},
		}, {
			"without room for idle ones it is loaded again", 0,
			[]string{"+a", "-a", "+a", "-a"},
			[]string{"load a", "close a", "load a", "close a"},
		}, {
			"the one that was not used for longest goes first", 2,
			[]string{"+a", "-a", "+b", "-b", "+a", "-a", "+c", "-c"},
			[]string{"load a", "load b", "load c", "close b", "close a", "close c"},
		}, {
			"what is in use never goes", 1,
			[]string{"+a", "+b", "+c", "-b", "-c", "-a"},
			[]string{"load a", "load b", "load c", "close b", "close a", "close c"},
		}, {
			"a failure is not kept, and takes no room from what is loaded", 1,
			[]string{"+a", "-a", "!bad", "!bad", "+a", "-a"},
			[]string{"load a", "load bad", "load bad", "close a"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := &garage{fail: map[string]error{"bad": errors.New("no weights")}}
			pool := score.NewModels(test.idle, g.load)
			held := map[string][]func() error{}
			for _, step := range test.steps {
				name := step[1:]
				if step[0] == '-' {
					last := len(held[name]) - 1
					if err := held[name][last](); err != nil {
						t.Error(err)
					}
					held[name] = held[name][:last]
					continue
				}
				_, release, err := pool.Acquire(t.Context(), name, protocol.Model{})
				if (err != nil) != (step[0] == '!') {
					t.Fatalf("%s: found error %v", step, err)
				}
				held[name] = append(held[name], release)
			}
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			if !slices.Equal(g.events, test.want) {
				t.Errorf("found %q, wanted %q", g.events, test.want)
			}
		})
	}
}

// What makes two models differ: the backend, its settings and the content of files, but not where these lie.
func TestModelsIdentity(t *testing.T) {
	file := func(path, digest string) []protocol.ModelFile {
		return []protocol.ModelFile{{Name: "model.bin", Path: path, Digest: digest}}
	}
	base := protocol.Model{Config: []byte("1"), Files: file("/x", "d1")}
	for _, test := range []struct {
		name, backend string
		model         protocol.Model
		loads         int
	}{
		{"the same", "a", base, 1},
		{"in another place", "a", protocol.Model{Config: []byte("1"), Files: file("/y", "d1")}, 1},
		{"of other content", "a", protocol.Model{Config: []byte("1"), Files: file("/x", "d2")}, 2},
		{"with other settings", "a", protocol.Model{Config: []byte("2"), Files: file("/x", "d1")}, 2},
		{"of another backend", "b", base, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := &garage{}
			pool := score.NewModels(2, g.load)
			for _, use := range []struct {
				backend string
				model   protocol.Model
			}{{"a", base}, {test.backend, test.model}} {
				_, release, err := pool.Acquire(t.Context(), use.backend, use.model)
				if err != nil {
					t.Fatal(err)
				}
				if err := release(); err != nil {
					t.Fatal(err)
				}
			}
			if len(g.events) != test.loads {
				t.Errorf("found %q, wanted %d loads", g.events, test.loads)
			}
		})
	}
}

func TestModelsTogether(t *testing.T) {
	for _, failure := range []error{nil, errors.New("no weights")} {
		synctest.Test(t, func(t *testing.T) {
			g := &garage{gate: make(chan struct{}), fail: map[string]error{"m": failure}}
			pool := score.NewModels(1, g.load)
			impatient, leave := context.WithCancel(t.Context())
			var group sync.WaitGroup
			use := func(ctx context.Context, want error) {
				group.Go(func() {
					_, release, err := pool.Acquire(ctx, "m", protocol.Model{})
					if !errors.Is(err, want) || (want == nil) != (err == nil) {
						t.Errorf("found error %v, wanted %v", err, want)
					}
					if err == nil {
						err = release()
					}
					if want == nil && err != nil {
						t.Error(err)
					}
				})
			}
			for range 8 {
				use(t.Context(), failure)
			}
			synctest.Wait()
			use(impatient, context.Canceled)
			synctest.Wait()
			leave()
			synctest.Wait()
			close(g.gate)
			group.Wait()
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			want := []string{"load m", "close m"}
			if failure != nil {
				want = want[:1]
			}
			if !slices.Equal(g.events, want) {
				t.Errorf("found %q, wanted %q", g.events, want)
			}
		})
	}
}
