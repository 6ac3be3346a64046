// Sums over ranks on separate GPUs, by NCCL. Functions return NULL, or an error message to free.
#ifndef SURPRISAL_TENSOR_NCCL_H
#define SURPRISAL_TENSOR_NCCL_H
#include "extra.h"

#ifdef __cplusplus
extern "C" {
#endif

// Joins n ranks with the CUDA devices of these numbers, by the NCCL in this library.
char *nccl_open(void **group, const char *library, const int *devices, int n);
// Replaces x by the sum of all ranks' x. All ranks of a group must call it, each on a separate thread.
char *nccl_sum(extra_tensor x, void *group, int rank);
// Ends the sums that wait for a failed rank; afterwards the group can only be closed.
void nccl_abort(void *group);
void nccl_close(void *group);

#ifdef __cplusplus
}
#endif
#endif
