package gap

// counter adds occurrences to literals in a separate goroutine, while the comparison finds more.
type counter struct {
	filled chan []occurrence
	spare  chan []occurrence
	done   chan struct{}
	err    error // set before done is closed
	held   []occurrence
}

// occurrencesInFlight is the number of occurrences that are sent to the goroutine at once. They keep the texts of their
// documents in memory.
const occurrencesInFlight = 1 << 10

// newCounter returns a counter that adds to literals, or to cuts what has any.
func newCounter(literals, cuts *literals) *counter {
	c := &counter{filled: make(chan []occurrence, 2), spare: make(chan []occurrence, 4), done: make(chan struct{})}
	for range cap(c.spare) {
		c.spare <- make([]occurrence, 0, occurrencesInFlight)
	}
	c.held = <-c.spare
	go func() {
		defer close(c.done)
		for batch := range c.filled {
			for i := range batch {
				if c.err == nil {
					to := literals
					if batch[i].cuts != 0 {
						to = cuts
					}
					c.err = to.add(&batch[i])
				}
			}
			clear(batch)
			c.spare <- batch[:0]
		}
	}()
	return c
}

// add queues an occurrence, in order.
func (c *counter) add(o occurrence) {
	if len(c.held) == cap(c.held) {
		c.flush()
	}
	c.held = append(c.held, o)
}

// flush sends the queued occurrences.
func (c *counter) flush() {
	c.filled <- c.held
	c.held = <-c.spare
}

// close waits until all occurrences are counted, and returns the first error.
func (c *counter) close() error {
	c.flush()
	close(c.filled)
	<-c.done
	return c.err
}
