package figure

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
)

// Scale is the scale of an axis.
type Scale int

// Scales of axes. Dates are numbers of days since 1970-01-01.
const (
	Linear Scale = iota
	Log
	Date
)

// Axis is an axis of a figure.
type Axis struct {
	// Label names the quantity and its unit.
	Label string
	Scale Scale
	// Format formats the numbers at ticks; nil is Plain, or the date.
	Format func(float64) string
}

// Plain formats a number without an exponent unless it is very large or small.
func Plain(v float64) string { return strconv.FormatFloat(rounded(v), 'g', -1, 64) }

// rounded removes the error of the arithmetic with ticks.
func rounded(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// Count formats a number with a suffix for thousands, millions, billions or trillions: 135M.
func Count(v float64) string { return suffixed(v, "k", "M", "B", "T") }

// SI formats a number with the prefix of its unit: 270M, 1.5G, 2T.
func SI(v float64) string { return suffixed(v, "k", "M", "G", "T") }

// suffixed formats a number with three significant digits, and all digits in front of the point.
// A number that would still be long is in scientific notation.
func suffixed(v float64, suffixes ...string) string {
	v = significant(v, 3)
	if size := math.Abs(v); size >= 1e18 || size > 0 && size < 1e-6 {
		return Plain(v)
	}
	suffix := ""
	for _, s := range suffixes {
		if math.Abs(v) < 1000 {
			break
		}
		v, suffix = v/1000, s
	}
	return strconv.FormatFloat(rounded(v), 'f', -1, 64) + suffix
}

// significant rounds to significant digits.
func significant(v float64, digits int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// Day formats a number of days since 1970-01-01 as a date.
func Day(v float64) string { return date(v).Format(time.DateOnly) }

func date(days float64) time.Time {
	return time.Unix(0, 0).UTC().Add(time.Duration(days * 24 * float64(time.Hour)))
}

// pad returns a range that is wider than the data, so that nothing is at its edge.
func (a Axis) pad(low, high float64) (float64, float64) {
	const share = 0.08
	if a.Scale == Log {
		l, h := math.Log(low), math.Log(high)
		by := max(share*(h-l), 0.02)
		return math.Exp(l - by), math.Exp(h + by)
	}
	by := share * (high - low)
	if by == 0 {
		by = max(math.Abs(high)*share, share)
	}
	return low - by, high + by
}

// style applies the axis to an axis of a plot.
func (a Axis) style(p *plot.Axis, low, high float64) {
	p.Label.Text = a.Label
	p.Min, p.Max = a.pad(low, high)
	format := a.Format
	if format == nil {
		format = Plain
	}
	switch a.Scale {
	case Log:
		p.Scale = plot.LogScale{}
		p.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { return logTicks(low, high, format) })
	case Date:
		p.Tick.Marker = plot.TickerFunc(dateTicks)
	default:
		p.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { return linearTicks(low, high, format) })
	}
}

// most is the largest number of labeled ticks of an axis.
const most = 8

// Limits of the range of a linear axis with more than one tick. Ticks that are closer would be multiples of a step that
// float64 does not tell from each other.
const (
	// closest is the smallest width of a range, as a share of its numbers.
	closest = 1e-9
	// smallest is the smallest width of a range.
	smallest = 1e-300
)

// linearTicks returns ticks at multiples of 1, 2, 2.5 or 5 times a power of ten.
func linearTicks(low, high float64, format func(float64) string) []plot.Tick {
	width := high - low
	if !(width > closest*max(math.Abs(low), math.Abs(high))) || math.IsInf(width, 0) || width < smallest {
		middle := low/2 + high/2
		return []plot.Tick{{Value: middle, Label: format(middle)}}
	}
	step := math.Pow(10, math.Floor(math.Log10(width/most)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if width/(m*step) <= most {
			step *= m
			break
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		v := rounded(i*step) + 0 // no -0
		ticks = append(ticks, plot.Tick{Value: v, Label: format(v)})
	}
	return ticks
}

// logTicks returns ticks of a logarithmic axis. The labeled ones are powers of ten, and also multiples of them if
// the range is short. A range within a factor of about 4 has the ticks of a linear axis.
func logTicks(low, high float64, format func(float64) string) []plot.Tick {
	decades := math.Log10(high / low)
	if decades < 0.65 {
		return linearTicks(low, high, format)
	}
	labeled := func(m float64, exponent int) bool {
		switch {
		case decades <= 1.2:
			return m <= 5 || m == 7
		case decades <= 2.7:
			return m == 1 || m == 2 || m == 5
		case decades <= most:
			return m == 1
		}
		every := int(math.Ceil(decades / most))
		return m == 1 && exponent%every == 0
	}
	var ticks []plot.Tick
	for e := int(math.Floor(math.Log10(low))); float64(e) <= math.Log10(high); e++ {
		for m := 1.0; m < 10; m++ {
			v := rounded(m * math.Pow10(e))
			if v < low || v > high {
				continue
			}
			t := plot.Tick{Value: v}
			if labeled(m, e) {
				t.Label = format(v)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// dateTicks returns ticks at the starts of years, quarters, months or days.
func dateTicks(low, high float64) []plot.Tick {
	type step struct {
		years, months, days int
		layout              string
	}
	steps := []step{
		{days: 1, layout: time.DateOnly}, {days: 2, layout: time.DateOnly}, {days: 7, layout: time.DateOnly},
		{months: 1, layout: "2006-01"}, {months: 3, layout: "2006-01"},
		{months: 6, layout: "2006-01"}, {years: 1, layout: "2006"}, {years: 2, layout: "2006"},
		{years: 5, layout: "2006"}, {years: 10, layout: "2006"}, {years: 50, layout: "2006"}, {years: 500, layout: "2006"},
	}
	from, to := date(low), date(high)
	for i, s := range steps {
		days := float64(s.days) + 30.44*float64(s.months) + 365.24*float64(s.years)
		if (high-low)/days > most && i < len(steps)-1 {
			continue
		}
		at := from.Truncate(24 * time.Hour)
		switch {
		case s.years > 0:
			at = time.Date(from.Year()/s.years*s.years, 1, 1, 0, 0, 0, 0, time.UTC)
		case s.months > 0:
			at = time.Date(from.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		}
		var ticks []plot.Tick
		for ; !at.After(to); at = at.AddDate(s.years, s.months, s.days) {
			if !at.Before(from) {
				ticks = append(ticks, plot.Tick{Value: float64(at.Unix()) / (24 * 60 * 60), Label: at.Format(s.layout)})
			}
		}
		return ticks
	}
	return nil
}

// check returns an error for a value that the axis cannot show.
func (a Axis) check(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) || a.Scale == Log && v <= 0 {
		return fmt.Errorf("the axis %q cannot show %v", a.Label, v)
	}
	return nil
}
