package footer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// slack is how many values more than its page the last run may have: groups of 8 are padded.
const slack = 512

func (s *stream) checkV1(h *format.DataPageHeader, data []byte) error {
	if err := values(int64(h.NumValues)); err != nil {
		return err
	}
	for _, levels := range []struct {
		width    int
		encoding format.Encoding
	}{{s.repetition, h.RepetitionLevelEncoding}, {s.definition, h.DefinitionLevelEncoding}} {
		if levels.width == 0 {
			continue
		}
		if len(data) < 4 {
			return io.ErrUnexpectedEOF
		}
		n := int64(binary.LittleEndian.Uint32(data))
		if n > int64(len(data)-4) {
			return fmt.Errorf("levels of %d bytes, but only %d are left", n, len(data)-4)
		}
		if levels.encoding == format.RLE {
			if err := runs(data[4:4+n], levels.width); err != nil {
				return fmt.Errorf("levels: %w", err)
			}
		}
		data = data[4+n:]
	}
	return s.checkValues(h.Encoding, data)
}

func (s *stream) checkV2(h *format.DataPageHeaderV2, data []byte) error {
	if err := values(int64(h.NumValues)); err != nil {
		return err
	}
	repetition, definition := data[:h.RepetitionLevelsByteLength], data[h.RepetitionLevelsByteLength:]
	definition, data = definition[:h.DefinitionLevelsByteLength], definition[h.DefinitionLevelsByteLength:]
	if err := errors.Join(runs(repetition, s.repetition), runs(definition, s.definition)); err != nil {
		return fmt.Errorf("levels: %w", err)
	}
	return s.checkValues(h.Encoding, data)
}

func values(n int64) error {
	if n < 0 {
		return fmt.Errorf("a page of %d values", n)
	}
	if n > MaxValues {
		return tooLarge(n, MaxValues, "values")
	}
	return nil
}

// checkValues checks that values decode to at most MaxPage bytes and MaxValues values.
func (s *stream) checkValues(encoding format.Encoding, data []byte) error {
	switch encoding {
	case format.Plain, format.ByteStreamSplit:
		return nil
	case format.PlainDictionary, format.RLEDictionary: //nolint:staticcheck // Old files have it.
		if len(data) == 0 {
			return nil
		}
		if data[0] > 32 {
			return fmt.Errorf("indexes of %d bits", data[0])
		}
		return runs(data[1:], int(data[0]))
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		_, err := packed(data)
		return err
	case format.DeltaByteArray:
		return prefixes(data)
	}
	return limit("values of type %v in the encoding %v, which is not supported for them; write the file again with another encoding", s.kind, encoding)
}

// runs walks values of width bits in runs, https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE.
func runs(data []byte, width int) error {
	total := uint64(0)
	for len(data) > 0 {
		head, n := binary.Uvarint(data)
		if n <= 0 {
			return errors.New("a run without a length")
		}
		count, size := head>>1, uint64(width+7)/8
		if head&1 != 0 {
			size = count * uint64(width)
			count *= 8
		}
		if total += count; head>>1 > MaxValues || total > MaxValues+slack {
			return tooLarge(int64(min(total, 1<<62)), MaxValues, "values")
		}
		if data = data[n:]; size > uint64(len(data)) {
			return fmt.Errorf("a run of %d bytes, but only %d are left", size, len(data))
		}
		data = data[size:]
	}
	return nil
}

// packed returns the size of the packed integers at the start of data,
// https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC.
func packed(data []byte) (size int, err error) {
	rest := data
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			err = errors.New("truncated packed integers")
			return 0
		}
		rest = rest[n:]
		return v
	}
	block, parts, left := number(), number(), number()
	number() // the first value
	if err != nil {
		return 0, err
	}
	if left > MaxValues {
		return 0, tooLarge(int64(min(left, 1<<62)), MaxValues, "values")
	}
	if parts == 0 || block == 0 || block > MaxValues || block%parts != 0 || parts > block {
		return 0, fmt.Errorf("packed integers in blocks of %d in %d parts", block, parts)
	}
	per := block / parts
	for left = max(left, 1) - 1; left > 0; {
		number() // the minimum difference
		if err != nil || uint64(len(rest)) < parts {
			return 0, errors.New("truncated packed integers")
		}
		widths := rest[:parts]
		rest = rest[parts:]
		for _, width := range widths {
			if n := (per*uint64(width) + 7) / 8; n <= uint64(len(rest)) {
				rest = rest[n:]
			} else {
				rest = nil // writers may truncate the last part
			}
			if left -= min(left, per); left == 0 {
				break
			}
		}
	}
	return len(data) - len(rest), nil
}

// prefixes checks values that are stored as the length of the prefix shared with the previous value, and a suffix.
func prefixes(data []byte) error {
	total := int64(0)
	for range 2 {
		size, err := packed(data)
		if err != nil {
			return err
		}
		lengths, err := parquet.DeltaBinaryPacked.DecodeInt32(nil, data[:size])
		if err != nil {
			return err
		}
		for _, n := range lengths {
			if n < 0 {
				return fmt.Errorf("a length of %d", n)
			}
			if total += int64(n); total > MaxPage {
				return tooLarge(total, MaxPage, "bytes")
			}
		}
		data = data[size:]
	}
	return nil
}
