package libtorch

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sharedLibrary returns a 64-bit ELF file with the tables of a dynamic library and no code.
func sharedLibrary(t *testing.T, rpath string, needed []string, symbols ...string) []byte {
	t.Helper()
	strs := []byte{0}
	intern := func(s string) uint64 {
		at := uint64(len(strs))
		strs = append(append(strs, s...), 0)
		return at
	}
	var dynamic []elf.Dyn64
	for _, name := range needed {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: intern(name)})
	}
	if rpath != "" {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_RPATH), Val: intern(rpath)})
	}
	dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_NULL)})
	table := []elf.Sym64{{}}
	for _, name := range symbols {
		table = append(table, elf.Sym64{Name: uint32(intern(name)), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1})
	}
	encode := func(v any) []byte {
		var b bytes.Buffer
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	const header = 64
	parts := [][]byte{encode(dynamic), encode(table), strs}
	sections := []elf.Section64{
		{},
		{Type: uint32(elf.SHT_DYNAMIC), Link: 3, Entsize: 16},
		{Type: uint32(elf.SHT_DYNSYM), Link: 3, Entsize: elf.Sym64Size, Info: 1},
		{Type: uint32(elf.SHT_STRTAB)},
	}
	at := uint64(header)
	for n, part := range parts {
		sections[n+1].Off, sections[n+1].Size = at, uint64(len(part))
		at += uint64(len(part))
	}
	h := elf.Header64{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_DYN),
		Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: at, Ehsize: header, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 3,
	}
	return bytes.Join([][]byte{encode(h), bytes.Join(parts, nil), encode(sections)}, nil)
}

const (
	nvidiaPath = "$ORIGIN/../../nvidia/cu13/lib:$ORIGIN"
	newString  = "_ZN3c105ErrorC1ENSt7__cxx1112basic_stringIcEE"
	header     = "#define TORCH_VERSION_MAJOR %\n#define TORCH_VERSION_MINOR %\n#define TORCH_VERSION_PATCH %\n"
)

// torchFiles are the files of a small libtorch by their paths in the wheels.
func torchFiles(t *testing.T, version string) map[string][]byte {
	text := header
	for part := range strings.SplitSeq(version, ".") {
		text = strings.Replace(text, "%", part, 1)
	}
	return map[string][]byte{
		"torch/include/torch/headeronly/version.h": []byte(text),
		"torch/lib/libc10.so":                      sharedLibrary(t, nvidiaPath, []string{"libc.so.6"}, newString),
		"torch/lib/libtorch_cpu.so":                sharedLibrary(t, nvidiaPath, []string{"libc10.so", "libcudart.so.13", "libc.so.6"}),
		"nvidia/cu13/lib/libcudart.so.13":          sharedLibrary(t, "", nil),
	}
}

func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
