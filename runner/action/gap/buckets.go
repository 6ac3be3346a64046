package gap

import "slices"

// BucketNames returns the names of the buckets.
func BucketNames() []string { return slices.Clone(bucketNames[:]) }

// Buckets calls visit with each segment of the bytes [start, end) of a text, in order, and with the name of its bucket.
// The segments are those of a gap report: together they are all bytes of the range.
func Buckets(text string, start, end int, visit func(bucket string, start, end int)) {
	segments := segmenter{text}
	for from := 0; from < end; {
		to, kind := segments.next(from)
		first, last := max(from, start), min(to, end)
		if first < last {
			visit(bucketNames[bucketBetween(text, first, last, kind, first != from || last != to)], first, last)
		}
		from = to
	}
}

// bucketBetween returns the bucket of the bytes [start, end) of a text, which are a segment or, if clipped, a part of
// one. A character that crosses a boundary belongs to the part before it.
func bucketBetween(text string, start, end int, kind segmentKind, clipped bool) bucket {
	if !clipped {
		return bucketOf(text[start:end], kind)
	}
	start, end = nextBoundary(text, start), nextBoundary(text, end)
	if start == end {
		return bucketMixed
	}
	return clippedBucket(text[start:end])
}
