package hf

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/hub"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/parquet"
	"surprisal.dev/providers/source"
)

const schema = `#Config: {
	// The dataset on the hub, as in "HuggingFaceFW/fineweb-edu".
	id!: =~"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"
	// A commit of 40 hexadecimal digits, or a branch or tag, which ` + "`runner pin`" + ` resolves to a commit. The hub keeps Parquet
	// files of most datasets on the branch "refs/convert/parquet".
	revision: *"main" | string & !=""
	// One of the dataset's configurations, if it has several.
	config?: string & !=""
	split: *"train" | string & !=""
	// A glob of files of the repository, instead of config and split: "data/*.jsonl.gz".
	files?: string & !=""
}
`

// New returns the provider.
func New() sdk.Provider {
	return &provider{client: sync.OnceValues(hub.FromEnvironment), known: digests.New()}
}

type provider struct {
	client func() (*hub.Client, error)
	known  *digests.Cache
}

type config struct {
	ID       string `json:"id"`
	Revision string `json:"revision,omitempty"`
	Config   string `json:"config,omitempty"`
	Split    string `json:"split"`
	Files    string `json:"files,omitempty"`
}

func (c config) repository() hub.Repository { return hub.Repository{Kind: hub.Dataset, ID: c.ID} }

func parse(raw json.RawMessage) (config, error) {
	c := config{Revision: "main", Split: "train"}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, sdk.Invalid("configuration %.200s: %v", raw, err)
	}
	return c, c.repository().Check(c.Revision)
}

func (p *provider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{Name: "hf", Version: "2", Schema: schema, Environment: hub.Environment}, nil
}

func (p *provider) Resolve(ctx context.Context, r protocol.ResolveRequest) (_ protocol.Resolution, err error) {
	defer source.Visible(&err)
	c, err := parse(r.Source.Config)
	if err != nil {
		return protocol.Resolution{}, err
	}
	if !r.Network {
		return protocol.Resolution{}, sdk.NeedsNetwork("%s, revision %s, is on a hub; run `runner pin` to record its content in the lock file", c.repository(), c.Revision)
	}
	client, err := p.client()
	if err != nil {
		return protocol.Resolution{}, err
	}
	commit, err := client.Commit(ctx, c.repository(), c.Revision)
	if err != nil {
		return protocol.Resolution{}, err
	}
	chosen, err := p.choose(ctx, client, c, commit)
	if err != nil {
		return protocol.Resolution{}, err
	}
	// A revision that moves does not belong to the parameters; the commit is known apart from them.
	parameters := c
	parameters.Revision = ""
	encoded, err := json.Marshal(parameters)
	if err != nil {
		return protocol.Resolution{}, err
	}
	files, err := p.identify(ctx, client, located{c.repository(), commit}, chosen)
	return protocol.Resolution{Parameters: encoded, Files: files, Revision: commit}, err
}

// located is a commit of a repository.
type located struct {
	hub.Repository
	commit string
}

// maxChosen is the maximum number of files of a source: a lock file has each of them.
const maxChosen = 50_000

// choose returns the files of a commit that the configuration selects.
func (p *provider) choose(ctx context.Context, client *hub.Client, c config, commit string) ([]hub.File, error) {
	files, err := client.Files(ctx, c.repository(), commit)
	if err != nil {
		return nil, err
	}
	card := ""
	if at := slices.IndexFunc(files, func(f hub.File) bool { return f.Path == "README.md" }); at >= 0 && c.Files == "" {
		path, err := client.Download(ctx, c.repository(), commit, files[at])
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		card = string(content)
	}
	chosen, err := selection{config: c, all: files}.choose(card)
	if len(chosen) > maxChosen {
		return nil, sdk.Invalid("%s: %d files belong to %s, and at most %d are read; name fewer: files: \"data/*-of-00100.parquet\"", c.repository(), len(chosen), selection{config: c}.what(), maxChosen)
	}
	return chosen, err
}

// identify returns files with their SHA-256. The hub knows that of large ones; the others are downloaded.
func (p *provider) identify(ctx context.Context, client *hub.Client, at located, chosen []hub.File) ([]protocol.File, error) {
	files := make([]protocol.File, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range chosen {
		files[i] = protocol.File{Name: f.Path, Digest: "sha256:" + f.SHA256, Bytes: f.Bytes, Compressed: isCompressed(f.Path)}
		if f.SHA256 != "" {
			continue
		}
		group.Go(func() (err error) {
			files[i].Digest, err = p.download(ctx, client, at, f)
			return err
		})
	}
	return files, group.Wait()
}

// download downloads a file and returns its digest.
func (p *provider) download(ctx context.Context, client *hub.Client, at located, f hub.File) (string, error) {
	path, err := client.Download(ctx, at.Repository, at.commit, f)
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest, _, err := p.known.Digest(ctx, file)
	return digest, err
}

func isCompressed(name string) bool {
	return slices.ContainsFunc([]string{".parquet", ".gz", ".zst"}, func(e string) bool { return strings.HasSuffix(name, e) })
}

func (p *provider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) (err error) {
	defer source.Visible(&err)
	c, err := parse(r.Source.Config)
	if err != nil {
		return err
	}
	if err := source.CheckRange(r); err != nil {
		return err
	}
	if !hub.IsCommit(r.Pinned.Revision) {
		return sdk.Invalid("%s is pinned at revision %q, which is not a commit; run `runner pin`", c.repository(), r.Pinned.Revision)
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	at := located{c.repository(), r.Pinned.Revision}
	shards := make([]source.Shard, len(r.Pinned.Files))
	for i, f := range r.Pinned.Files {
		reader := jsonl.Reader
		if strings.HasSuffix(f.Name, parquetExtension) {
			reader = parquet.Reader
		}
		read, err := reader(source.Requested(r))
		if err != nil {
			return err
		}
		shards[i] = source.Shard{Name: f.Name, Read: read, Open: func(ctx context.Context) (*source.File, error) { return open(ctx, client, at, f) }}
	}
	return source.ReadShards(ctx, r, shards, emit)
}

// open opens a pinned file: in the cache, or in parts, or after a download.
func open(ctx context.Context, client *hub.Client, at located, pinned protocol.File) (*source.File, error) {
	if path, ok := client.Cached(at.Repository, at.commit, pinned.Name); ok {
		return source.OpenLocal(ctx, path, pinned)
	}
	f, err := client.Describe(ctx, at.Repository, at.commit, pinned.Name)
	if err != nil {
		return nil, err
	}
	label := at.String() + ", file " + pinned.Name
	if f.SHA256 == "" {
		path, err := client.Download(ctx, at.Repository, at.commit, f)
		if err != nil {
			return nil, err
		}
		return source.OpenLocal(ctx, path, pinned)
	}
	if "sha256:"+f.SHA256 != pinned.Digest {
		return nil, sdk.Changed("%s: the hub has the digest sha256:%s, but %s is pinned; run `runner pin` to accept the change", label, f.SHA256, pinned.Digest)
	}
	parts, err := client.Ranges(ctx, at.Repository, at.commit, f)
	if err != nil {
		return nil, err
	}
	return source.OpenParts(ctx, label, parts, pinned), nil
}
