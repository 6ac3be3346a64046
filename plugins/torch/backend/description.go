package backend

import "surprisal.dev/plugins/protocol"

// libraryVariable names the directory of libtorch's libraries, for a machine on which this program's linked path does
// not exist.
const libraryVariable = "LIBTORCH_LIBRARY_PATH"

const schema = `
#Config: {
	// The type of weights and activations; losses are summed in float64.
	dtype: *"float32" | "bfloat16"
	// "cpu", "cuda" or the number of a GPU, as in "cuda:1".
	device: *"cpu" | =~"^cuda(:[0-9]+)?$"
	// The number of ranks over which the weights are sharded. With "cuda" each rank has its own GPU; the ranks of
	// "cuda:1" share that GPU.
	tensorParallel: *1 | (int & >=1 & <=64)
	// Threads of each rank; 0 means one per CPU core.
	threads: *0 | (int & >=0)
	// The maximum number of tokens per batch, by default 2048 on a CPU and 16384 on GPUs; it is halved if memory does not
	// suffice. On CPUs at most 32768 are used. Some CPUs compute two batches at a time.
	batchTokens: *[if device == "cpu" {2048}, 16384][0] | (int & >=1)
}
`

// Description returns what the backend says about itself, with the version of libtorch. It needs no libtorch, so that
// the specs of this repository can be checked without it.
func Description(libtorch string) protocol.BackendDescription {
	return protocol.BackendDescription{
		Name: "torch", Version: "2 on libtorch " + libtorch, Schema: schema,
		Environment: []string{"CUDA_VISIBLE_DEVICES", libraryVariable, "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"},
		Capabilities: []string{
			protocol.CapabilityActivations, protocol.CapabilityConfidence, protocol.CapabilitySpecialTokens, protocol.CapabilityTokenRange,
			protocol.CapabilityTokenTexts, protocol.CapabilityTopK,
		},
		// A document's losses depend neither on batch composition nor on the number of threads.
		NeutralSettings: []string{"threads", "batchTokens"},
	}
}
