// A stand-in for libnccl.so.2 whose ranks are threads and whose devices are this processor: it has the same functions, types and
// numbers, adds float32 and bfloat16, and makes the calls of a rank wait for those of the others.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef enum { ncclSuccess = 0, ncclInvalidArgument = 4, ncclInProgress = 7 } ncclResult_t;
typedef enum { ncclFloat32 = 7, ncclBfloat16 = 9 } ncclDataType_t;
typedef enum { ncclSum = 0 } ncclRedOp_t;

struct clique {
  pthread_mutex_t mutex;
  pthread_cond_t turn;
  int ranks, arrived, left, aborted;
  uint64_t round;
  double *sum;
};

struct ncclComm {
  struct clique *clique;
  int device;
};
typedef struct ncclComm *ncclComm_t;

const char *ncclGetErrorString(ncclResult_t r) { return r == ncclInvalidArgument ? "invalid argument" : "aborted"; }

ncclResult_t ncclCommInitAll(ncclComm_t *comms, int n, const int *devices) {
  struct clique *c = calloc(1, sizeof *c);
  pthread_mutex_init(&c->mutex, NULL);
  pthread_cond_init(&c->turn, NULL);
  c->ranks = c->left = n;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++) {
      if (devices[i] == devices[j]) {
        return ncclInvalidArgument;
      }
    }
    comms[i] = malloc(sizeof *comms[i]);
    comms[i]->clique = c;
    comms[i]->device = devices[i];
  }
  return ncclSuccess;
}

// Waits for all ranks. The mutex is held.
static int meet(struct clique *c) {
  uint64_t round = c->round;
  if (++c->arrived == c->ranks) {
    c->arrived = 0;
    c->round++;
    pthread_cond_broadcast(&c->turn);
  }
  while (round == c->round && !c->aborted) {
    pthread_cond_wait(&c->turn, &c->mutex);
  }
  return !c->aborted;
}

static double element(const void *from, ncclDataType_t type, size_t i) {
  if (type == ncclFloat32) {
    return ((const float *)from)[i];
  }
  uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t comm, void *stream) {
  if ((type != ncclFloat32 && type != ncclBfloat16) || operation != ncclSum || stream != NULL) {
    return ncclInvalidArgument;
  }
  struct clique *c = comm->clique;
  pthread_mutex_lock(&c->mutex);
  if (c->sum == NULL) {
    c->sum = calloc(count, sizeof *c->sum);
  }
  for (size_t i = 0; i < count; i++) {
    c->sum[i] += element(from, type, i);
  }
  int whole = meet(c);
  for (size_t i = 0; whole && i < count; i++) {
    float x = (float)c->sum[i];
    if (type == ncclFloat32) {
      ((float *)to)[i] = x;
    } else {
      uint32_t bits;
      memcpy(&bits, &x, sizeof bits);
      ((uint16_t *)to)[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
  }
  whole = whole && meet(c);
  if (whole && c->sum != NULL) {
    free(c->sum);
    c->sum = NULL;
  }
  // The next sum starts from nothing only when all have seen this one's end.
  whole = whole && meet(c);
  pthread_mutex_unlock(&c->mutex);
  return whole ? ncclSuccess : ncclInProgress;
}

static ncclResult_t leave(ncclComm_t comm) {
  struct clique *c = comm->clique;
  pthread_mutex_lock(&c->mutex);
  int last = --c->left == 0 && !c->aborted;
  pthread_mutex_unlock(&c->mutex);
  free(comm);
  if (last) {
    free(c);
  }
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return leave(comm); }

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  struct clique *c = comm->clique;
  pthread_mutex_lock(&c->mutex);
  c->aborted = 1;
  pthread_cond_broadcast(&c->turn);
  pthread_mutex_unlock(&c->mutex);
  return leave(comm);
}
