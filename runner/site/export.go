package site

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Options say what an export publishes.
type Options struct {
	Title string
	Text  action.Text
	// Datasets are patterns of names, of which a dataset must match one. Empty means all datasets.
	Datasets []string
	// Tags are tags of which a dataset must have one. Empty means all datasets.
	Tags []string
}

// Experiment is an experiment whose results are published.
type Experiment struct {
	// Plan is resolved: its finished actions have outputs.
	Plan  *plan.Plan
	Kinds []action.Kind
	// Models are the models of the spec.
	Models []Model
	// Runs are those of the store; others' experiments are ignored.
	Runs []store.Run
	// Read returns the content of a file, and Path its path on this machine.
	Read action.ReadFile
	Path func(ctx context.Context, digest string) (string, error)
	// Record returns the record of a finished action.
	Record func(ctx context.Context, key string) (*store.Record, error)
	// Memory is what an export remembers for the next one, or nil. Save saves it.
	Memory *Memory
	Save   func(*Memory)
}

// Model is what a spec says of a model.
type Model struct {
	Name, Family string
}

// Report is the outcome of an export.
type Report struct {
	Dir string `json:"dir"`
	// Pages counts the pages, Files the files and Bytes their bytes without the list of files.
	Pages int   `json:"pages"`
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Unfinished lists actions without a result, whose pages are missing.
	Unfinished []string `json:"unfinished,omitempty"`
	// Unpublished lists actions of which nothing may be published.
	Unpublished []string `json:"unpublished,omitempty"`
}

// Export writes a site to dir, whole or not at all. It replaces an earlier site there, and refuses a directory with other
// content.
func Export(ctx context.Context, dir string, o Options, experiments []Experiment) (Report, error) {
	report := Report{Dir: dir}
	c, err := newChoice(o)
	if err != nil {
		return report, err
	}
	if err := distinct(experiments); err != nil {
		return report, err
	}
	err = replace(ctx, dir, func(out *output) error {
		x := &exporter{
			out: out, choice: c, tables: map[string]*scoredTable{}, same: map[[4]uint64]int64{}, report: &report,
		}
		err := x.export(ctx, o, experiments)
		report.Files, report.Bytes = len(out.files)+1, out.bytes
		return errors.Join(err, x.clean())
	})
	if err != nil {
		return report, fmt.Errorf("export site to %s: %w", dir, err)
	}
	for _, e := range experiments {
		if e.Memory != nil {
			e.Save(e.Memory)
		}
	}
	return report, nil
}

func distinct(experiments []Experiment) error {
	seen := map[string]bool{}
	for _, e := range experiments {
		if seen[e.Plan.Experiment] {
			return invalid("two experiments have the name %q, which is part of the addresses of their pages; rename one", e.Plan.Experiment)
		}
		seen[e.Plan.Experiment] = true
	}
	return nil
}

// exporter writes the files of a site.
type exporter struct {
	out    *output
	choice choice
	report *Report
	// tables are the published scores by the digest of the table in the store.
	tables map[string]*scoredTable
	// same numbers the bytes that scores measured.
	same map[[4]uint64]int64
	// scratch counts the temporary directories.
	scratch int
}

// scratchDir holds temporary files while a site is written.
const scratchDir = "scratch"

func (x *exporter) clean() error { return x.out.root.RemoveAll(scratchDir) }

func (x *exporter) export(ctx context.Context, o Options, experiments []Experiment) error {
	if err := x.choice.check(ctx, o, experiments); err != nil {
		return err
	}
	if err := x.out.copyAll(bundle()); err != nil {
		return err
	}
	if x.choice.text == action.TextSampled {
		for i := range experiments {
			if err := x.sample(ctx, &experiments[i]); err != nil {
				return err
			}
		}
	}
	m := manifest{Format: format, Generator: generator, Title: title(o, experiments), Text: x.choice.text, Entries: []entry{}}
	for i := range experiments {
		described, err := x.experiment(ctx, &experiments[i], &m)
		if err != nil {
			return fmt.Errorf("experiment %s: %w", experiments[i].Plan.Experiment, err)
		}
		m.Experiments = append(m.Experiments, described)
	}
	x.report.Pages = len(m.Entries)
	data, err := encode(m)
	if err != nil {
		return err
	}
	return x.out.named(manifestFile, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// generator identifies the program in the manifest. It does not change with the build, so that equal sites have equal
// bytes.
const generator = "surprisal"

func title(o Options, experiments []Experiment) string {
	if o.Title != "" {
		return o.Title
	}
	names := make([]string, len(experiments))
	for i, e := range experiments {
		names[i] = e.Plan.Experiment
	}
	return strings.Join(names, ", ")
}

// experiment adds the pages of an experiment to the manifest.
func (x *exporter) experiment(ctx context.Context, e *Experiment, m *manifest) (experimentManifest, error) {
	described := experimentManifest{Name: e.Plan.Experiment, Runs: runsOf(e)}
	var err error
	if described.Models, described.Datasets, err = x.scores(ctx, e, m); err != nil {
		return described, err
	}
	p := &publisher{x, e}
	for _, k := range e.Kinds {
		pager, ok := k.(action.Pager)
		if !ok {
			continue
		}
		for _, a := range e.Plan.Of(k.Name()) {
			if a.Outputs == nil {
				x.report.Unfinished = append(x.report.Unfinished, a.Name)
				continue
			}
			page, err := pager.Page(ctx, a, p)
			if err != nil {
				return described, fmt.Errorf("page of %s: %w", a.Name, err)
			}
			if page == nil {
				x.report.Unpublished = append(x.report.Unpublished, a.Name)
				continue
			}
			if err := p.versions(ctx, k, a, page); err != nil {
				return described, fmt.Errorf("earlier versions of %s: %w", a.Name, err)
			}
			if err := m.add(e, a.Kind, strings.TrimPrefix(a.Name, a.Kind+" "), a.Key, page); err != nil {
				return described, err
			}
		}
	}
	return described, x.run(ctx, e, m)
}

func runsOf(e *Experiment) []run {
	runs := []run{}
	for _, r := range slices.Backward(e.Runs) {
		if r.Experiment == e.Plan.Experiment {
			runs = append(runs, run{r.ID, r.Started.UTC().Format(time.RFC3339), r.State})
		}
	}
	return runs
}

// versionDigits is the length of a version in the manifest.
const versionDigits = 12

// add adds a page. key is that of the artifact that the page shows, or "" if it shows several.
func (m *manifest) add(of *Experiment, kind, name, key string, page *action.Page) error {
	experiment := of.Plan.Experiment
	e := entry{
		ID: experiment + "/" + kind + "/" + name, Experiment: experiment, Kind: kind, Name: name, Key: key,
		Tags: append([]string{}, page.Tags...), Title: page.Title, Headline: page.Headline, Files: page.Files,
	}
	data, err := encode(e)
	digest := sha256.Sum256(data)
	e.Version = hex.EncodeToString(digest[:])[:versionDigits]
	m.Entries = append(m.Entries, e)
	return err
}

// publisher implements action.Publisher for an experiment.
type publisher struct {
	*exporter
	e *Experiment
}

// Text implements action.Publisher.
func (p *publisher) Text() action.Text { return p.choice.text }

// Publishes implements action.Publisher.
func (p *publisher) Publishes(dataset string, tags []string) bool {
	return p.choice.publishes(dataset, tags)
}

// Read implements action.Publisher.
func (p *publisher) Read(ctx context.Context, a *plan.Action, name string) ([]byte, error) {
	return p.e.Read(ctx, a, name)
}

// Path implements action.Publisher.
func (p *publisher) Path(ctx context.Context, a *plan.Action, name string) (string, error) {
	f, err := store.FileOf(a.Outputs, name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", a.Name, err)
	}
	return p.e.Path(ctx, f.Digest)
}

// Scratch implements action.Publisher.
func (p *publisher) Scratch() (string, error) { return p.newScratch() }

func (x *exporter) newScratch() (string, error) {
	x.scratch++
	name := fmt.Sprintf("%s/%d", scratchDir, x.scratch)
	if err := x.out.root.MkdirAll(name, 0o777); err != nil {
		return "", err
	}
	return x.out.root.Name() + string(os.PathSeparator) + name, nil
}

// JSON implements action.Publisher.
func (p *publisher) JSON(v any) (action.PageFile, error) { return p.out.json(v) }

// File implements action.Publisher.
func (p *publisher) File(extension string, fill func(io.Writer) error) (action.PageFile, error) {
	return p.out.data(extension, fill)
}
