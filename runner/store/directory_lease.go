package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"surprisal.dev/internal/filelock"
)

// claim publishes a lease whose lock this process holds. The file is locked before it gets its name.
func (d *directory) claim(_ context.Context, name string, data []byte) error {
	f, temporary, err := d.temp()
	if err != nil {
		return err
	}
	locked, err := filelock.Try(f, filelock.Exclusive)
	if err == nil && !locked {
		err = fmt.Errorf("%s: another process locked a new file", f.Name())
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = d.moveInto(temporary, name)
	}
	if err != nil {
		d.discard(f, temporary)
		return explain(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.claims[name]; old != nil {
		_ = old.Close()
	}
	d.claims[name] = f
	return nil
}

// moveInto renames a file into a directory that another process may remove while it is empty.
func (d *directory) moveInto(from, to string) error {
	for {
		if err := d.mkdir(path.Dir(to)); err != nil {
			return err
		}
		if err := d.root.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := d.root.Lstat(from); err != nil {
			return err
		}
	}
}

func (d *directory) unclaim(ctx context.Context, name string) error {
	d.mu.Lock()
	f := d.claims[name]
	delete(d.claims, name)
	d.mu.Unlock()
	err := d.remove(ctx, name)
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	if path.Dir(name)+"/" == collectors {
		// Checking for collectors is cheapest if the directory does not exist.
		err = errors.Join(err, d.prune("collectors"))
	}
	return err
}

func (d *directory) claimed(_ context.Context, prefix string) ([]claim, error) {
	names, err := d.names(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return nil, err
	}
	var claims []claim
	for _, name := range names {
		if !claimName.MatchString(name) {
			continue
		}
		c, err := d.probe(prefix + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, explain(err)
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// probe finds out whether the owner of a lease is alive. An owner renews its lease by renaming a new locked file over
// the old one, so the lock of a file that lost its name does not matter.
func (d *directory) probe(name string) (claim, error) {
	d.mu.Lock()
	own := d.claims[name] != nil
	d.mu.Unlock()
	for {
		f, err := d.file(name)
		if err != nil {
			return claim{}, err
		}
		dead := false
		if !own {
			dead, err = filelock.Try(f, filelock.Shared)
		}
		current := filelock.IsAt(f, d.root, name)
		if err := errors.Join(err, f.Close()); err != nil {
			return claim{}, err
		}
		if current {
			return claim{name: name, live: !dead}, nil
		}
	}
}
