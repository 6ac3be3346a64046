// Libtorch prints the environment for go build -tags torch, as export lines for a shell. If the machine has no suitable
// libtorch, it installs one first.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"surprisal.dev/plugins/torch/libtorch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "libtorch: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	finder, err := libtorch.DefaultFinder()
	if err != nil {
		return err
	}
	torch, passed, err := finder.Find(ctx)
	if errors.Is(err, libtorch.ErrNotFound) {
		for _, line := range passed {
			fmt.Fprintf(os.Stderr, "libtorch: ignored %s\n", line)
		}
		progress := newProgress()
		err = libtorch.NewInstaller(finder, progress.log, progress.set).Install(ctx)
		progress.end()
		if err != nil {
			return err
		}
		torch, _, err = finder.Find(ctx)
	}
	if err != nil {
		return err
	}
	build, err := libtorch.Build(finder.Cache)
	if err != nil {
		return err
	}
	environment, err := libtorch.Environment(torch, build)
	if err != nil {
		return err
	}
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Printf("export %s='%s'\n", name, value)
	}
	return nil
}

// progress shows a bar on a terminal, and otherwise a line for each tenth.
type progress struct {
	bars   *mpb.Progress
	bar    *mpb.Bar
	tenths int64
}

func newProgress() *progress {
	p := &progress{}
	if isatty.IsTerminal(os.Stderr.Fd()) {
		p.bars = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond), mpb.WithAutoRefresh())
	}
	return p
}

func (p *progress) log(line string) {
	if p.bars != nil {
		_, _ = fmt.Fprintf(p.bars, "libtorch: %s\n", line)
		return
	}
	fmt.Fprintf(os.Stderr, "libtorch: %s\n", line)
}

func (p *progress) set(done, total int64) {
	switch {
	case p.bars == nil:
		if tenths := done * 10 / total; tenths != p.tenths {
			p.tenths = tenths
			fmt.Fprintf(os.Stderr, "libtorch: %d%%\n", tenths*10)
		}
	case p.bar == nil:
		p.bar = p.bars.AddBar(total,
			mpb.PrependDecorators(decor.CountersKiloByte("% .1f / % .1f")), mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
		fallthrough
	default:
		p.bar.SetCurrent(done)
	}
}

func (p *progress) end() {
	if p.bars == nil {
		return
	}
	if p.bar != nil {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
