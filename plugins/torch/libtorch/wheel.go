package libtorch

import (
	"slices"
	"strings"
)

// Version is the version of torch that the backend is built against.
const Version = "2.11.0"

// interpreter is the Python version for which the pinned wheels were built; using libtorch needs no Python.
const interpreter = "3.12"

// A wheel is a pinned package and the part of it that libtorch needs.
type wheel struct {
	name, version string
	sha256        string
	size          int64 // bytes of the download
	unpacked      int64 // bytes of the files that keep selects
	keep          []string
}

func (w wheel) requirement() string { return w.name + "==" + w.version }

// keeps reports whether a member of the wheel is part of libtorch: a file that keep names, or one in a directory that
// it names.
func (w wheel) keeps(member string) bool {
	return !strings.HasSuffix(member, "/") && slices.ContainsFunc(w.keep, func(k string) bool {
		return member == k || strings.HasSuffix(k, "/") && strings.HasPrefix(member, k)
	})
}

// wheels are the wheels for Linux on x86-64. Paths are kept unchanged: the libraries find one another by them.
var wheels = []wheel{
	{
		name: "torch", version: Version,
		sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
		size:   530_712_279, unpacked: 491_716_479,
		keep: []string{"torch/include/", "torch/lib/libc10.so", "torch/lib/libgomp.so.1", "torch/lib/libtorch_cpu.so"},
	},
	{
		name: "nvidia-cuda-runtime", version: "13.0.96",
		sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
		size:   2_243_632, unpacked: 704_288,
		keep: []string{"nvidia/cu13/lib/libcudart.so.13"},
	},
	{
		name: "nvidia-cuda-cupti", version: "13.0.85",
		sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
		size:   10_715_597, unpacked: 4_152_208,
		keep: []string{"nvidia/cu13/lib/libcupti.so.13"},
	},
}
