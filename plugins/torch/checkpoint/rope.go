package checkpoint

import "math"

// ropeSettings are a configuration's settings for the rotation of queries and keys.
type ropeSettings struct {
	theta float64
	// size is the number of rotated elements of a head.
	size int
	// scaling is "default", "linear" or "llama3"; linear divides by factor.
	scaling               string
	factor                float64
	lowFactor, highFactor float64
	originalContext       float64
}

// rope computes the frequencies as transformers does: in float32, with each operation rounded separately, and with
// division of a number by a tensor as multiplication by the tensor's reciprocal (modeling_rope_utils.py). Llama 3's
// scaling is described in "The Llama 3 Herd of Models", section 3.4.
func (s ropeSettings) rope() *Rope {
	frequencies := make([]float32, s.size/2)
	for i := range frequencies {
		exponent := float32(2*i) / float32(s.size)
		frequencies[i] = 1 / float32(math.Pow(float64(float32(s.theta)), float64(exponent)))
	}
	factor := float32(s.factor)
	switch s.scaling {
	case "linear":
		for i := range frequencies {
			frequencies[i] /= factor
		}
	case "llama3":
		low, original := float32(s.lowFactor), float32(s.originalContext)
		longest, shortest := float32(s.originalContext/s.lowFactor), float32(s.originalContext/s.highFactor)
		spread := float32(s.highFactor - s.lowFactor)
		for i, frequency := range frequencies {
			wavelength := float32(1/frequency) * float32(2*math.Pi)
			switch {
			case wavelength > longest:
				frequencies[i] = frequency / factor
			case wavelength >= shortest:
				smooth := float32(float32(float32(1/wavelength)*original)-low) / spread
				scaled := float32(float32(1-smooth)*frequency) / factor
				frequencies[i] = scaled + float32(smooth*frequency)
			}
		}
	}
	return &Rope{Size: s.size, InverseFrequencies: frequencies, Factor: 1}
}
