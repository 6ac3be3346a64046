package scores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// fetch returns the path of a table on this machine, copied into scratch if it is elsewhere. A location that is no URL is a
// path, which starts at dir if it is relative. The error for a table without the digest is of kind Changed.
func fetch(ctx context.Context, location, dir, digest, scratch string) (_ string, err error) {
	local := location
	copied := io.Discard
	if store.IsURL(location) {
		local = filepath.Join(scratch, "table.parquet")
		f, err := os.Create(local)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		copied = f
	} else if !filepath.IsAbs(location) {
		location = filepath.Join(dir, location)
		local = location
	}
	found, _, err := store.CopyObject(ctx, copied, location)
	if err != nil {
		return "", err
	}
	if found != digest {
		return "", &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf("%s changed since the plan was made, from %s to %s; restore it, or accept it with runner pin",
			location, digest, found)}
	}
	return local, nil
}
