// Package libtorch finds or installs the libtorch against which the torch backend is built, provides the compiler settings
// for the build, and checks a machine's requirements. It is plain Go: it never loads the library.
//
// # Which libtorch
//
// The torch package for Python contains libtorch and its headers. It is the same library for the CPU and for CUDA. Find
// returns the first of these whose version is Version and whose libraries are complete:
//
//  1. the directory in LIBTORCH, which must contain lib and include; a directory that is not suitable is an error;
//  2. the torch that python3 imports;
//  3. the libtorch that Install put into the cache.
//
// Install downloads pinned wheels from the indexes that pip is configured to use, and keeps only the files for the CPU.
// CUDA needs the complete package. On a machine with a GPU, use "pip install torch"; Find then selects it.
//
// # Building
//
// gotch, the Go binding, links a CUDA toolkit by name and was generated from an older torch. Build writes a directory with
// empty archives of those names and with compat.h, which adapts three changed operators. Environment names the directory to
// cgo. The resulting program needs only libtorch_cpu.so and the libraries in its directory. It finds them by the path with
// which it was linked, or by LD_LIBRARY_PATH, so that it can be copied to a machine that has torch but no Go.
//
// The package imports internal/filelock.
package libtorch
