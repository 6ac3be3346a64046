//go:build torch

package backend

import (
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
)

// libraryBytes is about what the process holds besides tensors: libtorch, its buffers for packed matrices and the tokenizer.
const libraryBytes = 400 << 20

func estimate(c *checkpoint.Checkpoint, o config, s protocol.Settings) (protocol.Estimate, error) {
	a := c.Architecture()
	s, err := s.Resolve(int64(a.Context))
	if err != nil {
		return protocol.Estimate{}, err
	}
	context := a.Context
	if s.Anchor == protocol.AnchorTokens {
		context = int(s.Context)
	}
	device := tensor.CPU
	if o.Device != "cpu" {
		device = 0
	}
	w := checkpoint.Workload{
		Context: context, Tokens: max(o.BatchTokens, context), Type: checkpoint.F32,
		Logits: int64(o.TensorParallel) * decoder.LogitRows * decoder.LogitColumns(device),
	}
	if o.Dtype == "bfloat16" {
		w.Type = checkpoint.BF16
	}
	cost, err := a.Estimate(w)
	if err != nil {
		return protocol.Estimate{}, err
	}
	return protocol.Estimate{
		Parameters: c.Parameters(), WeightBytes: cost.Weights, FLOPsPerToken: cost.FLOPsPerToken, MemoryBytes: cost.Peak + libraryBytes,
	}, nil
}
