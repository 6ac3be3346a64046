package sliding

import "math"

// A suffix of probability p_z is (n,p)-discoverable if it occurs at least once among n independent samples with
// probability p or more: 1 - (1-p_z)^n >= p. Hayes et al., "Measuring memorization in language models via probabilistic
// extraction" (2024), https://arxiv.org/abs/2410.19482.

// logOneMinusExp returns ln(1 - e^x) for x <= 0 without cancellation. Mächler, "Accurately computing log(1 - exp(-|a|))"
// (2012).
func logOneMinusExp(x float64) float64 {
	if x > -math.Ln2 {
		return math.Log(-math.Expm1(x))
	}
	return math.Log1p(-math.Exp(x))
}

// exact is the number from which float64 does not have all integers.
const exact = 1 << 53

// tries returns the smallest n for which a suffix of log probability logP is (n,p)-discoverable, ceil(ln(1-p) / ln(1-p_z))
// but at least 1, and its decimal logarithm. From 2^53 on, n is +Inf and the logarithm that of the quotient. Both are +Inf
// if the suffix is impossible.
func tries(p, logP float64) (n, log10 float64) {
	if logP >= 0 {
		return 1, 0 // certain, or rounded to more
	}
	if math.IsInf(logP, -1) {
		return math.Inf(1), math.Inf(1)
	}
	if logP > -40 {
		if n := math.Ceil(math.Log1p(-p) / logOneMinusExp(logP)); n < exact {
			n = max(n, 1)
			return n, math.Log10(n)
		}
	}
	// Below e^-36, ln(1-p_z) is -p_z to the last bit.
	return math.Inf(1), (math.Log(-math.Log1p(-p)) - logP) / math.Ln10
}
