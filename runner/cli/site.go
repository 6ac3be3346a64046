package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/internal/address"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/site"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/terminal"
	"surprisal.dev/runner/workspace"
)

// siteFlags are the flags of commands that make a site.
type siteFlags struct {
	title, text    string
	datasets, tags []string
}

func (f *siteFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.title, "title", "", "title of the site; default the names of the experiments")
	c.Flags().StringVar(&f.text, "text", string(action.TextAll), "text of documents to publish: all, sampled or none (`CHOICE`)")
	c.Flags().StringArrayVar(&f.datasets, "datasets", nil, "publish only datasets whose name matches the `PATTERN`; may be repeated")
	c.Flags().StringArrayVar(&f.tags, "tags", nil, "publish only datasets with the `TAG`; may be repeated")
}

func (f *siteFlags) options() (site.Options, error) {
	text, err := action.ParseText(f.text)
	if err != nil {
		return site.Options{}, usage("--text: %v", err)
	}
	return site.Options{Title: f.title, Text: text, Datasets: f.datasets, Tags: f.tags}, nil
}

func (a *app) exportSiteCommand() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:   "site OUTPUT [DIR...]",
		Short: "Write the results of experiments as a web site",
		Long: `site writes the results that the store holds for one or more experiments to the directory OUTPUT, as static files for
any web server. It replaces a site that it wrote there before, once the new one is complete, and refuses a directory
with other files. With --text none, no file of the site has text of documents or tells it; with --text sampled, only
documents that a report names and 20 others of each dataset are published. With --datasets or --tags, comparisons are
made over the published datasets alone.`,
		Example: `  runner export site public mine
  runner export site public first second --text none`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := minArgs(1)(c, args); err != nil {
				return err
			}
			if args[0] == "" {
				return usage("%s: OUTPUT is empty; name a directory", c.CommandPath())
			}
			if store.IsURL(args[0]) || address.Mistyped(args[0]) != "" {
				return usage("%s %s: OUTPUT is a directory, not a URL; copy the directory to a bucket afterwards", c.CommandPath(), address.Printable(args[0]))
			}
			dirs, err := a.siteDirectories(c, args[1:])
			if err != nil {
				return err
			}
			a.remember = true
			report, err := a.exportSite(c.Context(), args[0], dirs, &f)
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(report)
			}
			a.printSite(report)
			return nil
		},
	}
	f.add(c)
	return c
}

// siteDirectories returns the experiment directories of a command.
func (a *app) siteDirectories(c *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 && c.Flags().Changed("dir") {
		return nil, usage("%s: experiment directories are given both as arguments and with -C; remove one", c.CommandPath())
	}
	if len(args) == 0 {
		return []string{a.dir}, nil
	}
	if slices.Contains(args, "") {
		return nil, usage("%s: an argument is empty; name a directory", c.CommandPath())
	}
	return args, nil
}

// refuseSites fails if a directory is not that of an experiment but an exported site.
func refuseSites(dirs []string) error {
	for _, dir := range dirs {
		if site.Is(dir) {
			return usage("%s is an exported site, not an experiment; `runner serve %[1]s` shows it alone", dir)
		}
	}
	return nil
}

// refuse fails if a flag is given that chooses what is exported.
func (f *siteFlags) refuse(c *cobra.Command, dir string) error {
	for _, name := range []string{"title", "text", "datasets", "tags"} {
		if c.Flags().Changed(name) {
			return usage("--%s: %s is an exported site, and is served as it is; use --%[1]s with `runner export site`", name, dir)
		}
	}
	return nil
}

// exportSite exports the site of some experiments.
func (a *app) exportSite(ctx context.Context, output string, dirs []string, f *siteFlags) (report site.Report, err error) {
	o, err := f.options()
	if err != nil {
		return report, err
	}
	if err := refuseSites(dirs); err != nil {
		return report, err
	}
	var experiments []site.Experiment
	var open func(rest []string) error
	open = func(rest []string) error {
		if len(rest) == 0 {
			report, err = site.Export(ctx, output, o, experiments)
			return err
		}
		return a.open(ctx, rest[0], func(w *workspace.Workspace) error {
			e, err := w.Site(ctx)
			if err != nil {
				return err
			}
			experiments = append(experiments, e)
			return open(rest[1:])
		})
	}
	return report, open(dirs)
}

func (a *app) printSite(r site.Report) {
	writef(a.stdout, "site in %s: %s\n", r.Dir, count(r.Pages, "page"))
	if n := len(r.Unfinished); n > 0 {
		writef(a.stdout, "without a page, because there is no result yet: %s\n", terminal.Few(r.Unfinished))
	}
	if n := len(r.Unpublished); n > 0 {
		writef(a.stdout, "without a page, because its datasets are not published: %s\n", terminal.Few(r.Unpublished))
	}
}

func (a *app) serveCommand() *cobra.Command {
	var f siteFlags
	var address string
	c := &cobra.Command{
		Use:   "serve [DIR...]",
		Short: "Show the results of experiments in a browser",
		Long: `serve serves the site of one or more experiments, or a directory that ` + "`runner export site`" + ` wrote, until it is
interrupted. It exports experiments to a temporary directory, and serves an exported site as it is. Only this machine
can connect, unless --address says otherwise.`,
		Example: `  runner serve mine
  runner serve public --address 127.0.0.1:8000`,
		RunE: func(c *cobra.Command, args []string) error {
			dirs, err := a.siteDirectories(c, args)
			if err != nil {
				return err
			}
			if len(dirs) == 1 && site.Is(dirs[0]) {
				if err := f.refuse(c, dirs[0]); err != nil {
					return err
				}
				return a.serve(c.Context(), dirs[0], address)
			}
			return a.serveExperiments(c.Context(), dirs, &f, address)
		},
	}
	f.add(c)
	c.Flags().StringVar(&address, "address", "127.0.0.1:0", "address and port `ADDRESS:PORT`; port 0 takes a free one")
	return c
}

// serveExperiments serves the site of some experiments from a temporary directory.
func (a *app) serveExperiments(ctx context.Context, dirs []string, f *siteFlags, address string) (err error) {
	temporary, err := os.MkdirTemp("", "surprisal-site-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	dir := filepath.Join(temporary, "site")
	if _, err := a.exportSite(ctx, dir, dirs, f); err != nil {
		return err
	}
	return a.serve(ctx, dir, address)
}

// shutdownTime bounds how long a server waits for requests after an interrupt.
const shutdownTime = 2 * time.Second

// serve serves a site until the context is done.
func (a *app) serve(ctx context.Context, dir, address string) (err error) {
	handler, err := site.Handler(dir, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, handler.Close()) }()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return usage("--address %s: %v", address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		// The user stops it. That is not a failure, whatever was still asked for.
		_ = errors.Join(server.Shutdown(wait), server.Close())
		close(stopped)
	})
	defer stop()
	writef(a.stdout, "http://%s/\n", listener.Addr())
	if err := a.stdout.Flush(); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", dir, err)
	}
	<-stopped
	return nil
}
