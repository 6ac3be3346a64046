package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
)

// Options configure a Host.
type Options struct {
	// Providers and Backends name the plugins that are built into this binary. It is started again with the
	// arguments "plugin serve KIND NAME".
	Providers, Backends []string
	// ProviderDescriptions and BackendDescriptions hold the descriptions of built-in plugins by name. A plugin
	// listed here is not asked for its description, so that its process starts only when it gets work.
	ProviderDescriptions map[string]protocol.ProviderDescription
	BackendDescriptions  map[string]protocol.BackendDescription
	// SearchDirs are searched for plugins in addition to the PATH.
	SearchDirs []string
	// Dir is the directory for sockets and temporary files, created if missing. "" means the system's temporary
	// directory, which is also used if the path is too long for a socket.
	Dir string
	// Log receives the output of plugins and reports of their deaths; nil discards it.
	Log hclog.Logger
}

// Host runs plugins. Its methods are safe for concurrent use.
type Host struct {
	options Options
	log     hclog.Logger
	timing  timing
	// window bounds the text in flight in a Score call, in bytes.
	window int64
	dir    *runDir

	mu        sync.Mutex
	closed    bool
	opened    []*subprocess
	providers map[string]*slot[Provider]
	backends  map[string]*slot[Backend]
}

// slot holds a value that its first user creates. A failure is not kept.
type slot[T any] struct {
	mu    sync.Mutex
	value *T
}

func (s *slot[T]) get(make func() (*T, error)) (*T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == nil {
		value, err := make()
		if err != nil {
			return nil, err
		}
		s.value = value
	}
	return s.value, nil
}

func slotOf[T any](h *Host, slots map[string]*slot[T], key string) *slot[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slots[key] == nil {
		slots[key] = new(slot[T])
	}
	return slots[key]
}

// New returns a host. Close stops its plugins.
func New(o Options) (*Host, error) {
	dir, err := newRunDir(o.Dir)
	if err != nil {
		return nil, err
	}
	return &Host{
		options: o,
		log:     cmp.Or[hclog.Logger](o.Log, hclog.NewNullLogger()),
		timing:  defaultTiming(),
		window:  4 << 20,
		dir:     dir,

		providers: map[string]*slot[Provider]{},
		backends:  map[string]*slot[Backend]{},
	}, nil
}

// Close stops all plugins and removes their sockets and temporary files. Plugins that do not end within a second are
// killed.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	opened := h.opened
	h.opened = nil
	h.mu.Unlock()
	var group sync.WaitGroup
	for _, s := range opened {
		group.Go(s.close)
	}
	group.Wait()
	return h.dir.remove()
}

// Provider finds the provider called name. It is started on its first request.
func (h *Host) Provider(ctx context.Context, name string) (*Provider, error) {
	return slotOf(h, h.providers, name).get(func() (*Provider, error) {
		args, err := h.find(protocol.KindProvider, name)
		if err != nil {
			return nil, err
		}
		return h.openProvider(ctx, args, name)
	})
}

// Backend finds the backend called name. It is started on its first request.
func (h *Host) Backend(ctx context.Context, name string) (*Backend, error) {
	return slotOf(h, h.backends, name).get(func() (*Backend, error) {
		args, err := h.find(protocol.KindBackend, name)
		if err != nil {
			return nil, err
		}
		return h.openBackend(ctx, args, name)
	})
}

// OpenProvider starts the provider that command runs, whatever its name.
func (h *Host) OpenProvider(ctx context.Context, command []string) (*Provider, error) {
	return h.openProvider(ctx, command, "")
}

// OpenBackend starts the backend that command runs, whatever its name.
func (h *Host) OpenBackend(ctx context.Context, command []string) (*Backend, error) {
	return h.openBackend(ctx, command, "")
}

// open prepares a plugin without starting it.
func (h *Host) open(kind protocol.Kind, name string, args []string) (*subprocess, error) {
	if len(args) == 0 {
		return nil, errors.New("no command to start a plugin with")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errors.New("the plugin host is closed")
	}
	s := &subprocess{
		host: h, kind: kind, args: args, log: h.log.With("plugin", cmp.Or(name, args[0])),
		// A caller that gives no name has a command for the plugin, whatever it starts.
		builtin: name != "" && len(args) > 1, gate: newGate(),
	}
	h.opened = append(h.opened, s)
	return s, nil
}

// describe completes info, which a plugin has just sent, and rejects a plugin of the wrong name or kind.
func (h *Host) describe(s *subprocess, name string, info Info) (Info, error) {
	info.Kind, info.Path, info.Protocol = s.kind, s.args[0], protocol.Version
	info.Builtin = s.builtin
	if err := checkDescription(info); err != nil {
		return Info{}, s.broken(err)
	}
	if name != "" && info.Name != name {
		return Info{}, fmt.Errorf("plugin %s calls itself %q; its file must be called runner-%s-%s", info.Path, info.Name, s.kind, info.Name)
	}
	s.askFor(info.Environment)
	info.BinaryDigest = s.binary()
	return info, nil
}
