// Command gate measures by simulation how often gates are wrong: at the margin, at the detectable gap, and over a run of
// nights on the same documents, with and without confirmation.
//
//	go run ./bench/gate -nights 100000 -runs 10000
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/gate/simulate"
)

// margin is that of all gates, in bits per byte.
const margin = 0.01

func main() {
	nights := flag.Int("nights", 100_000, "independent nights of each case")
	runs := flag.Int("runs", 10_000, "runs of 30 nights")
	documents := flag.Int("documents", 100, "documents of a night")
	seed := flag.Uint64("seed", 1, "seed of all draws")
	flag.Parse()
	if err := measure(*nights, *runs, *documents, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(nights, runs, documents int, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	c := simulate.Corpus{Documents: documents, Shared: 0.04, Own: 0.03}
	detectable := c.Detectable(r)
	fmt.Printf("%d documents, margin %v, detectable gap %.4f\n\n", documents, margin, detectable)
	fmt.Println("| truth | pass | inconclusive | fail |\n| --- | ---: | ---: | ---: |")
	for _, of := range []struct {
		name  string
		truth float64
	}{{"better than the margin by the detectable gap", margin - detectable}, {"at the margin", margin}, {"worse by the detectable gap", margin + detectable}} {
		c.Truth = of.truth
		shares, err := simulate.Answers(simulate.Overall(margin), nights, func() *gap.Summary { return c.Draw(r).Night() })
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.2f%% | %.2f%% | %.2f%% |\n", of.name, 100*shares[action.Pass], 100*shares[action.Inconclusive], 100*shares[action.Fail])
	}
	fmt.Println("\n| 30 nights on the same documents | no confirmation | the night before | other documents |\n| --- | ---: | ---: | ---: |")
	for _, of := range []struct {
		name  string
		truth float64
	}{{"no night is worse", 0}, {"every night is at the margin", margin}, {"every night is worse by the detectable gap", margin + detectable}} {
		c.Truth = of.truth
		a, err := simulate.Runs(r, c, margin, runs, 30)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.2f%% | %.2f%% | %.2f%% |\n", of.name, 100*a.Alone, 100*a.Again, 100*a.Fresh)
	}
	return nil
}
