// Command load measures how long the torch backend takes to load models: for the first time, again after unloading, and
// again after its process was killed, including the start of the next process. It alternates between the programs.
//
//	go run ./bench/torch/load -programs bin/runner-backend-torch,OTHER -random 24 -work DIR MODEL...
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"surprisal.dev/bench/torch/model"
	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
)

func main() {
	programs := flag.String("programs", "bin/runner-backend-torch", "the programs to compare, separated by commas")
	dtype := flag.String("dtype", "bfloat16", "the type of weights in memory")
	rounds := flag.Int("rounds", 5, "measurements per program and model; medians are reported")
	random := flag.Int("random", 0, "measure a model of random bfloat16 weights with this many layers, too: 24 layers are 4 GB")
	work := flag.String("work", "", "the directory in which that model is made and removed")
	flag.Parse()
	if err := run(strings.Split(*programs, ","), flag.Args(), *dtype, *rounds, *random, *work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(programs, models []string, dtype string, rounds, random int, work string) (err error) {
	if random > 0 {
		if work != "" {
			if err := os.MkdirAll(work, 0o700); err != nil {
				return err
			}
		}
		dir, err := os.MkdirTemp(work, "bench-load-")
		if err != nil {
			return err
		}
		defer func() { err = cmp.Or(err, os.RemoveAll(dir)) }()
		if err := randomModel(dir, random); err != nil {
			return err
		}
		models = append(models, dir)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "model\tprogram\tfirst\tafter unloading\tafter a crash")
	for _, path := range models {
		m, err := model.Of(path, dtype)
		if err != nil {
			return err
		}
		all := map[string][][]time.Duration{}
		for range rounds {
			for _, program := range programs {
				times, err := measure(program, m)
				if err != nil {
					return fmt.Errorf("%s with %s: %w", path, program, err)
				}
				fmt.Fprintln(os.Stderr, filepath.Base(path), program, times)
				all[program] = append(all[program], times)
			}
		}
		for _, program := range programs {
			fmt.Fprintf(out, "%s\t%s", filepath.Base(path), program)
			for i := range 3 {
				fmt.Fprintf(out, "\t%.2f s", median(all[program], i).Seconds())
			}
			fmt.Fprintln(out)
		}
	}
	return out.Flush()
}

func median(times [][]time.Duration, i int) time.Duration {
	var all []time.Duration
	for _, t := range times {
		all = append(all, t[i])
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// measure loads a model three times.
func measure(program string, m protocol.Model) (times []time.Duration, err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	h, err := host.New(host.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, h.Close()) }()
	ctx := context.Background()
	backend, err := h.OpenBackend(ctx, []string{program})
	if err != nil {
		return nil, err
	}
	for i := range 3 {
		if i == 2 {
			if err := kill(); err != nil {
				return nil, err
			}
		}
		started := time.Now()
		loaded, err := backend.Load(ctx, m)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(started))
		if err := loaded.Close(); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// kill ends the processes that this one has started.
func kill() error {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return err
	}
	killed := 0
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that has ended
		}
		if err != nil {
			return err
		}
		for _, field := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return err
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return err
			}
			killed++
		}
	}
	if killed == 0 {
		return errors.New("the backend has no process")
	}
	return nil
}

// Sizes of the random model.
const (
	hidden, heads, keyHeads, mlp, vocabulary = 2048, 32, 8, 8192, 128256
	headSize                                 = hidden / heads
)

// randomModel writes a Llama with random weights in one file.
func randomModel(dir string, layers int) (err error) {
	type entry struct {
		Type    string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header := map[string]entry{}
	size := int64(0)
	add := func(name string, shape ...int64) {
		n := int64(2)
		for _, s := range shape {
			n *= s
		}
		header[name] = entry{"BF16", shape, [2]int64{size, size + n}}
		size += n
	}
	add("model.embed_tokens.weight", vocabulary, hidden)
	for i := range layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"input_layernorm.weight", hidden)
		add(p+"post_attention_layernorm.weight", hidden)
		add(p+"self_attn.q_proj.weight", heads*headSize, hidden)
		add(p+"self_attn.k_proj.weight", keyHeads*headSize, hidden)
		add(p+"self_attn.v_proj.weight", keyHeads*headSize, hidden)
		add(p+"self_attn.o_proj.weight", hidden, heads*headSize)
		add(p+"mlp.gate_proj.weight", mlp, hidden)
		add(p+"mlp.up_proj.weight", mlp, hidden)
		add(p+"mlp.down_proj.weight", hidden, mlp)
	}
	add("model.norm.weight", hidden)
	add("lm_head.weight", vocabulary, hidden)
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	// bufio keeps the first error for Flush.
	_, _ = w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	_, _ = w.Write(text)
	// Numbers of both signs between 2^-8 and 2^-5, which every norm accepts.
	random := rand.New(rand.NewPCG(1, 2))
	for range size / 4 {
		bits := random.Uint32()
		one := func(bits uint32) uint32 { return bits&0x8000 | 119<<7 + bits&0x1ff }
		_, _ = w.Write(binary.LittleEndian.AppendUint32(nil, one(bits)|one(bits>>16)<<16))
	}
	return errors.Join(w.Flush(), writeJSON(filepath.Join(dir, "config.json"), map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers,
		"num_attention_heads": heads, "num_key_value_heads": keyHeads, "head_dim": headSize, "intermediate_size": mlp,
		"vocab_size": vocabulary, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "hidden_act": "silu",
		"tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 0, "attention_bias": false, "mlp_bias": false, "torch_dtype": "bfloat16",
	}), writeJSON(filepath.Join(dir, "tokenizer.json"), bytesTokenizer()))
}

// bytesTokenizer is a tokenizer.json with a token for each printable character of ASCII.
func bytesTokenizer() map[string]any {
	ids := map[string]int{}
	for r := '!'; r < math.MaxInt8; r++ {
		ids[string(r)] = len(ids)
	}
	return map[string]any{
		"version": "1.0", "added_tokens": []any{}, "pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
		"model": map[string]any{"type": "BPE", "vocab": ids, "merges": []any{}},
	}
}

func writeJSON(path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
