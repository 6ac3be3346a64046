package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
)

// A display that is drawn while actions start, advance and end must neither hang nor lose a line.
func TestProgressOnATerminal(t *testing.T) {
	var p plan.Plan
	for i := range 200 {
		p.Actions = append(p.Actions, &plan.Action{
			Index: i, Kind: "score", Name: fmt.Sprintf("score m d%d", i), Status: plan.Status{State: plan.Pending}, Cost: plan.Cost{Documents: 50},
		})
	}
	var out bytes.Buffer
	d := newProgress(&out, true, &p)
	var observing sync.Mutex
	observe := func(a *plan.Action, s plan.State) {
		observing.Lock()
		defer observing.Unlock()
		d.Observe(engine.Event{Time: time.Now(), Action: a, State: s})
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := worker; i < len(p.Actions); i += 4 {
				a := p.Actions[i]
				observe(a, plan.Running)
				for range 50 {
					d.Advance(a, action.Progress{Documents: 1, Bytes: 10, Tokens: 10, Nats: 7, ScoredBytes: 10})
				}
				time.Sleep(5 * time.Millisecond)
				observe(a, plan.Done)
			}
		})
	}
	group.Wait()
	d.Close()
	if got := strings.Count(out.String(), "done      score m d"); got != len(p.Actions) {
		t.Errorf("found %d lines about finished actions, wanted %d", got, len(p.Actions))
	}
	if want := "actions 200/200"; !strings.Contains(out.String(), want) {
		t.Errorf("the display never says %q", want)
	}
}
