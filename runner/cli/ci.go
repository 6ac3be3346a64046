package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/ci"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/workspace"
)

func (a *app) ciCommand() *cobra.Command {
	var against, output string
	c := &cobra.Command{
		Use:   "ci [DIR]",
		Short: "Compare, run and judge in continuous integration",
		Long: `ci compares the plan with the base of a pull request, executes it as run does, and reports the verdict of the gates in
the forms that the place understands. Exit codes are those of run; files are also written if the run breaks.

GitHub Actions gets a summary of the step, annotations at the lines of the specification, and the step's outputs verdict
and exit-code. --output DIR writes the same for any place: junit.xml, summary.md, comment.md and verdict.env. The first
line of comment.md is a hidden marker, by which a job finds the comment to update.

The base revision is that of --against, or else the base of the pull request or merge request of the job.`,
		Example: `  runner ci experiments/mine --output results
  runner ci experiments/mine --against main`,
		Annotations: runExits,
		Args:        oneDirectory,
	}
	c.Flags().StringVar(&against, "against", "", "compare with the specification at the git revision `REV`; \"\" compares with nothing")
	c.Flags().StringVar(&output, "output", "", "directory `DIR` of junit.xml, summary.md, comment.md and verdict.env")
	options := runFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		job := ciJob{app: a, place: ci.Detect(os.Getenv), run: o}
		if c.Flags().Changed("against") {
			job.place.Base, job.place.BaseFrom = against, ""
		}
		if job.place.Root == "" {
			if job.place.Root, err = os.Getwd(); err != nil {
				return err
			}
		}
		a.remember, a.values, a.dir = true, true, a.directory(args)
		return job.do(c.Context(), ci.Outputs{Place: job.place, Dir: output})
	}
	return c
}

// ciJob is an execution of ci.
type ciJob struct {
	*app
	place  ci.Place
	run    workspace.RunOptions
	report ci.Report
}

// do runs the job and writes its report, whether it fails or not.
func (j *ciJob) do(ctx context.Context, outputs ci.Outputs) error {
	if err := outputs.Prepare(); err != nil {
		return err
	}
	dir, err := filepath.Abs(j.dir)
	if err != nil {
		return err
	}
	j.report.Experiment = filepath.Base(dir)
	err = j.open(ctx, j.dir, func(w *workspace.Workspace) error { return j.inside(ctx, w) })
	code := exitCode(err)
	if code == exitCanceled {
		j.report.Canceled = true
	} else if code != exitDone && code != exitGate && code != exitUnknown && len(j.report.Problems) == 0 {
		j.problem(dir, err)
	}
	j.print(code)
	if writeErr := outputs.Write(&j.report, code); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	return err
}

// print prints the verdict and, for GitHub, the annotations. With --json, standard output has only the results.
func (j *ciJob) print(code int) {
	to := j.stdout
	if j.asJSON {
		to = j.stderr
	}
	if j.place.Annotates {
		// The output keeps its error.
		_, _ = io.WriteString(to.data(), j.report.Annotations())
	}
	state := green
	switch {
	case code != exitDone:
		state = red
	case j.report.Verdict() == ci.Inconclusive || j.report.Verdict() == ci.Ungated:
		state = yellow
	}
	writef(to, "\n%s\n", painted{state, j.report.Headline(protocol.Visible)})
}

// inside does the work in a workspace.
func (j *ciJob) inside(ctx context.Context, w *workspace.Workspace) error {
	if e, err := w.Experiment(ctx); e != nil && e.Name != "" {
		// Even a spec with mistakes may have a name.
		j.report.Experiment = e.Name
	} else if err == nil && ctx.Err() != nil {
		return ctx.Err()
	}
	started := time.Now()
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	j.warn(w.Warnings())
	if err := j.compare(ctx, w, p); err != nil {
		return err
	}
	outcome, err := j.execute(ctx, w, p, j.run)
	took := time.Since(started)
	j.report.Seconds = took.Seconds()
	if err != nil {
		return err
	}
	j.report.Run = closing(outcome, took)
	for _, f := range outcome.Failures {
		at := ci.Position{}
		if action := p.Action(f.Action); action != nil {
			at = j.place.Position(w.Dir, w.Position(p, action))
		}
		j.report.Problems = append(j.report.Problems, ci.Problem{Action: f.Action, Message: f.Err.Error(), At: at})
	}
	tests, err := w.Tests(context.WithoutCancel(ctx), p)
	if err != nil {
		return err
	}
	for _, t := range tests {
		j.report.Tests = append(j.report.Tests, ci.Test{Test: t, At: j.place.Position(w.Dir, w.Position(p, p.Action(t.Action)))})
	}
	return j.conclude(ctx, w, p, outcome, took)
}

// compare compares the plan with the base revision, if there is one, and prints the changes. A base whose spec is
// invalid is only noted, because the change under test may be what repairs it.
func (j *ciJob) compare(ctx context.Context, w *workspace.Workspace, p *plan.Plan) error {
	revision := j.place.Base
	if revision == "" {
		return nil
	}
	base, err := w.PlanAt(ctx, revision)
	if mistakes, ok := errors.AsType[spec.Errors](err); ok {
		j.report.Uncompared = "its specification is invalid:\n" + mistakes.Error()
		writef(j.stderr, "%s: not compared with %s: %s\n", painted{yellow, "warning"}, revision, block(err.Error()))
		return nil
	}
	if err != nil && j.place.BaseFrom != "" && isInvalid(err) {
		return protocol.Invalid("%v; the base revision is from %s, and --against \"\" compares with nothing", err, j.place.BaseFrom)
	}
	if err != nil {
		return err
	}
	if j.report.Changes, err = ci.Compare(ctx, p, base, revision); err != nil {
		return err
	}
	if !j.asJSON {
		printChanges(j.stdout, revision, j.report.Changes.Actions)
		writef(j.stdout, "\n")
	}
	return nil
}

// problem records the error of a job that did not run to its end: each mistake of a spec, or one message.
func (j *ciJob) problem(dir string, err error) {
	if mistakes, ok := errors.AsType[spec.Errors](err); ok {
		for _, m := range mistakes {
			at := j.place.Position(dir, m.Pos)
			text := m.Error()
			if at.File != "" && m.Path != "" {
				text = m.Path + ": " + m.Message
			} else if at.File != "" {
				text = m.Message
			}
			j.report.Problems = append(j.report.Problems, ci.Problem{Message: text, At: at})
		}
		return
	}
	j.report.Problems = append(j.report.Problems, ci.Problem{Message: strings.TrimSpace(err.Error())})
}
