//go:build torch

package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
	"surprisal.dev/plugins/torch/tokenizer"
)

// config is a model's configuration, valid under the schema.
type config struct {
	Dtype          string `json:"dtype"`
	Device         string `json:"device"`
	TensorParallel int    `json:"tensorParallel"`
	Threads        int    `json:"threads"`
	BatchTokens    int    `json:"batchTokens"`
}

type backend struct {
	// processor is that of all models on the CPU: batches that compute at once, each with all threads, take far longer
	// than one after the other.
	processor *decoder.Processor
	// digests are those of the weights that were read.
	digests *digests.Cache
}

// New returns the backend. It configures this process's allocator.
func New() sdk.Backend {
	tensor.KeepMemory()
	return backend{decoder.NewProcessor(), knownDigests()}
}

func (backend) Describe(context.Context) (protocol.BackendDescription, error) {
	if err := tensor.CheckVersion(); err != nil {
		return protocol.BackendDescription{}, sdk.Invalid("%v", err)
	}
	return Description(tensor.Version()), nil
}

func (backend) Plan(_ context.Context, m protocol.Model, s protocol.Settings) (_ protocol.Estimate, err error) {
	c, err := parse(m)
	if err != nil {
		return protocol.Estimate{}, err
	}
	weights, err := open(m)
	if err != nil {
		return protocol.Estimate{}, err
	}
	defer func() { err = errors.Join(err, weights.Close()) }()
	if err := checkTokenizer(weights); err != nil {
		return protocol.Estimate{}, err
	}
	return estimate(weights, c, s)
}

func (b backend) Load(ctx context.Context, m protocol.Model) (_ sdk.Model, err error) {
	c, err := parse(m)
	if err != nil {
		return nil, err
	}
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	options.Processor = b.processor
	if c.Device != "cpu" {
		options.Processor = decoder.NewProcessor()
	}
	weights, err := open(m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, weights.Close()) }()
	var loaded *model
	err = b.asPlanned(ctx, weights, m.Files, func(ctx context.Context) (err error) {
		loaded, err = b.load(ctx, weights, c, options)
		return err
	})
	if err != nil {
		if loaded != nil {
			err = errors.Join(err, loaded.Close())
		}
		return nil, err
	}
	loaded.reduce(m.Halvings)
	return loaded, nil
}

// load reads the model.
func (b backend) load(ctx context.Context, weights *checkpoint.Checkpoint, c config, options decoder.Options) (*model, error) {
	words, err := openTokenizer(weights)
	if err != nil {
		return nil, err
	}
	trim()
	heap := tensor.NewHeap()
	d, err := decoder.New(ctx, weights, heap, options)
	if err != nil {
		words.Close()
		return nil, asInvalid(err)
	}
	warn(ctx, options.Devices)
	trim()
	end := firstOf(weights.EOS, words.EOS)
	prefix := firstOf(weights.BOS, words.BOS, func() (int32, bool) { return end.id, end.ok })
	loaded := &model{
		config: c, architecture: weights.Architecture(), decoder: d, tokenizer: words, heap: heap, weights: heap.Live(),
		prefix: prefix, end: end, processor: options.Processor, sites: weights.Sites(),
	}
	loaded.batches.Store(int64(options.Batches()))
	loaded.budget.Store(int64(c.batchTokens()))
	return loaded, nil
}

// warn logs which of the backend's own kernels are not used, because a check failed.
func warn(ctx context.Context, devices []tensor.Device) {
	if failure := tensor.ProductFailure(); failure != "" {
		hclog.FromContext(ctx).Warn(failure)
	}
	for i, d := range devices {
		if failure := tensor.KernelFailure(d); failure != "" && !slices.Contains(devices[:i], d) {
			hclog.FromContext(ctx).Warn("libtorch's operations are used instead, which are slower: " + failure)
		}
	}
}

// trim returns memory that a step of loading no longer uses: a large vocabulary temporarily needs hundreds of
// megabytes.
func trim() {
	debug.FreeOSMemory()
	tensor.Trim()
}

// asInvalid turns an error about a model's files into one that the user can fix.
func asInvalid(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || protocol.KindOf(err) != "" {
		return err
	}
	if errors.Is(err, tensor.ErrMemory) {
		return sdk.OutOfMemory("loading the weights: %v", err)
	}
	return sdk.Invalid("%v", err)
}

func parse(m protocol.Model) (config, error) {
	var c config
	if err := json.Unmarshal(m.Config, &c); err != nil {
		return c, sdk.Invalid("configuration %s: %v", m.Config, err)
	}
	if len(m.Files) == 0 {
		return c, sdk.Invalid("the torch backend needs weights; set weights: path: \"FILE.gguf\" or a directory of safetensors")
	}
	return c, nil
}

// open opens the weights: one file, or a directory with several.
func open(m protocol.Model) (*checkpoint.Checkpoint, error) {
	path := m.Files[0].Path
	if len(m.Files) > 1 || filepath.Ext(path) == ".json" {
		path = filepath.Dir(path)
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, asInvalid(err)
	}
	return c, nil
}

func (c config) options() (decoder.Options, error) {
	o := decoder.Options{Type: tensor.Float32, Threads: c.threads()}
	if c.Dtype == "bfloat16" {
		o.Type = tensor.BFloat16
	}
	number, cuda := strings.CutPrefix(c.Device, "cuda")
	if !cuda {
		o.Devices = slices.Repeat([]tensor.Device{tensor.CPU}, c.TensorParallel)
		return o, nil
	}
	if err := loadCUDA(); err != nil {
		return o, sdk.Invalid("device %q: %v; run `runner doctor`", c.Device, err)
	}
	devices := tensor.CUDADevices()
	if number == "" {
		if c.TensorParallel > devices {
			return o, sdk.Invalid("device \"cuda\" with tensorParallel: %d: this machine has %d CUDA devices; run `runner doctor`, "+
				"or set device: \"cuda:0\" to have all ranks share one", c.TensorParallel, devices)
		}
		for i := range c.TensorParallel {
			o.Devices = append(o.Devices, tensor.Device(i))
		}
		return o, nil
	}
	device, err := strconv.Atoi(number[1:])
	if err != nil {
		return o, sdk.Invalid("device %q: %v", c.Device, err)
	}
	if device >= devices {
		return o, sdk.Invalid("device %q: this machine has %d CUDA devices; run `runner doctor`", c.Device, devices)
	}
	o.Devices = slices.Repeat([]tensor.Device{tensor.Device(device)}, c.TensorParallel)
	return o, nil
}

// largestBatch is the maximum number of tokens per batch on CPUs. A larger batch is not faster, and a layer of it delays
// the calls after one that is canceled.
const largestBatch = 1 << 15

func (c config) batchTokens() int {
	if c.Device == "cpu" {
		return min(c.BatchTokens, largestBatch)
	}
	return c.BatchTokens
}

func (c config) threads() int {
	if c.Threads > 0 {
		return c.Threads
	}
	return max(runtime.GOMAXPROCS(0), 1)
}

// checkTokenizer returns an error of openTokenizer, as far as it can be known without building the vocabulary.
func checkTokenizer(c *checkpoint.Checkpoint) error {
	if data, ok := c.TokenizerJSON(); ok {
		return asTokenizerFile(tokenizer.CheckJSON(data))
	}
	if c.Metadata() == nil {
		return noTokenizer()
	}
	return tokenizer.CheckGGUF(c.Metadata())
}

func openTokenizer(c *checkpoint.Checkpoint) (*tokenizer.Tokenizer, error) {
	if data, ok := c.TokenizerJSON(); ok {
		t, err := tokenizer.FromJSON(data)
		return t, asTokenizerFile(err)
	}
	if c.Metadata() == nil {
		return nil, noTokenizer()
	}
	return tokenizer.FromGGUF(c.Metadata())
}

func asTokenizerFile(err error) error {
	if err == nil {
		return nil
	}
	return sdk.Invalid("tokenizer.json: %v", err)
}

func noTokenizer() error {
	return sdk.Invalid("tokenizer.json not found in the model directory; AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) creates it " +
		"from a tokenizer's older files")
}

// special is a token without text, if the model has it.
type special struct {
	id int32
	ok bool
}

// firstOf returns the first existing token.
func firstOf(all ...func() (int32, bool)) special {
	for _, f := range all {
		if id, ok := f(); ok {
			return special{id, true}
		}
	}
	return special{}
}

func (s special) need(what, wayOut string) (int32, error) {
	if !s.ok {
		return 0, sdk.Invalid("the model's tokenizer defines no %s token; %s", what, wayOut)
	}
	return s.id, nil
}

func position(d protocol.Document, token int, byteOffset int32) string {
	return fmt.Sprintf("%v: token %d at byte %d", d, token, byteOffset)
}
