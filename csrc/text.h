/* text.h: text processing in C, and its manual: learning byte-pair encodings, a filter's n-grams,
   near-duplicates. It is all that the library build/libchat_text.so holds. As chat.h is, this file
   is the cffi declaration, too: it has no #include and no guards.

   Errors    functions that return int return 0 (or a count), or below 0 with a sentence in
             chat_error(). Nothing here prints or exits.
   Threads   calls on different objects may run at the same time. */

/* The last error of this thread, one sentence; valid until its next call that fails. */
const char *chat_error(void);
/* Sets chat_error() to a printf-style sentence; always returns -1. */
int chat_fail(const char *format, ...);
/* Fails where this CPU lacks instructions that the library was built with: to be called first. */
int cpu_ready(void);

/* ---- Byte-pair encoding (bpe.c): data/tokens/learn.py calls it ------------------------------- */

typedef struct Chunks Chunks;        /* different chunks of text, counted, the first seen first */
typedef struct Bpe Bpe;              /* chunks while merges are learnt from them */

/* A character's class: what kind it is, plus, where it stands in an English contraction as in "'s"
   or "'re", which of its letters it is. */
enum { KIND_OTHER, KIND_LETTER, KIND_NUMBER, KIND_BLANK, KIND_NEWLINE };
enum { ENDS_ALONE = 8, BEFORE_E = 16, IS_E = 24, IS_L = 32 };

int  chunks_create(Chunks **out);
void chunks_free(Chunks *chunks);

/* Splits n texts in UTF-8, the ith of which ends at ends[i], by bpe.PATTERN and counts the chunks,
   those over `longest` bytes cut into pieces of that size. classes (0x110000): of each code point.
   Calls on different Chunks may run at the same time. */
int chunks_split(Chunks *chunks, const uint8_t *text, const uint64_t *ends, size_t n,
                 const uint8_t *classes, int longest);
int chunks_add(Chunks *chunks, const Chunks *other);             /* += */
int chunks_forget(Chunks *chunks, uint64_t least);               /* those that occur less often */

/* How many chunks and, of all of them, how many bytes; and which: chunk i ends at ends[i]. */
size_t chunks_size(const Chunks *chunks);
size_t chunks_bytes(const Chunks *chunks);
void chunks_read(const Chunks *chunks, uint8_t *text, uint64_t *ends, uint64_t *counts);

/* Learns from n chunks, given as chunks_read gives them. bpe_learn goes on for n more merges, says
   how many it made, fewer where no pair occurs twice any more, and of each which two ids (n,2) it
   joins, into the id 256 + the number of merges before, and how often. */
int  bpe_create(Bpe **out, const uint8_t *text, const uint64_t *ends, const uint64_t *counts,
                size_t n);
int  bpe_learn(Bpe *bpe, int *merges, uint64_t *counts, int n);
void bpe_free(Bpe *bpe);

/* ---- Words of a document (words.c) ----------------------------------------------------------- */

/* What Gopher's repetition filter (arXiv:2112.11446, table A1) asks of a document, in letters.
   letters: the code points of its words, one after the other; lengths (words): how many each has.
   top (3) =: for n = 2 to 4, the length of the most frequent n-gram (the first of several) with a
   blank between words, times its count. again (6) =: for n = 5 to 10, the length without blanks of
   all n-grams that occurred before, reading on behind each. */
int repeated_ngrams(uint64_t *top, uint64_t *again, const uint32_t *letters, const int *lengths,
                    int words);

/* hashes =: below 2^61, of each line of text (bytes); all lines end with a newline. */
void hash_lines(uint64_t *hashes, const uint8_t *text, size_t bytes);

/* ---- Near-duplicates (minhash.c) ------------------------------------------------------------- */

enum { BANDS = 14 };                 /* of a signature: 8 minima each, over shingles of 5 words */

/* What a character is in a word: itself or another letter, '0' for all digits, or one of these. */
enum {
    LETTER_DROPPED,                  /* nothing */
    LETTER_BLANK,                    /* ends a word */
    LETTER_POINT,                    /* the same, but between two digits it is dropped */
    LETTER_ALONE = 1 << 24           /* added to a letter: it is a word by itself */
};
enum { LETTERS = 1 << 16 };          /* characters in the table; those beyond are words */

/* keys (BANDS) = a hash of each band of text's signature. text (n): UTF-8; letters (LETTERS): what
   each character is. A number, however long, is one '0'. A text of fewer than 5 words has one
   shingle, of all of them. */
void minhash_keys(uint64_t *keys,
                  const uint8_t *text, const uint32_t *letters,
                  size_t n);

/* parents (n), of a forest in which a document is a root or comes after its parent, joins the trees
   of each pair (n_pairs,2); the first one's root stays. Fails at a number that is not below n. */
int  join_pairs(uint32_t *parents,
                const uint32_t *pairs,
                size_t n_pairs, size_t n);
/* Each parent becomes its root: the first document of its tree, in whatever order they joined. */
void find_roots(uint32_t *parents, size_t n);
