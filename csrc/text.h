/* text.h: text processing in C, and its manual: learning byte-pair encodings, a filter's n-grams,
   near-duplicates, the blocks of a web page; and Connect Four. It is all that the library
   build/libchat_text.so holds. As chat.h is, this file is the cffi declaration, too: it has no
   #include and no guards.

   Errors    functions that return int return 0 (or a count), or below 0 with a sentence in
             chat_error(). Nothing here prints or exits.
   Threads   calls on different objects may run at the same time. */

/* The last error of this thread, one sentence; valid until its next call that fails. */
const char *chat_error(void);
/* Sets chat_error() to a printf-style sentence; always returns -1. */
int chat_fail(const char *format, ...);
/* Fails where this CPU lacks instructions that the library was built with: to be called first. */
int cpu_ready(void);

/* ---- Byte-pair encoding (bpe.c): data/tokens/learn.py and encode.c call it ------------------ */

typedef struct Chunks Chunks;        /* different chunks of text, counted, the first seen first */
typedef struct Bpe Bpe;              /* chunks while merges are learnt from them */

/* A character's class: what kind it is, plus, where it stands in an English contraction as in "'s"
   or "'re", which of its letters it is. */
enum { KIND_OTHER, KIND_LETTER, KIND_NUMBER, KIND_BLANK, KIND_NEWLINE };
enum { ENDS_ALONE = 8, BEFORE_E = 16, IS_E = 24, IS_L = 32 };

/* A pattern that splits texts: Qwen2's (learn.PATTERN: digits 1), Llama 3's (digits 3), GPT-2's
   (old), SmolLM's (old, digits 1). */
typedef struct {
    int digits;                      /* of a number, in one chunk; 0: all, after a blank */
    int old;                         /* words have only a blank before them, no newline ends a line,
                                        and contractions are in small letters */
} Split;

/* Where the chunk that begins at p, before `end`, ends. classes (0x110000): of each code point. */
const uint8_t *split_end(const uint8_t *p, const uint8_t *end, const uint8_t *classes,
                         Split split);

int  chunks_create(Chunks **out);
void chunks_free(Chunks *chunks);

/* Splits n texts in UTF-8, the ith of which ends at ends[i], by learn.PATTERN and counts chunks,
   those over `longest` bytes cut into pieces of that size. classes (0x110000): of each code point.
   Calls on different Chunks may run at the same time. */
int chunks_split(Chunks *chunks, const uint8_t *text, const uint64_t *ends, size_t n,
                 const uint8_t *classes, int longest);
int chunks_add(Chunks *chunks, const Chunks *other);             /* += */
int chunks_forget(Chunks *chunks, uint64_t least);               /* those that occur less often */

/* Chunks as a table of strings, numbered from 0. chunks_put counts one more occurrence and returns
   the number of the chunk, as chunks_find does; below 0: it failed, or there is none. chunks_text:
   chunk i, *size long; valid until the next one is put. */
int chunks_put(Chunks *chunks, const uint8_t *chunk, size_t size);
int chunks_find(const Chunks *chunks, const uint8_t *chunk, size_t size);
const uint8_t *chunks_text(const Chunks *chunks, int i, size_t *size);

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

/* Joins neighbours until no two can be, first those of the lowest rank, of equal ones the first. A
   text in UTF-8 begins as its characters. ends (n) = where each piece that is left ends, at the
   place where it begins, and 0 elsewhere. rank_of(ranks, pieces, middle, n): of two pieces of
   `middle` and n - middle bytes; UINT64_MAX where they cannot be joined. */
typedef uint64_t RankOf(const void *ranks, const uint8_t *pieces, size_t middle, size_t n);
int bpe_join(uint32_t *ends, const uint8_t *text, size_t n, RankOf *rank_of, const void *ranks);

/* ---- Encoding (encode.c): run.c calls it ----------------------------------------------------- */

typedef struct Encoder Encoder;

/* A vocabulary as a GGUF file has it, in arrays at no multiple of 4, which are not copied but for
   the names: names and merges are strings, each 8 bytes of length before its bytes; a kind is an
   int32, a score a float. */
typedef struct {
    const uint8_t *names, *kinds, *scores, *merges;
    size_t n_names, n_merges;
    const char *split;               /* GGUF's name of how texts are split into chunks, in which
                                        merges join bytes as GPT-2 spells them; NULL: pieces of
                                        SentencePiece are joined by their scores, */
    int prefix;                      /* behind a blank that is put before each text */
    const uint8_t *classes;          /* as chunks_split takes them */
} Vocabulary;

int  encoder_create(Encoder **out, const Vocabulary *vocabulary);
void encoder_free(Encoder *encoder);

/* The id of a token's name, or -1; what an id stands for. encoder_ends: a special one ends a text,
   as those do whose names say so. */
enum { ROLE_TEXT, ROLE_SPECIAL, ROLE_END };
int  encoder_find(const Encoder *encoder, const char *name);
int  encoder_role(const Encoder *encoder, int id);
void encoder_ends(Encoder *encoder, int id);

/* ids = those of text (n), in UTF-8, at most 3 * n + 3; returns how many. What looks like a special
   token is plain text. */
int encoder_encode(const Encoder *encoder, int *ids, const uint8_t *text, size_t n);

/* out (at most 1023) = the bytes of an id; returns how many. */
int encoder_decode(const Encoder *encoder, uint8_t *out, int id);

/* How many bytes the character at p takes, of n > 0; 0 where n are too few to tell; where there is
   none, minus how many bytes one U+FFFD stands for, as Python has it. */
int utf8_character(const uint8_t *p, size_t n, uint32_t *code);

/* out (3 * n + 3) = the characters that n more bytes of a stream make whole, U+FFFD for what is
   none or would act on a terminal (csrc/shown.py); returns how many bytes. n 0: it ends. */
typedef struct { uint8_t held[8]; size_t n; } Utf8;      /* bytes that may begin a character */
size_t utf8_plain(uint8_t *out, Utf8 *stream, const uint8_t *bytes, size_t n);

/* ---- GGUF files (gguf.c): run.c reads them --------------------------------------------------- */

typedef struct { const uint8_t *at; size_t n; } Bytes;
uint64_t number_at(const uint8_t *data, size_t bytes);   /* little-endian, at any place */
Bytes string_at(const uint8_t *data);                    /* 8 bytes of length, then the string */

/* A value's type, to which ARRAY_OF is added where it is an array, of `count` of them at `data`; a
   tensor's shape, (rows,1) of a vector, its type (chat.h), and where in the file it begins. Whether
   it ends there, its user finds out; `used` is the user's. */
enum { VALUE_U32 = 4, VALUE_I32, VALUE_FLOAT, VALUE_BOOL, VALUE_STRING, VALUE_ARRAY,
       ARRAY_OF = 16 };
typedef struct { int type; size_t count; const uint8_t *data; } Value;
typedef struct { Bytes name; int type, used; size_t rows, cols, place; } Matrix;
typedef struct {
    const uint8_t *data; size_t size;            /* the file, mapped */
    Chunks *keys, *names;
    Value *values; Matrix *tensors;              /* by the numbers of their keys and names */
    int handle; uint64_t stamp[3];
} File;

/* Fails where the file is not as it should be, which stays open; gguf_same: where it was changed
   since. The value of a key and the tensor of a name are NULL where there is none. */
int gguf_open(File *file, const char *path);
int gguf_same(const File *file);
const Value *gguf_value(const File *file, const char *key);
Matrix *gguf_tensor(const File *file, const char *name);

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

/* ---- Pages (page.c): data/crawl/extract.py calls it ------------------------------------------ */

/* What a tag is: within a block, */
enum {
    TAG_OTHER, TAG_SPAN, TAG_LINK, TAG_BOLD, TAG_IMAGE, TAG_BREAK, TAG_RUBY,
    TAG_SKIPPED,                     /* not part of the text, as the reading of ruby */
    TAG_RAW, TAG_HIDDEN,             /* not shown up to its end tag; raw: or up to the page's end */
/* or it begins or ends one. */
    TAG_BLOCK, TAG_PARAGRAPH, TAG_HEADING, TAG_ITEM, TAG_TERM, TAG_LIST, TAG_CELL, TAG_ROW,
    TAG_SECTION, TAG_TABLE, TAG_PRE
};
enum { CELL_CHARS = 120 };           /* shorter cells of a row are one block, unless of links */

/* Of an element: its tag, the element that it is in (0 is the page), the last one in it, how many
   it is in, whether it is hidden, a hash of its tag and the words of its class, id, role and
   itemprop, and which of the known words these have (a bit each). */
enum { ELEMENT_TAG, ELEMENT_PARENT, ELEMENT_LAST, ELEMENT_DEPTH, ELEMENT_HIDDEN, ELEMENT_SIGNATURE,
       ELEMENT_WORDS, ELEMENT_FIELDS = ELEMENT_WORDS + 4 };

/* Of a block: where its text ends, its innermost element; its characters, how many of them are in
   links, bold, digits, capitals, commas, marks like | and /; words, links, ends of sentences, new
   lines, images before it; whether it begins with a small letter, ends a sentence, ends with a
   colon, has a (c), is the first of a list's item. An entity is one character. */
enum { BLOCK_END, BLOCK_ELEMENT, BLOCK_CHARS, BLOCK_LINKED, BLOCK_BOLD, BLOCK_DIGITS, BLOCK_UPPER,
       BLOCK_COMMAS, BLOCK_BARS, BLOCK_WORDS, BLOCK_LINKS, BLOCK_STOPS, BLOCK_LINES, BLOCK_IMAGES,
       BLOCK_LOWER, BLOCK_ENDS, BLOCK_COLON, BLOCK_RIGHTS, BLOCK_ITEM, BLOCK_FIELDS };

/* counts (2) = how many blocks (most,BLOCK_FIELDS) and elements (most,ELEMENT_FIELDS) a page has,
   up to `most`; text (n) = that of the blocks, one after the other, entities as they are, a <br> as
   a new line, other blanks as one but in a <pre>. html (n): UTF-8; tags (n_tags,16), words
   (n_words,16): sorted names in small letters, padded with zeros; a tag's last byte is its kind. */
void page_blocks(int *counts, uint8_t *text, int *blocks, int *elements,
                 const uint8_t *html, size_t n, const char *tags, int n_tags,
                 const char *words, int n_words, int most);

/* sums (n) = of all trees, for each row of x (n,columns). A tree (all trees have one depth): for
   each of its 2^depth - 1 nodes the column that it asks for, for each the greatest value that goes
   left, and its 2^depth leaves. */
void sum_trees(double *sums, const float *x, const double *trees,
               size_t n, int columns, int n_trees, int depth);

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

/* ---- Connect Four (game.c): data/stages/play.py calls it ------------------------------------- */

/* Two players in turn drop stones into columns; `line` stones of one in a row, up, across or in a
   diagonal, win. A game is its moves: which columns, from 0, one after the other. */
typedef struct { int columns, rows, line; } Rules;   /* columns * (rows + 1) is at most 56 */

/* How a game stands: GAME_WON by who moved last. */
enum { GAME_OPEN, GAME_WON, GAME_DRAWN, GAME_ILLEGAL };
int game_result(const Rules *rules, const uint8_t *moves, int n);

/* Goes on with n moves until there are `most` or the game is over, and returns how many there are.
   For each move that there is, so many playouts are made after it: both players go on by chance,
   for `depth` moves at most, and where nobody has won then, it counts as a draw. The move that won
   the most is taken, of equal ones, and so without playouts, any by chance. */
int game_play(uint8_t *moves, const Rules *rules, int n, int most, int playouts, int depth,
              uint64_t seed);

/* scores (columns) = of each move after n others, if both play perfectly from then on: above 0 for
   a win, the more the earlier; below for a loss; 0 for a draw; GAME_FULL where the column is full.
   table (entries): what is known of positions; 0 to begin with, and then of these rules alone. */
enum { GAME_FULL = -31 };
int game_solve(int *scores, const Rules *rules, const uint8_t *moves, int n,
               uint64_t *table, size_t entries);
