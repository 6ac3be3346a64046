package sliding

import "math"

// cover computes the largest value of the windows that cover each character of a text. Windows are added in the order of
// their starts, so that only the characters from the last start on are in memory.
type cover struct {
	// values are those of the characters from at on.
	values []float64
	at     int64
	give   func(character int64, value float64) error
}

// add adds a window [start, end).
func (c *cover) add(start, end int64, value float64) error {
	if err := c.until(start); err != nil {
		return err
	}
	for int64(len(c.values)) < end-start {
		c.values = append(c.values, math.Inf(-1))
	}
	for i := range c.values[:end-start] {
		c.values[i] = max(c.values[i], value)
	}
	return nil
}

// until gives the values of the characters before one. No later window covers them.
func (c *cover) until(character int64) error {
	n := 0
	for ; c.at < character; c.at++ {
		value := math.Inf(-1)
		if n < len(c.values) {
			value = c.values[n]
			n++
		}
		if err := c.give(c.at, value); err != nil {
			return err
		}
	}
	c.values = append(c.values[:0], c.values[n:]...)
	return nil
}

// bins holds the largest value of each of a number of equal parts of a text. A part without a value is -Inf.
type bins struct {
	values     []float64
	characters int64
}

func newBins(n int, characters int64) *bins {
	b := &bins{values: make([]float64, n), characters: characters}
	for i := range b.values {
		b.values[i] = math.Inf(-1)
	}
	return b
}

// add adds the value of a character to all bins that it is in: several, if there are more bins than characters.
func (b *bins) add(character int64, value float64) {
	n := int64(len(b.values))
	from := character * n / b.characters
	to := max(((character+1)*n-1)/b.characters, from)
	for i := from; i <= to; i++ {
		b.values[i] = max(b.values[i], value)
	}
}
