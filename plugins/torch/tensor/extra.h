// C functions over torch::Tensor* that gotch's libtch lacks. Each returns NULL, or an error message to free. reference
// disables code that only some processors support.
#ifndef SURPRISAL_TENSOR_EXTRA_H
#define SURPRISAL_TENSOR_EXTRA_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void *extra_tensor;

// Turns off gradients on the calling thread.
void extra_no_grad(void);
void extra_set_threads(int threads);
int extra_get_threads(void);
// The version of the libtorch that this was compiled with, and that of the one that was loaded.
const char *extra_torch_version(void);
const char *extra_loaded_version(void);
// The best vector instructions that libtorch uses here, such as "AVX512".
const char *extra_cpu_capability(void);

// Makes the allocator take memory for tensors from one arena for all threads and keep freed memory.
void extra_keep_memory(void);
// Returns freed memory to the system.
void extra_trim(void);
// Whether the rows of results computed on this processor have the same bits whatever the other rows.
int extra_independent_rows(void);

// Loads libtorch_cuda.so, which registers CUDA with libtorch.
char *extra_load_cuda(const char *library);
int extra_cuda_devices(void);

// A tensor of type float32, bfloat16, float16, int64 or int32 (0 to 4) copied from data.
char *extra_from_data(extra_tensor *out, const void *data, const int64_t *shape, size_t dims, int type);
// A tensor without values yet.
char *extra_empty(extra_tensor *out, const int64_t *shape, size_t dims, int type, int device);
// Copies columns of the rows [rows, width] of a type, starting at column first, into x's rows starting at row; x
// determines the number of columns.
char *extra_fill(extra_tensor x, int64_t row, const void *data, int type, int64_t rows, int64_t width, int64_t first);
// Converts to another type and, if device >= 0, copies to that CUDA device. Type -1 keeps the type.
char *extra_to(extra_tensor *out, extra_tensor x, int type, int device);
char *extra_to_doubles(extra_tensor x, double *out, size_t n);

// w in packed layout for extra_linear, and for nothing else, optimized for products with many rows; w itself if
// there is no packed layout.
char *extra_pack(extra_tensor *out, extra_tensor w);
// The same for extra_linear_float32 and extra_losses.
char *extra_pack_float32(extra_tensor *out, extra_tensor w);
// What is wrong with the fastest products with float32 results on this processor, so that extra_pack_float32 does not
// pack; NULL if nothing is. It is to be freed.
char *extra_product_failure(void);
// Whether extra_pack_float32 packs matrices of a type on the processor.
int extra_has_packed_layout(int type);
// How many rows at a time, in addition to a matrix of the type, are converted to float32 for a product on the
// processor; 0 if none are.
int64_t extra_widened_rows(int type);
// x w^T + b + y, rounded once; w may be packed, b and y may be NULL.
char *extra_linear(extra_tensor *out, extra_tensor x, extra_tensor w, extra_tensor b, extra_tensor y);
// x w^T in float32, whatever the type of x and w; w may be packed by extra_pack_float32.
char *extra_linear_float32(extra_tensor *out, extra_tensor x, extra_tensor w);
// For tests: whether oneDNN multiplies matrices of a type on a processor with these features.
int extra_onednn_multiplies(int type, int avx512, int avx512_bf16);
// For tests: x w^T in float32 by a kernel that is right (0), rounds to bfloat16 (1), or has other bits for other
// numbers of rows (2). Fails if the check of the kernel does.
char *extra_mixed_test(extra_tensor *out, extra_tensor x, extra_tensor w, int fault);

// x / sqrt(mean(x^2) + epsilon) over the last dimension times w, or 1 + w with add_one, computed in float32 and rounded
// once to x's type.
char *extra_rms_norm(extra_tensor *out, extra_tensor x, extra_tensor w, double epsilon, int add_one);
// (x - mean) / sqrt(variance + epsilon) * w + b over the last dimension, computed in float32 and rounded once to x's
// type. b may be NULL.
char *extra_layer_norm(extra_tensor *out, extra_tensor x, extra_tensor w, extra_tensor b, double epsilon);

// Replaces x by its SiLU, its GELU with the tanh approximation, or its exact GELU (0, 1, 2).
char *extra_activate(extra_tensor x, int activation, int reference);

// The activation of the first half of each row of x [n, 2*width] times the second half. The activation is rounded before
// the multiplication, and the product after it.
char *extra_gate(extra_tensor *out, extra_tensor x, int activation, int reference);

typedef struct {
  // The number of the first of the experts, and how many of all each token uses.
  int64_t first, active;
  // Scores are the sigmoid of logits; otherwise their softmax.
  int sigmoid;
  // Weights are divided by their sum, then multiplied by scale.
  int normalize;
  double scale;
  // The activation of gates as in extra_gate; with clamped the gate is g sigmoid(alpha g) (u + 1), with g at most limit
  // and u from -limit to limit.
  int activation, clamped;
  double limit, alpha;
  // The matrices of the experts follow each other in memory and are not packed; products of all experts are computed at
  // once, and rounded to x's type.
  int grouped;
} extra_experts_options;
// How many rows of experts grouped products have at a time, which bounds their memory.
#define extra_grouped_rows 16384
// For each row of x [rows, inputs], the sum of the outputs of its active experts times their weights, float32. Of all
// experts these are n: in has matrices [2*width, inputs], the rows of the gate and the others, in the form of
// extra_linear, and down matrices [outputs, width] in that of extra_linear_float32. Biases may be NULL, all or each. The
// others count as 0. logits [rows, all experts] are float32; correction, [all experts] in float32 or NULL, is added to
// the scores for the choice only.
char *extra_experts(extra_tensor *out, extra_tensor x, extra_tensor logits, extra_tensor correction, const extra_tensor *in,
                    const extra_tensor *in_biases, const extra_tensor *down, const extra_tensor *down_biases, size_t n,
                    const extra_experts_options *o);
// x [n, width] times the sigmoid of z, [n, 1] for each row or [n, width] for each element, in float32 and rounded once to
// x's type.
char *extra_scale_by_sigmoid(extra_tensor *out, extra_tensor x, extra_tensor z);

// The gated delta rule of some key heads, each with a group of value heads.
typedef struct {
  int64_t group, key_size, value_size;
  // The number of tokens of the convolution.
  int64_t kernel;
  double epsilon;
} extra_delta_options;
typedef struct {
  // float32: the convolution [heads, channels, kernel] over query, key and values; the logarithms of decays and the
  // biases of time steps [value heads]; the weights of the norm [value size].
  extra_tensor convolution, decay, step, norm;
} extra_delta_weights;
// in [tokens, columns] has for each head the columns of query, key, values and gates; rates [tokens, columns] have the
// update rates of its value heads and their time steps. Sequence i is the rows ends[i-1] to ends[i].
char *extra_gated_delta(extra_tensor *out, extra_tensor in, extra_tensor rates, const extra_delta_weights *w, const int64_t *ends, size_t n,
                        const extra_delta_options *o);

// Rotates the pairs (i, i+size/2) of the first size elements of each head of x [tokens, heads, head size] by the angles
// whose cosines and sines are float32 [tokens, size/2]. Changes x.
char *extra_rotate(extra_tensor x, extra_tensor cosines, extra_tensor sines, int reference);

// Consecutive rows of a sequence, up to the row before to; segments follow each other. start is the position of the first
// row in the sequence, whose rows before it are those of the parent, an earlier segment, and its parents; -1 if start is 0.
typedef struct {
  int64_t to, start, parent;
} extra_segment;
// Causal attention within sequences of n segments. Shapes are q [tokens, heads, head size], k and v [tokens, kv heads, head
// size]. offsets are 0 and the ends of the segments as int32 on a GPU, if no segment has a parent, or NULL. With window > 0
// a query sees that many keys, its own included. sinks, contiguous float32 [heads] or NULL, are logits that take a share of
// the weights and have no value.
char *extra_attention(extra_tensor *out, extra_tensor q, extra_tensor k, extra_tensor v, const extra_segment *segments, size_t n,
                      extra_tensor offsets, extra_tensor sinks, double scale, int64_t window, int reference);

// Reduces the logits z_i = softcap(hidden_i head^T) of hidden [rows, width] for the tokens from first onward. The head
// is in n pieces [some tokens, width], which may be packed by extra_pack_float32; the float32 logits of that many rows
// and of one piece exist at a time. out is [3, rows]: the maxima m_i, the sums of e^(z - m_i), and z_i[targets[i]],
// which is -infinity if the token is not among them.
//
// If truths, the targets' logits, is not NULL, out is [6, rows]. The first three rows have the same bits. The others
// are the sums of e^(z - m_i) (z - m_i); the lowest token whose logit is m_i, -1 if there is none; and how many tokens
// precede the target, with a greater logit, or an equal one and a lower token. With top > 0, [rows, top] follow: the
// greatest logits of each row in any order, and -infinity for those that the head does not have.
char *extra_losses(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets,
                   const double *truths, int64_t top, double *out, double softcap, int reference);
// The targets' logits, out [rows]; -infinity for tokens that are not in the head. On a processor whose rows of products
// do not depend on each other they are those of extra_losses. Otherwise, and on GPUs, they differ by rounding. With
// reference the head must not be packed.
char *extra_target_logits(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets,
                          double *out, double softcap, int reference);

// What extra_observe has seen of the outputs of several sites for n sequences of rows. All tensors are on one device. A
// magnitude is an absolute value in float32.
typedef struct {
  // uint8 [tokens, width]: 1 where a magnitude reached the threshold at some site.
  extra_tensor reached;
  // int32 [words, n, width]: bit i%32 of word i/32 is set if a magnitude reached the threshold at site i.
  extra_tensor sites;
  // float32 [n, width]: the largest magnitudes.
  extra_tensor largest;
  // float32 [sites, 2, n]: the largest magnitude at each site, and the lower median of sampled rows.
  extra_tensor summary;
} extra_observation;
// An observation of nothing yet.
char *extra_new_observation(extra_observation *out, int64_t tokens, int64_t width, int64_t n, int64_t sites, int device);
// Adds x [tokens, width], the output of a site. Sequence i is the rows ends[i-1] to ends[i], which are not empty; its
// first row and every stride-th after it are sampled.
char *extra_observe(const extra_observation *to, extra_tensor x, int64_t site, const int64_t *ends, size_t n, int64_t stride, float threshold,
                    int reference);
// The number of rows of each sequence in which a column of an observation has reached the threshold, int64 [n, width].
char *extra_reached_rows(extra_tensor *out, const extra_observation *from, const int64_t *ends, size_t n);

#ifdef __cplusplus
}
#endif
#endif
