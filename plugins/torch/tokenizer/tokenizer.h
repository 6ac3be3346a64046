// The C side of rust/src/lib.rs, which documents each call.
#ifndef SURPRISAL_TOKENIZER_H
#define SURPRISAL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

typedef struct surprisal_tokenizer surprisal_tokenizer;

// Valid until it is freed. error is empty if the call succeeded; arrays that a call does not fill are empty.
typedef struct {
	const char *error;
	size_t error_size;
	const surprisal_tokenizer *tokenizer;
	const uint8_t *bytes;
	size_t bytes_size;
	// ids, starts and ends have size elements; a vocabulary has no starts.
	const int32_t *ids, *starts, *ends;
	size_t size;
	const int32_t *counts;
	size_t counts_size;
	void *owned;
} surprisal_reply;

surprisal_reply *surprisal_tokenizer_load(const uint8_t *json, size_t size, size_t threads);
surprisal_reply *surprisal_tokenizer_build(const uint8_t *json, size_t json_size, const uint8_t *contents, const size_t *ends,
                                           const uint8_t *flags, size_t size, const uint32_t *merges, size_t merges_size,
                                           size_t threads);
surprisal_reply *surprisal_tokenizer_vocabulary(const surprisal_tokenizer *tokenizer);
surprisal_reply *surprisal_tokenizer_encode(const surprisal_tokenizer *tokenizer, const uint8_t *text, const size_t *ends,
                                            size_t size, int32_t parse_special);
void surprisal_tokenizer_free(surprisal_reply *reply);

#endif
