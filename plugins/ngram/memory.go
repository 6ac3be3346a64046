package ngram

import (
	"fmt"
	"os"

	"surprisal.dev/plugins/ngram/kneserney"
	"surprisal.dev/plugins/protocol"
)

// baseMemory is the resident size in bytes of the process that serves the backend, without models. It covers the
// program, the transport's buffers and documents of usual size (61 MB on Linux). memoryPerFileByte is the memory of a
// loaded model per byte of its file. It includes the file's content and memory that the garbage collector has not freed
// yet.
const (
	baseMemory        = 80 << 20
	memoryPerFileByte = 50
)

// trainingMemory is the memory of training per byte of text, by order, for bytes and for words. It consists of the
// counts of distinct n-grams, twice while they are written, and of memory that the garbage collector has not freed yet.
// The values are bounds for prose of at least half a megabyte, 1.3 to 2 times the memory for Newton's Opticks. Larger
// texts repeat themselves and need less per byte. Text without repetition needs more: random base64 needs 210 bytes per
// byte at order 5 and 950 at order 10.
var trainingMemory = map[string][kneserney.MaxOrder + 1]float64{
	tokensBytes: {1: 1, 2: 4, 3: 10, 4: 22, 5: 45, 6: 80, 7: 120, 8: 170, 9: 220, 10: 280},
	tokensWords: {1: 16, 2: 32, 3: 60, 4: 100, 5: 130, 6: 160, 7: 200, 8: 230, 9: 260, 10: 290},
}

// loadedShare is the memory of a loaded model as a share of its training's memory.
const loadedShare = 0.6

// memory returns the memory part of an estimate and, for a trained model, the number of parameters. A trained model has
// one file.
func memory(c config, files []protocol.ModelFile) (protocol.Estimate, error) {
	perByte := trainingMemory[c.Tokens][c.Order]
	e := protocol.Estimate{MemoryBytes: baseMemory, TrainingMemoryPerByte: perByte, MemoryPerTrainingByte: loadedShare * perByte}
	if len(files) != 1 {
		return e, nil
	}
	info, err := os.Stat(files[0].Path)
	if err != nil {
		return protocol.Estimate{}, fmt.Errorf("model file: %w", err)
	}
	e.MemoryBytes += memoryPerFileByte * info.Size()
	e.MemoryPerTrainingByte = 0
	e.Parameters, err = parameters(files[0].Path)
	return e, err
}
