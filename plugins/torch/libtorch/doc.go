// Package libtorch finds or installs the libtorch that the torch backend is built against, says which compiler settings
// the build needs, and examines a machine for it. It is plain Go: it never loads the library.
//
// # Which libtorch
//
// The torch package for Python holds libtorch, its headers included, and is the same library for the CPU and for CUDA.
// Find takes the first of these whose version is Version and whose libraries are complete:
//
//  1. the directory that LIBTORCH names, which holds lib and include; one that does not fit is an error;
//  2. the torch that python3 imports;
//  3. what Install put into the cache.
//
// Install downloads pinned wheels from wherever pip is configured to find packages, and keeps only what the CPU needs.
// CUDA takes the complete package, so on a machine with a GPU the way is "pip install torch", and Find adopts it.
//
// # Building
//
// gotch, the Go binding, links a CUDA toolkit by name and was generated from an older torch. Build writes a directory with
// empty archives of those names and with compat.h, which bends the three operators that changed; Environment names the
// directory to cgo. The program that results needs nothing but libtorch_cpu.so and what lies beside it. It finds them by
// the path it was linked with, or else by LD_LIBRARY_PATH, so it can be copied to a machine that has torch but no Go.
//
// The package imports internal/filelock of this module.
package libtorch
