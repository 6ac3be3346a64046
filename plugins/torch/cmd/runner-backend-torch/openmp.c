//go:build torch && linux

// The OpenMP runtime of libtorch reads its environment when it is loaded, before main. Its threads then wait for each
// other by spinning for milliseconds, which takes the processors from other jobs and, if these take some of them, slows
// this program down several times.
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static int is_set(char **environment, const char *name) {
  size_t n = strlen(name);
  for (; *environment != NULL; environment++) {
    if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=') {
      return 1;
    }
  }
  return 0;
}

// Starts this program again with a shorter time of spinning, unless the user chose one. This runs before libraries are
// initialized, libc among them, so that nothing is computed twice, and only system calls can be used.
static void limit_spinning(int n, char **arguments, char **environment) {
  // Started by the dynamic linker as a program, the executable is the linker.
  int by_kernel = getauxval(AT_BASE) != 0;
  if (!by_kernel || is_set(environment, "GOMP_SPINCOUNT") || is_set(environment, "OMP_WAIT_POLICY")) {
    return;
  }
  size_t variables = 0;
  while (environment[variables] != NULL) {
    variables++;
  }
  char *extended[variables + 2];
  memcpy(extended, environment, variables * sizeof *environment);
  extended[variables] = "GOMP_SPINCOUNT=10000";
  extended[variables + 1] = NULL;
  // If this fails, the program runs as it would have without it.
  execve("/proc/self/exe", arguments, extended);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(int, char **, char **) = limit_spinning;
