package family

import (
	"math"

	"surprisal.dev/plugins/torch/graph"
)

// ropeSettings are a configuration's settings for the rotation of queries and keys.
type ropeSettings struct {
	theta float64
	// size is the number of rotated elements of a head.
	size int
	// part is the configured share of a head's elements that are rotated; 0: all.
	part float64
	// scaling is "default", "linear", "llama3", "yarn" or "longrope"; linear divides by factor.
	scaling               string
	factor                float64
	lowFactor, highFactor float64
	originalContext       float64
	yarn                  yarn
	long                  longRope
}

// longRope are the settings of LongRoPE (Ding et al., arXiv:2402.13753), as transformers has them: sequences of more
// tokens than the original context have other divisors of the frequencies than shorter ones.
type longRope struct {
	short, long []float32
	// attention multiplies sine and cosine.
	attention float64
}

// longAttention is the factor of sine and cosine of LongRoPE.
func longAttention(factor, originalContext float64) float64 {
	if factor <= 1 {
		return 1
	}
	return math.Sqrt(1 + math.Log(factor)/math.Log(originalContext))
}

// yarn are the settings of YaRN (Peng et al., arXiv:2309.00071).
type yarn struct {
	// Frequencies with at least fast rotations in the original context are kept; those with at most slow are divided.
	fast, slow float64
	// attention multiplies sine and cosine.
	attention float64
	// truncate rounds the range between kept and divided frequencies outward to whole numbers.
	truncate bool
}

// defaultAttention is the factor of sine and cosine for a factor of the context.
func defaultAttention(factor, scale float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*scale*math.Log(factor) + 1
}

// scale interpolates between frequencies and the same divided by the factor.
func (y yarn) scale(s ropeSettings, frequencies []float32) {
	size := float64(s.size)
	position := func(rotations float64) float64 {
		return size * math.Log(s.originalContext/(rotations*2*math.Pi)) / (2 * math.Log(s.theta))
	}
	low, high := position(y.fast), position(y.slow)
	if y.truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, size-1)
	if low == high {
		high += 0.001 // as in transformers, so that the slope is finite
	}
	for i, frequency := range frequencies {
		divided := 1 / float32(float32(s.factor)*float32(1/frequency))
		ramp := min(max(float32(float32(i)-float32(low))/float32(high-low), 0), 1)
		kept := 1 - ramp
		interpolated, extrapolated := float32(divided*(1-kept)), float32(frequency*kept)
		frequencies[i] = interpolated + extrapolated
	}
}

// rope computes the frequencies as transformers does: in float32, with each operation rounded separately, and with
// division of a number by a tensor as multiplication by the tensor's reciprocal (modeling_rope_utils.py). Llama 3's
// scaling is described in "The Llama 3 Herd of Models", section 3.4.
func (s ropeSettings) rope() *graph.Rope {
	if s.scaling == "longrope" {
		long := &graph.LongRope{From: int(s.originalContext) + 1, InverseFrequencies: s.frequencies(s.long.long)}
		return &graph.Rope{Size: s.size, InverseFrequencies: s.frequencies(s.long.short), Factor: s.long.attention, Long: long}
	}
	frequencies := s.frequencies(nil)
	factor, attention := float32(s.factor), 1.0
	switch s.scaling {
	case "yarn":
		s.yarn.scale(s, frequencies)
		attention = s.yarn.attention
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
	return &graph.Rope{Size: s.size, InverseFrequencies: frequencies, Factor: attention}
}

// frequencies returns the inverse frequencies, divided by the divisors unless they are nil.
func (s ropeSettings) frequencies(divisors []float32) []float32 {
	frequencies := make([]float32, s.size/2)
	for i := range frequencies {
		exponent := float32(2*i) / float32(s.size)
		power := float32(math.Pow(float64(float32(s.theta)), float64(exponent)))
		if divisors != nil {
			power = divisors[i] * power
		}
		frequencies[i] = 1 / power
	}
	return frequencies
}

// rotation reads the frequencies of a model that rotates whole heads.
func (f *fields) rotation(headSize, context int) *graph.Rope {
	parameters := f.ropeParameters()
	return f.scaledRope(parameters, ropeSettings{theta: f.positive("rope_theta", 10000), size: headSize}, context)
}

// ropeParameters reads the object rope_parameters, which transformers 5 writes, or the older rope_scaling. It is nil
// without either.
func (f *fields) ropeParameters() *fields {
	parameters, scaling := f.object("rope_parameters"), f.object("rope_scaling")
	if parameters != nil && scaling != nil {
		f.fail("rope_parameters and rope_scaling are mutually exclusive; keep one")
	}
	if parameters == nil {
		return scaling
	}
	return parameters
}

// partial reduces the rotated elements of settings to the share that the parameters, which may be nil, or else the
// fallback state.
func (f *fields) partial(parameters *fields, fallback float64, s ropeSettings) ropeSettings {
	s.part = fallback
	if parameters != nil {
		s.part = parameters.positive("partial_rotary_factor", fallback)
	}
	size := int(float64(s.size) * s.part)
	if s.part > 1 || size%2 != 0 || size == 0 {
		f.fail("%v of a head of %d elements is not an even number of them", s.part, s.size)
		size = 2
	}
	s.size = size
	return s
}

// readYarn completes settings with the parameters of YaRN.
func (f *fields) readYarn(s ropeSettings, context int) ropeSettings {
	s.factor = f.positive("factor", 0)
	s.originalContext = f.positive("original_max_position_embeddings", float64(context))
	s.yarn = yarn{fast: f.positive("beta_fast", 32), slow: f.positive("beta_slow", 1), truncate: f.boolean("truncate", true)}
	scale, all := f.number("mscale", 0), f.number("mscale_all_dim", 0)
	s.yarn.attention = defaultAttention(s.factor, 1)
	if scale != 0 && all != 0 {
		s.yarn.attention = defaultAttention(s.factor, scale) / defaultAttention(s.factor, all)
	}
	s.yarn.attention = f.positive("attention_factor", s.yarn.attention)
	return s
}

// readLongRope completes settings with the parameters of LongRoPE. The original context may be outside of them.
func (f *fields) readLongRope(s ropeSettings, context int) ropeSettings {
	inside := f.size("original_max_position_embeddings", context)
	if s.originalContext == 0 {
		s.originalContext = float64(inside)
	}
	s.long.short, s.long.long = f.divisors("short_factor", s.size/2), f.divisors("long_factor", s.size/2)
	s.factor = f.positive("factor", float64(context)/s.originalContext)
	s.long.attention = f.positive("attention_factor", longAttention(s.factor, s.originalContext))
	return s
}

// divisors reads a list of n numbers above 0.
func (f *fields) divisors(name string, n int) []float32 {
	list := field(f, name, []any(nil), "a list")
	if len(list) != n {
		f.fail("%s has %d numbers, not one for each of %d pairs of rotated elements", name, len(list), n)
		return nil
	}
	numbers := make([]float32, n)
	for i, value := range list {
		x, ok := float(value)
		if numbers[i] = float32(x); !ok || !(numbers[i] > 0) || math.IsInf(x, 0) {
			f.fail("%s[%d] is %v, not a number above 0", name, i, value)
		}
	}
	return numbers
}

// scaledRope completes settings with the parameters of an object in f, which may be nil.
func (f *fields) scaledRope(parameters *fields, s ropeSettings, context int) *graph.Rope {
	s.scaling = "default"
	if p := parameters; p != nil {
		if s.part == 0 {
			p.only("partial_rotary_factor", 1)
		}
		s.theta = p.positive("rope_theta", s.theta)
		s.scaling = p.text("rope_type", p.text("type", "default"))
		switch s.scaling {
		case "default":
			// Files keep the factor of a scaling that was disabled.
			p.ignore("factor")
		case "linear":
			s.factor = p.positive("factor", 0)
		case "llama3":
			s.factor = p.positive("factor", 0)
			s.lowFactor = p.positive("low_freq_factor", 0)
			s.highFactor = p.positive("high_freq_factor", 0)
			s.originalContext = p.positive("original_max_position_embeddings", float64(context))
			if s.highFactor <= s.lowFactor {
				p.fail("high_freq_factor %v is not above low_freq_factor %v", s.highFactor, s.lowFactor)
			}
		case "yarn":
			s = p.readYarn(s, context)
		case "longrope":
			s = p.readLongRope(s, context)
		default:
			p.fail("rope_type is %q, which is not supported (supported: default, linear, llama3, yarn, longrope)", s.scaling)
		}
		if err := p.finish(); err != nil && f.err == nil {
			f.err = err
		}
	}
	if f.err != nil {
		return nil
	}
	return s.rope()
}
