package checkpoint

import (
	"encoding/binary"
	"math"
)

// Type is the storage type of a tensor's elements, by its name in safetensors and ggml.
type Type string

// Supported types.
const (
	F32  Type = "F32"
	F16  Type = "F16"
	BF16 Type = "BF16"
	Q8_0 Type = "Q8_0"
	Q4_0 Type = "Q4_0"
	Q4_1 Type = "Q4_1"
	Q5_0 Type = "Q5_0"
	Q4_K Type = "Q4_K"
	Q5_K Type = "Q5_K"
	Q6_K Type = "Q6_K"
	// MXFP4 has the scale of a block before its elements; MXFP4Blocks has all scales in another tensor.
	MXFP4       Type = "MXFP4"
	MXFP4Blocks Type = "MXFP4 blocks"
)

// format is the layout of a type: blocks of a number of elements in a number of bytes.
type format struct {
	elements, bytes int64
	// decode writes the elements of whole blocks.
	decode func(dst []float32, src []byte)
}

// formats holds the block layouts of ggml (ggml-common.h). Each product and sum is rounded to float32 separately, in
// the order of the gguf Python package; the conversions keep the compiler from fusing them.
var formats = map[Type]format{
	F32:  {1, 4, decodeF32},
	F16:  {1, 2, decodeF16},
	BF16: {1, 2, decodeBF16},
	Q8_0: {32, 34, decodeQ8_0},
	Q4_0: {32, 18, decodeQ4_0},
	Q4_1: {32, 20, decodeQ4_1},
	Q5_0: {32, 22, decodeQ5_0},
	Q4_K: {256, 144, decodeQ4_K},
	Q5_K: {256, 176, decodeQ5_K},
	Q6_K: {256, 210, decodeQ6_K},
	// Elements of four bits and a common power of two (Rouhani et al., arXiv:2310.10537).
	MXFP4:       {32, 17, decodeMXFP4},
	MXFP4Blocks: {32, 16, nil},
}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half(src[2*i:])
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

// half reads an IEEE 754 binary16.
func half(b []byte) float32 {
	h := uint32(binary.LittleEndian.Uint16(b))
	sign, exponent, fraction := h>>15<<31, h>>10&0x1f, h&0x3ff
	switch exponent {
	case 0:
		// A subnormal is a multiple of 2^-24, which float32 represents exactly.
		return math.Float32frombits(math.Float32bits(float32(fraction)*0x1p-24) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[32:], src[34:] {
		d, q := half(src), src[2:34]
		for i := range 32 {
			dst[i] = float32(int8(q[i])) * d
		}
	}
}

func decodeQ4_0(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[32:], src[18:] {
		d, q := half(src), src[2:18]
		for i := range 16 {
			dst[i] = d * float32(int(q[i]&15)-8)
			dst[16+i] = d * float32(int(q[i]>>4)-8)
		}
	}
}

func decodeQ4_1(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[32:], src[20:] {
		d, m, q := half(src), half(src[2:]), src[4:20]
		for i := range 16 {
			dst[i] = float32(d*float32(q[i]&15)) + m
			dst[16+i] = float32(d*float32(q[i]>>4)) + m
		}
	}
}

func decodeQ5_0(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[32:], src[22:] {
		d, high, q := half(src), binary.LittleEndian.Uint32(src[2:]), src[6:22]
		for i := range 16 {
			dst[i] = d * float32(int(uint32(q[i]&15)|high>>i&1<<4)-16)
			dst[16+i] = d * float32(int(uint32(q[i]>>4)|high>>(16+i)&1<<4)-16)
		}
	}
}

// scaleAndMinimum unpacks the 6-bit scale and minimum of eighth j of a Q4_K or Q5_K block.
func scaleAndMinimum(packed []byte, j int) (scale, minimum float32) {
	if j < 4 {
		return float32(packed[j] & 63), float32(packed[4+j] & 63)
	}
	return float32(packed[4+j]&15 | packed[j-4]>>2&0x30), float32(packed[4+j]>>4 | packed[j]>>2&0x30)
}

func decodeQ4_K(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[256:], src[144:] {
		d, dmin, packed, q := half(src), half(src[2:]), src[4:16], src[16:144]
		for j := range 8 {
			scale, minimum := scaleAndMinimum(packed, j)
			scale, minimum = d*scale, dmin*minimum
			group, shift := q[j/2*32:], j%2*4
			for i := range 32 {
				dst[32*j+i] = float32(scale*float32(group[i]>>shift&15)) - minimum
			}
		}
	}
}

func decodeQ5_K(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[256:], src[176:] {
		d, dmin, packed, high, q := half(src), half(src[2:]), src[4:16], src[16:48], src[48:176]
		for j := range 8 {
			scale, minimum := scaleAndMinimum(packed, j)
			scale, minimum = d*scale, dmin*minimum
			group, shift := q[j/2*32:], j%2*4
			for i := range 32 {
				dst[32*j+i] = float32(scale*float32(group[i]>>shift&15|high[i]>>j&1<<4)) - minimum
			}
		}
	}
}

func decodeQ6_K(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[256:], src[210:] {
		low, high, scales, d := src[:128], src[128:192], src[192:208], half(src[208:])
		for j := range 8 {
			group, shift := low[j/4*64+j%2*32:], j/2%2*4
			bits, bitShift := high[j/4*32:], j%4*2
			for i := range 32 {
				scale := float32(d * float32(int8(scales[2*j+i/16])))
				dst[32*j+i] = scale * float32(int(group[i]>>shift&15|bits[i]>>bitShift&3<<4)-32)
			}
		}
	}
}

// fp4 has the values of elements of four bits: a sign, two bits of an exponent and one of a fraction. ggml has no
// negative zero.
var fp4 = [16]float64{0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6}

// decodeMXFP4 decodes blocks of a scale and elements, of which the first half is in the low bits.
func decodeMXFP4(dst []float32, src []byte) {
	for ; len(src) > 0; dst, src = dst[32:], src[17:] {
		scale := math.Ldexp(1, int(src[0])-127)
		for i, q := range src[1:17] {
			dst[i], dst[16+i] = float32(scale*fp4[q&15]), float32(scale*fp4[q>>4])
		}
	}
}

// decodeMXFP4Blocks decodes blocks whose scales are elsewhere, two neighbors in each byte.
func decodeMXFP4Blocks(dst []float32, src, scales []byte) {
	values := fp4
	values[8] = math.Copysign(0, -1)
	for i, exponent := range scales {
		scale, block := math.Ldexp(1, int(exponent)-127), dst[32*i:32*i+32]
		for j, q := range src[16*i : 16*i+16] {
			block[2*j], block[2*j+1] = float32(scale*values[q&15]), float32(scale*values[q>>4])
		}
	}
}
