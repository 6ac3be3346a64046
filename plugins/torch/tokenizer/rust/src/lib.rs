//! A C ABI over Hugging Face's tokenizers, for the Go package that contains this directory. tokenizer.h declares it.
//!
//! Every call returns a reply that `surprisal_tokenizer_free` frees, including the tokenizer's own reply. A reply contains
//! either an error or the result; a panic inside the library is an error too.

mod composed;

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::slice;
use std::str;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokenizers::models::bpe::{Merges, Vocab, BPE};
use tokenizers::{
    AddedToken, DecoderWrapper, Encoding, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerBuilder, TokenizerImpl,
};

use composed::{Composed, PRESENT};

type With<M> = TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

type Engine = With<ModelWrapper>;

enum AnyEngine {
    Library(Box<Engine>),
    Composed(Box<With<Composed>>),
}

impl AnyEngine {
    fn set_encode_special_tokens(&mut self, value: bool) {
        match self {
            AnyEngine::Library(engine) => engine.set_encode_special_tokens(value),
            AnyEngine::Composed(engine) => engine.set_encode_special_tokens(value),
        }
    }

    fn encode(&self, text: &str) -> tokenizers::Result<Encoding> {
        match self {
            AnyEngine::Library(engine) => engine.encode(text, false),
            AnyEngine::Composed(engine) => engine.encode(text, false),
        }
    }
}

/// The engine caches words per thread for as long as the thread lives, so each tokenizer has its own threads.
pub struct Tokenizer {
    engine: Mutex<AnyEngine>,
    pool: ThreadPool,
}

/// The memory to which the pointers of a `Reply` refer.
#[derive(Default)]
struct Owned {
    error: String,
    tokenizer: Option<Box<Tokenizer>>,
    bytes: Vec<u8>,
    ids: Vec<i32>,
    starts: Vec<i32>,
    ends: Vec<i32>,
    counts: Vec<i32>,
}

/// The struct of the same name in tokenizer.h.
#[repr(C)]
pub struct Reply {
    error: *const u8,
    error_size: usize,
    tokenizer: *const Tokenizer,
    bytes: *const u8,
    bytes_size: usize,
    ids: *const i32,
    starts: *const i32,
    ends: *const i32,
    size: usize,
    counts: *const i32,
    counts_size: usize,
    owned: *mut Owned,
}

impl Tokenizer {
    /// A panic leaves the engine unchanged: only the switch for special tokens is ever written, before each use.
    fn lock(&self) -> MutexGuard<'_, AnyEngine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reply(work: impl FnOnce() -> Result<Owned, String>) -> *mut Reply {
    let owned = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(owned)) => owned,
        Ok(Err(error)) => Owned { error, ..Owned::default() },
        Err(panic) => Owned { error: format!("the tokenizer library panicked: {}", message(&*panic)), ..Owned::default() },
    };
    let owned = Box::new(owned);
    Box::into_raw(Box::new(Reply {
        error: owned.error.as_ptr(),
        error_size: owned.error.len(),
        tokenizer: owned.tokenizer.as_deref().map_or(ptr::null(), |t| t as *const Tokenizer),
        bytes: owned.bytes.as_ptr(),
        bytes_size: owned.bytes.len(),
        ids: owned.ids.as_ptr(),
        starts: owned.starts.as_ptr(),
        ends: owned.ends.as_ptr(),
        size: owned.ids.len(),
        counts: owned.counts.as_ptr(),
        counts_size: owned.counts.len(),
        owned: Box::into_raw(owned),
    }))
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "without a message".to_owned()
    }
}

/// An empty slice may have any pointer in C, but Rust's must not be null.
unsafe fn view<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        slice::from_raw_parts(data, size)
    }
}

fn small(n: usize) -> Result<i32, String> {
    i32::try_from(n).map_err(|_| format!("{n} does not fit in 31 bits"))
}

/// Reads a tokenizer.json.
///
/// # Safety
/// `json` points to `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn surprisal_tokenizer_load(json: *const u8, size: usize, threads: usize) -> *mut Reply {
    reply(|| {
        let mut engine: Engine = Engine::from_bytes(view(json, size)).map_err(|e| e.to_string())?;
        engine.with_truncation(None).map_err(|e| e.to_string())?;
        engine.with_padding(None);
        // It would add special tokens and trim spaces from the ranges, which would be wrong.
        engine.with_post_processor(None::<PostProcessorWrapper>);
        if let ModelWrapper::BPE(bpe) = engine.get_model() {
            if bpe.dropout.is_some() {
                let mut bpe = bpe.clone();
                bpe.dropout = None;
                engine.with_model(bpe);
            }
        }
        with_threads(AnyEngine::Library(Box::new(engine)), threads)
    })
}

fn with_threads(engine: AnyEngine, threads: usize) -> Result<Owned, String> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("tokenizer {i}"))
        .build()
        .map_err(|e| e.to_string())?;
    let tokenizer = Box::new(Tokenizer { engine: Mutex::new(engine), pool });
    Ok(Owned { tokenizer: Some(tokenizer), ..Owned::default() })
}

/// More flags of a token: found before the model sees the text; and of those, a special token.
const ADDED: u8 = 2;
const SPECIAL: u8 = 4;
/// A flag of an added token: it takes the white space after it.
const STRIPS_RIGHT: u8 = 16;

/// Makes a tokenizer of type BPE: `json` is a tokenizer.json without tokens and merges. The contents of the tokens are
/// stored by id, one after the other, in `contents`, and end at `ends`. `merges` has two ids for each merge. If it is
/// empty, all ways to compose a token from two others are merges, in the order of `composed::Rank`.
///
/// # Safety
/// `json` points to `json_size` bytes, `ends` and `flags` to `size` numbers, `contents` to as many bytes as the last of
/// `ends`, and `merges` to `merges_size` numbers.
#[no_mangle]
pub unsafe extern "C" fn surprisal_tokenizer_build(
    json: *const u8,
    json_size: usize,
    contents: *const u8,
    ends: *const usize,
    flags: *const u8,
    size: usize,
    merges: *const u32,
    merges_size: usize,
    threads: usize,
) -> *mut Reply {
    reply(|| {
        let engine: Engine = Engine::from_bytes(view(json, json_size)).map_err(|e| e.to_string())?;
        let (ends, flags, merges) = (view(ends, size), view(flags, size), view(merges, merges_size));
        let contents = view(contents, ends.last().copied().unwrap_or(0));
        let contents = str::from_utf8(contents).map_err(|e| format!("the tokens are not valid UTF-8: {e}"))?;
        let engine = build(engine, contents, ends, flags, merges).map_err(|e| e.to_string())?;
        with_threads(engine, threads)
    })
}

fn build(mut engine: Engine, contents: &str, ends: &[usize], flags: &[u8], merges: &[u32]) -> tokenizers::Result<AnyEngine> {
    let ModelWrapper::BPE(settings) = engine.get_model() else {
        return Err("the model is not of type BPE".into());
    };
    let content = |id: usize| {
        let start = if id == 0 { Some(&0) } else { ends.get(id - 1) };
        start.zip(ends.get(id)).and_then(|(&start, &end)| contents.get(start..end)).ok_or_else(|| format!("there is no token {id}"))
    };
    let mut added = Vec::new();
    for (id, &flags) in flags.iter().enumerate().filter(|(_, &flags)| flags & ADDED != 0) {
        let token = AddedToken::from(content(id)?, flags & SPECIAL != 0).normalized(false);
        added.push(token.rstrip(flags & STRIPS_RIGHT != 0));
    }
    if merges.is_empty() {
        let unknown = settings.unk_token.as_deref().ok_or("there is no unknown token")?;
        let model = Composed::new(contents.to_owned(), ends.to_owned(), flags.to_owned(), unknown)?;
        let mut composed: With<Composed> = TokenizerBuilder::new()
            .with_model(model)
            .with_normalizer(engine.get_normalizer().cloned())
            .with_pre_tokenizer(engine.get_pre_tokenizer().cloned())
            .build()?;
        composed.add_tokens(added)?;
        return Ok(AnyEngine::Composed(Box::new(composed)));
    }
    let mut builder =
        BPE::builder().fuse_unk(settings.fuse_unk).byte_fallback(settings.byte_fallback).ignore_merges(settings.ignore_merges);
    if let Some(unknown) = &settings.unk_token {
        builder = builder.unk_token(unknown.clone());
    }
    let mut vocabulary = Vocab::with_capacity(ends.len());
    for (id, _) in flags.iter().enumerate().filter(|(_, &flags)| flags & PRESENT != 0) {
        vocabulary.insert(content(id)?.to_owned(), u32::try_from(id)?);
    }
    let merges = merges
        .chunks_exact(2)
        .map(|pair| Ok((content(pair[0] as usize)?.to_owned(), content(pair[1] as usize)?.to_owned())))
        .collect::<Result<Merges, String>>()?;
    engine.with_model(builder.vocab_and_merges(vocabulary, merges).build()?);
    engine.add_tokens(added)?;
    Ok(AnyEngine::Library(Box::new(engine)))
}

/// Lists the vocabulary by id: `bytes` holds the contents one after the other, `ends` the end of each, and `counts` 1 for
/// an added token and 0 for a token of the model.
///
/// # Safety
/// `tokenizer` is from a reply that was not freed.
#[no_mangle]
pub unsafe extern "C" fn surprisal_tokenizer_vocabulary(tokenizer: *const Tokenizer) -> *mut Reply {
    reply(|| {
        let engine = (*tokenizer).lock();
        let AnyEngine::Library(engine) = &*engine else {
            return Err("this tokenizer was built from a vocabulary".to_owned());
        };
        let mut tokens: Vec<(u32, String, i32)> =
            engine.get_vocab(false).into_iter().map(|(content, id)| (id, content, 0)).collect();
        let added = engine.get_added_tokens_decoder();
        tokens.retain(|(id, _, _)| !added.contains_key(id));
        tokens.extend(added.into_iter().map(|(id, token)| (id, token.content, 1)));
        tokens.sort_unstable();
        let mut out = Owned::default();
        for (id, content, kind) in tokens {
            out.bytes.extend_from_slice(content.as_bytes());
            out.ids.push(small(id as usize)?);
            out.ends.push(small(out.bytes.len())?);
            out.counts.push(kind);
        }
        Ok(out)
    })
}

/// Encodes the texts that are stored one after the other in `text` and end at `ends`. `counts` of the reply is the number of
/// tokens of each; `starts` and `ends` are the library's ranges, in bytes from the beginning of the token's text.
///
/// # Safety
/// `tokenizer` is from a reply that was not freed; `ends` points to `size` ascending numbers; `text` points to as many bytes
/// as the last of them.
#[no_mangle]
pub unsafe extern "C" fn surprisal_tokenizer_encode(
    tokenizer: *const Tokenizer,
    text: *const u8,
    ends: *const usize,
    size: usize,
    parse_special: i32,
) -> *mut Reply {
    reply(|| {
        let ends = view(ends, size);
        let text = view(text, ends.last().copied().unwrap_or(0));
        let mut start = 0;
        let mut texts = Vec::with_capacity(size);
        for (i, &end) in ends.iter().enumerate() {
            let part = &text[start..end];
            texts.push(str::from_utf8(part).map_err(|e| format!("text {i} is not valid UTF-8: {e}"))?);
            start = end;
        }
        let tokenizer = &*tokenizer;
        let mut engine = tokenizer.lock();
        engine.set_encode_special_tokens(parse_special == 0);
        let engine = &*engine;
        let parts: Vec<Owned> = tokenizer.pool.install(|| {
            texts
                .par_iter()
                .enumerate()
                .map(|(i, text)| {
                    // A text on which the library panics must be distinguished from the others.
                    let encoding = match catch_unwind(AssertUnwindSafe(|| engine.encode(text))) {
                        Ok(result) => result.map_err(|e| format!("text {i}: {e}"))?,
                        Err(panic) => return Err(format!("text {i}: the tokenizer library panicked: {}", message(&*panic))),
                    };
                    let mut part = Owned::default();
                    for (&id, &(start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
                        part.ids.push(small(id as usize)?);
                        part.starts.push(small(start)?);
                        part.ends.push(small(end)?);
                    }
                    Ok(part)
                })
                .collect::<Result<Vec<Owned>, String>>()
        })?;
        let mut out = Owned::default();
        for part in parts {
            out.counts.push(small(part.ids.len())?);
            out.ids.extend(part.ids);
            out.starts.extend(part.starts);
            out.ends.extend(part.ends);
        }
        Ok(out)
    })
}

/// Frees a reply and its contents.
///
/// # Safety
/// `reply` is null, or is from a call above and was not freed; a tokenizer's reply must outlive its calls.
#[no_mangle]
pub unsafe extern "C" fn surprisal_tokenizer_free(reply: *mut Reply) {
    if !reply.is_null() {
        let reply = Box::from_raw(reply);
        drop(Box::from_raw(reply.owned));
    }
}
