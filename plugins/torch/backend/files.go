//go:build torch

package backend

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/checkpoint"
)

// knownDigests returns the digests of the files that plugins of this run have read. The runner gives its plugins one
// temporary directory, which ends with the run, so that a plugin that is restarted after a crash does not read all
// weights twice more. A directory that others can open could contain anyone's digests; then the process remembers its
// own.
func knownDigests() *digests.Cache {
	dir := os.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		return digests.New()
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return digests.New()
	}
	return digests.Open(dir)
}

// asPlanned calls load, and compares the open files with the planned ones at the same time. It returns an error of kind
// Changed if load may have read other bytes than the planned ones, even if load fails, since the change may be why. A
// digest is valid for the file's identity, which must be the same before and after load.
func (b backend) asPlanned(ctx context.Context, c *checkpoint.Checkpoint, planned []protocol.ModelFile, load func(context.Context) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	compared := make(chan error, 1)
	go func() {
		err := b.compare(running, c, planned)
		if err != nil {
			stop() // The model would be of no use.
		}
		compared <- err
	}()
	err := load(running)
	if err != nil && protocol.KindOf(err) != protocol.InvalidInput {
		stop() // A fault of the files may come from a change; others do not.
	}
	different := <-compared
	if different != nil && (err == nil || !errors.Is(different, context.Canceled)) {
		return different
	}
	if err != nil && protocol.KindOf(err) != protocol.InvalidInput {
		return err
	}
	if changed := c.Unchanged(); changed != nil {
		return changed
	}
	if err != nil {
		return err
	}
	if err := b.digests.Save(ctx); err != nil {
		hclog.FromContext(ctx).Warn("cannot save the digests of weights; after a crash, they are read again", "error", err)
	}
	return nil
}

// compare returns an error of kind Changed if an open file is not as planned.
func (b backend) compare(ctx context.Context, c *checkpoint.Checkpoint, planned []protocol.ModelFile) error {
	digests := map[string]string{}
	for _, f := range planned {
		digests[f.Path] = f.Digest
	}
	files, err := c.Files(ctx, b.digests)
	if err != nil {
		return asInvalid(err)
	}
	for _, f := range files {
		switch digest, ok := digests[f.Path]; {
		case !ok:
			return sdk.Changed("%s was added to the model after planning; run `runner plan` again", f.Path)
		case digest != f.Digest:
			return sdk.Changed("%s changed since planning: the plan has %s, the file now has %s; run `runner plan` again, or restore the file", f.Path, digest, f.Digest)
		}
	}
	return nil
}
