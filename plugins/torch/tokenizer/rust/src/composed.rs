//! The BPE model of Gemma's tokenizer, whose merges are all the ways to compose a token from two others. The library's own
//! model needs a list of the merges, half a million, which takes most of the time of loading. This one looks the composed
//! token up in the vocabulary instead. It returns the same tokens: the order of merges and the treatment of unknown
//! characters are those of `BPE` in tokenizers/src/models/bpe, with `fuse_unk` and `byte_fallback`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};

use ahash::RandomState;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{Model, Result, Token};

/// The flags of a token.
pub const PRESENT: u8 = 1; // in the vocabulary
pub const NORMAL: u8 = 8; // of the normal type; merges into others come first

pub struct Composed {
    contents: String,
    ends: Vec<usize>,
    flags: Vec<u8>,
    /// A hash table of the tokens: for each slot, some bits of the hash and one more than the id; 0 for none.
    table: Vec<(u32, u32)>,
    hasher: RandomState,
    size: usize,
    /// The tokens that represent the bytes of characters without a token.
    bytes: Vec<Option<u32>>,
    unknown: u32,
}

/// The order of merges, the first first. Those into a token that is not normal come before others: longest left side first,
/// then shortest right side, then by id. The others follow by id, each with the longest left side first.
type Rank = (u8, i64, i64, i64);

struct Symbol {
    id: u32,
    /// The number of characters of the token.
    chars: i64,
    /// The token's part of the word, in bytes; empty for a symbol that was merged into the one before.
    start: usize,
    end: usize,
    /// True if that part is the token's content, not an unknown character or a part of one.
    literal: bool,
    previous: Option<usize>,
    next: Option<usize>,
}

impl Composed {
    /// The token `id` is the content that ends at `ends[id]`, where that of `id` + 1 begins.
    pub fn new(contents: String, ends: Vec<usize>, flags: Vec<u8>, unknown: &str) -> std::result::Result<Self, String> {
        let size = flags.iter().filter(|&flags| flags & PRESENT != 0).count();
        let slots = (2 * ends.len()).next_power_of_two();
        let hasher = RandomState::new();
        let mut model =
            Composed { contents, ends, flags, table: vec![(0, 0); slots], hasher, size, bytes: Vec::new(), unknown: 0 };
        let mut start = 0;
        for id in 0..model.ends.len() {
            let end = model.ends[id];
            let content = model.contents.get(start..end).ok_or_else(|| format!("there is no token {id}"))?;
            if model.flags[id] & PRESENT != 0 {
                let hash = model.hasher.hash_one(content);
                let mut slot = model.slot(hash);
                while model.table[slot].1 != 0 {
                    slot = (slot + 1) & (slots - 1);
                }
                model.table[slot] = (hash as u32, u32::try_from(id + 1).map_err(|e| e.to_string())?);
            }
            start = end;
        }
        model.bytes = (0..=255u8).map(|b| model.find(&format!("<{b:#04X}>"))).collect();
        model.unknown = model.find(unknown).ok_or_else(|| format!("the unknown token {unknown:?} is not in the vocabulary"))?;
        Ok(model)
    }

    fn slot(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.table.len() - 1)
    }

    fn content(&self, id: u32) -> &str {
        let id = id as usize;
        &self.contents[if id == 0 { 0 } else { self.ends[id - 1] }..self.ends[id]]
    }

    fn find(&self, content: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(content);
        let mut slot = self.slot(hash);
        loop {
            match self.table[slot] {
                (_, 0) => return None,
                (bits, next) if bits == hash as u32 && self.content(next - 1) == content => return Some(next - 1),
                _ => slot = (slot + 1) & (self.table.len() - 1),
            }
        }
    }

    /// The symbols of a word before any merge.
    fn symbols(&self, word: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = Vec::with_capacity(word.len());
        let mut position = 0;
        let mut add = |id: u32, bytes: usize, literal: bool| {
            let at = symbols.len();
            symbols.push(Symbol {
                id,
                chars: if literal { 1 } else { self.content(id).chars().count() as i64 },
                start: position,
                end: position + bytes,
                literal,
                previous: at.checked_sub(1),
                next: Some(at + 1),
            });
            position += bytes;
        };
        let mut unknown = 0; // bytes
        for (start, character) in word.char_indices() {
            let text = &word[start..start + character.len_utf8()];
            if let Some(id) = self.find(text) {
                if unknown > 0 {
                    add(self.unknown, unknown, false);
                    unknown = 0;
                }
                add(id, text.len(), true);
            } else if let Some(tokens) = text.bytes().map(|b| self.bytes[b as usize]).collect::<Option<Vec<u32>>>() {
                // As in the library, they come before an unknown token that precedes them.
                for id in tokens {
                    add(id, 1, false);
                }
            } else {
                unknown += text.len();
            }
        }
        if unknown > 0 {
            add(self.unknown, unknown, false);
        }
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
        symbols
    }

    /// The token that two symbols compose, and the rank of the merge.
    fn composed(&self, word: &str, left: &Symbol, right: &Symbol) -> Option<(Rank, u32)> {
        let id = if left.literal && right.literal {
            self.find(&word[left.start..right.end])?
        } else {
            self.find(&[self.content(left.id), self.content(right.id)].concat())?
        };
        if self.flags[id as usize] & NORMAL != 0 {
            return Some(((1, i64::from(id), -left.chars, 0), id));
        }
        Some(((0, -left.chars, right.chars, i64::from(id)), id))
    }

    fn merge(&self, word: &str, symbols: &mut [Symbol]) {
        let mut queue = BinaryHeap::with_capacity(symbols.len());
        let push = |queue: &mut BinaryHeap<_>, at: usize, left: &Symbol, right: &Symbol| {
            if let Some((rank, id)) = self.composed(word, left, right) {
                queue.push(Reverse((rank, at, id, left.id, right.id)));
            }
        };
        for (at, pair) in symbols.windows(2).enumerate() {
            push(&mut queue, at, &pair[0], &pair[1]);
        }
        while let Some(Reverse((_, at, id, left_id, right_id))) = queue.pop() {
            let left = &symbols[at];
            let Some(next) = left.next.filter(|_| left.end > left.start) else { continue };
            // The pair may be another one by now, and may compose the same token.
            let right = &symbols[next];
            if (left.id, right.id) != (left_id, right_id) && self.composed(word, left, right).is_none_or(|(_, now)| now != id) {
                continue;
            }
            let (chars, end, literal, after) = (left.chars + right.chars, right.end, left.literal && right.literal, right.next);
            symbols[next].end = symbols[next].start;
            let left = &mut symbols[at];
            (left.id, left.chars, left.end, left.literal, left.next) = (id, chars, end, literal, after);
            if let Some(before) = left.previous {
                push(&mut queue, before, &symbols[before], &symbols[at]);
            }
            if let Some(after) = after {
                symbols[after].previous = Some(at);
                push(&mut queue, at, &symbols[at], &symbols[after]);
            }
        }
    }
}

impl Model for Composed {
    type Trainer = BpeTrainer;

    fn tokenize(&self, word: &str) -> Result<Vec<Token>> {
        let mut symbols = self.symbols(word);
        self.merge(word, &mut symbols);
        Ok(symbols
            .iter()
            .filter(|s| s.end > s.start)
            .map(|s| Token::new(s.id, self.content(s.id).to_owned(), (s.start, s.end)))
            .collect())
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.find(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        (*self.flags.get(id as usize)? & PRESENT != 0).then(|| self.content(id).to_owned())
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..self.ends.len() as u32).filter_map(|id| Some((self.id_to_token(id)?, id))).collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.size
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("this model has no files".into())
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}
