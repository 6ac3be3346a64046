//go:build torch

package backend

import (
	"cmp"
	"math"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// Memory of the process in addition to the graph's tensors, fitted to the models of TestMemory. It consists of libtorch
// itself with the products that oneDNN keeps, the tokenizer's tables, and memory that the allocator and MKL keep. The
// latter is one to two bytes per byte of activations and logits, and less for two batches, whose peaks are rarely at the
// same time.
const (
	libraryBytes    = 175 << 20
	vocabularyBytes = 380 // per token
	keptShare       = 2.5
	keptShareOfTwo  = 2
	// cudaBytes is the host memory of the CUDA libraries. It is a round figure, not fitted.
	cudaBytes = 1 << 30
)

func estimate(c *checkpoint.Checkpoint, o config, s protocol.Settings) (protocol.Estimate, error) {
	a := c.Architecture()
	s, err := s.Resolve(int64(a.Context))
	if err != nil {
		return protocol.Estimate{}, err
	}
	if err := a.Shardable(o.TensorParallel); err != nil {
		return protocol.Estimate{}, err
	}
	// Nearly every token has at least one byte; one more may straddle the window's start.
	context := int(min(s.Context+1, int64(a.Context)))
	if s.Anchor == protocol.AnchorTokens {
		context = int(s.Context)
	}
	device := tensor.CPU
	if o.Device != "cpu" {
		device = 0
	}
	kind := tensor.Float32
	if o.Dtype == "bfloat16" {
		kind = tensor.BFloat16
	}
	// One thread per core is several threads: the machine that scores may have more cores than this one.
	options := decoder.Options{
		Type: kind, Devices: slices.Repeat([]tensor.Device{device}, o.TensorParallel), Threads: cmp.Or(o.Threads, math.MaxInt),
	}
	batches := options.Batches()
	w := graph.Workload{
		Context: context, Tokens: batches * max(o.batchTokens(), context), ElementBytes: kind.Bytes(), Ranks: o.TensorParallel,
		Observed: s.ActivationThreshold > 0,
		Logits:   int64(batches) * decoder.LogitRows * min(int64(o.TensorParallel)*decoder.LogitColumns(device), int64(a.Vocabulary)),
	}
	if device == tensor.CPU {
		w.PackedHead, w.WidenedRows = tensor.HasPackedLayout(kind), tensor.WidenedRows(kind)
	} else if kind == tensor.BFloat16 {
		w.GroupedRows = tensor.GroupedRows
	}
	cost, err := a.Estimate(w)
	if err != nil {
		return protocol.Estimate{}, err
	}
	held := cost.Weights + cost.Copies
	share := keptShare
	if batches > 1 {
		share = keptShareOfTwo
	}
	tensors := held + int64(share*float64(cost.Peak-held))
	e := protocol.Estimate{
		Parameters: c.Parameters(), WeightBytes: cost.Weights, FLOPsPerToken: cost.FLOPsPerToken,
		MemoryBytes:    libraryBytes + vocabularyBytes*int64(a.Vocabulary),
		Context:        s.Context,
		SharesPrefixes: decoder.Shares(a, device, decoder.Request{ActivationThreshold: s.ActivationThreshold}),
	}
	if active := c.ActiveParameters(); active < e.Parameters {
		e.ActiveParameters = active
	}
	if device == tensor.CPU {
		e.MemoryBytes += tensors
		return e, nil
	}
	// A tensor is converted on the host, one part at a time, before it is copied to its device from page-locked memory.
	// The device may still read two parts.
	e.MemoryBytes += cudaBytes + int64(o.TensorParallel)*3*graph.ConvertedElements*4
	e.DeviceMemoryBytes = libraryBytes + tensors
	e.Devices = 1 // the device of "cuda:1", which all ranks share
	if o.Device == "cuda" {
		e.Devices = int64(o.TensorParallel)
	}
	return e, nil
}
