/* encode.c: text to ids and back, with a vocabulary of bytes that merges join, as GPT-2's and Llama
   3's, or of SentencePiece's pieces, as Gemma's. data/tokens/codecs.py gives the same ids. */

#include <stdio.h>
#include <stdlib.h>
#include "shared.h"
#include "text.h"

enum { LONGEST = 1024 };             /* bytes of a token and of a merge, and one */
static const char SPACE[] = "\u2581";            /* how SentencePiece spells a blank */

/* How texts are split, by the names that GGUF files have for it. whole: a chunk that is a token
   is not made by merges. */
static const struct { const char *names; Split split; int whole; } SPLITS[] = {
    { " gpt-2 phi-2 olmo mpt jais gigachat roberta-bpe ", { 0, 1 }, 0 },
    { " smollm starcoder refact command-r codeshell exaone minerva-7b ", { 1, 1 }, 0 },
    { " qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez ", { 1, 0 }, 0 },
    { " dbrx smaug-bpe chatglm-bpe glm4 lfm2 ", { 3, 0 }, 0 },
    { " llama-bpe llama3 llama-v3 falcon3 ", { 3, 0 }, 1 }
};

enum { NORMAL = 1, UNKNOWN, CONTROL, ADDED, UNUSED, BYTE, ENDS };   /* kinds, by GGUF's numbers */

/* Names that end a text, by whatever kind their makers gave them. */
static const char *const ENDING[] = {
    "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>",
    "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<|return|>", "<EOT>", "</s>"
};

struct Encoder {
    Vocabulary v;
    Chunks *tokens, *merges, *added;             /* names; those of added tokens */
    uint8_t *kinds;
    int pieces, whole;
    Split split;
    uint8_t begins[256]; size_t longest;         /* of added tokens: first bytes; bytes at most */
    int bytes[256], spelled[512];                /* ids of bytes; bytes of GPT-2's letters, or -1 */
    uint16_t letters[256];                       /* GPT-2's, which spell bytes */
};

int utf8_character(const uint8_t *p, size_t n, uint32_t *code) {
    const int size = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3
                   : *p < 0xf5 ? 4 : 0;
    *code = size == 1 ? *p : *p & 0x7f >> size;
    for (int i = 1; i < size; i++) {
        if (i == (int)n) return 0;
        const int low = i > 1 ? 0x80 : *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
        const int high = i > 1 ? 0xbf : *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
        if (p[i] < low || p[i] > high) return -i;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    return size ? size : -1;
}

size_t utf8_plain(uint8_t *out, Utf8 *s, const uint8_t *bytes, size_t n) {
    static const char ODD[] = "\ufffd";
    uint32_t c;
    size_t m = 0;
    if (!n && s->n) { memcpy(out, ODD, 3); m = 3; s->n = 0; }
    for (const uint8_t *end = bytes + n; bytes < end; bytes++) {
        s->held[s->n++] = *bytes;
        for (int size; s->n && (size = utf8_character(s->held, s->n, &c)); ) {
            const int acts = (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0)
                          || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
            const int odd = size < 0 || acts;
            memcpy(out + m, odd ? (const uint8_t *)ODD : s->held, odd ? 3 : size);
            m += odd ? 3 : size;
            s->n -= abs(size);
            memmove(s->held, s->held + abs(size), s->n);
        }
    }
    return m;
}

/* ---- The vocabulary -------------------------------------------------------------------------- */

/* The byte that a token's name <0x7F> says, or -1. */
static int byte_of(const uint8_t *name, size_t n) {
    char text[7] = "", *end;
    if (n != 6 || memcmp(name, "<0x", 3) || name[5] != '>') return -1;
    memcpy(text, name, 6);
    const long byte = strtol(text + 3, &end, 16);
    return end == text + 5 ? (int)byte : -1;
}

/* out = a name with blanks as texts have them; returns how long it is. */
static size_t with_blanks(uint8_t *out, const uint8_t *name, size_t n) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const int blank = n - i > 2 && !memcmp(name + i, SPACE, 3);
        out[m++] = blank ? ' ' : name[i];
        i += 2 * blank;
    }
    return m;
}

static int put_token(Encoder *e, int id, const uint8_t *name, size_t n) {
    uint8_t text[LONGEST];
    int kind = (int)number_at(e->v.kinds + 4 * (size_t)id, 1);
    if (kind == ADDED && n) {
        n = e->pieces ? with_blanks(text, name, n) : n;
        name = e->pieces ? text : name;
        if (chunks_put(e->added, name, n) < 0) return -1;
        e->begins[*name] = 1;
        e->longest = n > e->longest ? n : e->longest;
    }
    if (kind == BYTE && byte_of(name, n) >= 0) e->bytes[byte_of(name, n)] = id;
    e->kinds[id] = (uint8_t)(kind >= NORMAL && kind <= BYTE ? kind : UNKNOWN);
    const int place = chunks_put(e->tokens, name, n);
    return place == id ? 0 : place < 0 ? -1
         : chat_fail("the tokens %d and %d have the same name", place, id);
}

static int fill(Encoder *e) {
    const uint8_t *name = e->v.names, *pair = e->v.merges;
    for (size_t i = 0, n; i < e->v.n_names + e->v.n_merges; i++) {
        const int merge = i >= e->v.n_names;
        const uint8_t **at = merge ? &pair : &name;
        n = number_at(*at, 8);
        if (n >= LONGEST)
            return chat_fail("a token or a merge has %zu bytes, but can have at most %d", n,
                             LONGEST - 1);
        if (merge ? chunks_put(e->merges, *at + 8, n) < 0 : put_token(e, (int)i, *at + 8, n))
            return -1;
        *at += 8 + n;
    }
    for (size_t i = 0; i < sizeof ENDING / sizeof *ENDING; i++)
        if (encoder_find(e, ENDING[i]) >= 0) e->kinds[encoder_find(e, ENDING[i])] = ENDS;
    return 0;
}

int encoder_create(Encoder **out, const Vocabulary *v) {
    const int known = sizeof SPLITS / sizeof *SPLITS;
    char name[64];
    int i = 0;
    *out = NULL;
    snprintf(name, sizeof name, " %s ", v->split ? v->split : "gpt-2");
    while (i < known && !strstr(SPLITS[i].names, name)) i++;
    if (i == known) return chat_fail("texts are split by \"%.64s\", not known here", v->split);
    if (v->n_names > INT32_MAX / 4) return chat_fail("%zu tokens are too many", v->n_names);
    Encoder *e = calloc(1, sizeof **out);
    if (!e || chunks_create(&e->tokens) || chunks_create(&e->merges) || chunks_create(&e->added)
        || !(e->kinds = calloc(v->n_names + 1, 1))) {
        encoder_free(e);
        return chat_fail("no memory for %zu tokens", v->n_names);
    }
    e->v = *v;
    e->pieces = !v->split;
    e->split = SPLITS[i].split;
    e->whole = v->split && SPLITS[i].whole;
    memset(e->bytes, -1, sizeof e->bytes);
    memset(e->spelled, -1, sizeof e->spelled);
    for (int b = 0, odd = 256; b < 256; b++) {
        e->letters[b] = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad) ? b : odd++;
        e->spelled[e->letters[b]] = b;
    }
    if (fill(e)) { encoder_free(e); return -1; }
    *out = e;
    return 0;
}

void encoder_free(Encoder *e) {
    if (!e) return;
    chunks_free(e->tokens); chunks_free(e->merges); chunks_free(e->added);
    free(e->kinds);
    free(e);
}

int encoder_find(const Encoder *e, const char *name) {
    return chunks_find(e->tokens, (const uint8_t *)name, strlen(name));
}

int encoder_role(const Encoder *e, int id) {
    const int kind = (size_t)id < e->v.n_names ? e->kinds[id] : UNUSED;
    return kind == ENDS ? ROLE_END : kind == NORMAL || kind == ADDED || kind == BYTE ? ROLE_TEXT
         : ROLE_SPECIAL;
}

void encoder_ends(Encoder *e, int id) {
    if (encoder_role(e, id) == ROLE_SPECIAL) e->kinds[id] = ENDS;
}

/* The id of a text that is a token of some kind, or -1. */
static int id_of(const Encoder *e, const uint8_t *text, size_t n, int kind) {
    const int id = chunks_find(e->tokens, text, n);
    return id >= 0 && e->kinds[id] == kind ? id : -1;
}

/* ---- Text to ids ----------------------------------------------------------------------------- */

/* When two neighbours are joined: by the order of merges, or the piece of the highest score. */
static uint64_t rank_of(const void *ranks, const uint8_t *text, size_t middle, size_t n) {
    const Encoder *e = ranks;
    uint8_t pair[LONGEST];
    const int id = n + 1 < LONGEST ? id_of(e, text, n, NORMAL) : -1;
    if (id < 0) return UINT64_MAX;
    if (e->pieces) {
        const uint32_t bits = (uint32_t)number_at(e->v.scores + 4 * (size_t)id, 4);
        return (uint64_t)(bits >> 31 ? bits : 0x7fffffff - bits) << 32 | (uint32_t)id;
    }
    memcpy(pair, text, middle);
    pair[middle] = ' ';
    memcpy(pair + middle + 1, text + middle, n - middle);
    const int merge = chunks_find(e->merges, pair, n + 1);
    return merge < 0 ? UINT64_MAX : (uint64_t)merge;
}

/* Appends the ids of a text that is split no further. Where a character is in no token, its bytes
   are pieces; of bytes that are none nothing is left. */
static int join(const Encoder *e, int *ids, int *count, const uint8_t *text, size_t n) {
    uint32_t *ends = malloc(sizeof *ends * (n + 1));
    if (!ends) return chat_fail("no memory for a text of %zu bytes", n);
    int failed = 0;
    if (e->whole && id_of(e, text, n, NORMAL) >= 0) ends[0] = (uint32_t)n;
    else failed = bpe_join(ends, text, n, rank_of, e);
    for (size_t at = 0; at < n && !failed; at = ends[at]) {
        const int id = id_of(e, text + at, ends[at] - at, NORMAL);
        if (id >= 0) ids[(*count)++] = id;
        for (size_t i = at; id < 0 && e->pieces && i < ends[at]; i++)
            if (e->bytes[text[i]] >= 0) ids[(*count)++] = e->bytes[text[i]];
    }
    free(ends);
    return failed;
}

/* Appends the ids of a text without added tokens. */
static int encode_part(const Encoder *e, int *ids, int *count, const uint8_t *text, size_t n) {
    uint8_t *spelled = malloc(3 * n + 3);
    if (!spelled) return chat_fail("no memory for a text of %zu bytes", n);
    size_t m = e->pieces && e->v.prefix && n ? 3 : 0;
    int failed = 0;
    memcpy(spelled, SPACE, m);
    for (const uint8_t *end = text + n, *next; text < end && !failed; m = 0) {
        next = e->pieces ? end : split_end(text, end, e->v.classes, e->split);
        for (; text < next; text++) {
            const uint16_t letter = e->pieces ? *text : e->letters[*text];
            if (e->pieces && *text == ' ') { memcpy(spelled + m, SPACE, 3); m += 3; }
            else if (e->pieces || letter < 0x80) spelled[m++] = (uint8_t)letter;
            else {
                spelled[m++] = 0xc0 | letter >> 6;
                spelled[m++] = 0x80 | (letter & 0x3f);
            }
        }
        failed = join(e, ids, count, spelled, m);
    }
    free(spelled);
    return failed;
}

/* The longest added token that begins at p, or -1, and how many of n bytes it takes. */
static int added(const Encoder *e, const uint8_t *p, size_t n, size_t *size) {
    *size = 0;
    for (size_t m = 1; e->begins[*p] && m <= n && m <= e->longest; m++)
        if (chunks_find(e->added, p, m) >= 0) *size = m;
    return *size ? id_of(e, p, *size, ADDED) : -1;
}

int encoder_encode(const Encoder *e, int *ids, const uint8_t *text, size_t n) {
    const uint8_t *end = text + n, *p = text;
    size_t taken;
    int count = 0;
    if (n > INT32_MAX / 4) return chat_fail("a text of %zu bytes is too long", n);
    while (p < end) {
        const int id = added(e, p, end - p, &taken);
        if (id < 0 && ++p < end) continue;
        if (encode_part(e, ids, &count, text, p - text)) return -1;
        if (id < 0) break;
        ids[count++] = id;
        text = p += taken;
    }
    return count;
}

/* ---- Ids to text ----------------------------------------------------------------------------- */

int encoder_decode(const Encoder *e, uint8_t *out, int id) {
    size_t size;
    uint32_t code;
    int n = 0;
    const uint8_t *name = chunks_text(e->tokens, id, &size), *end = name + size;
    const int byte = e->kinds[id] == BYTE ? byte_of(name, size) : -1;
    if (byte >= 0) { out[0] = (uint8_t)byte; return 1; }
    if (e->pieces) return (int)with_blanks(out, name, size);
    const int letters = e->kinds[id] == NORMAL;
    for (int took; name < end; name += took) {
        out[n] = *name;
        took = letters ? utf8_character(name, end - name, &code) : 1;
        if (took > 0 && letters && code < 512 && e->spelled[code] >= 0) out[n] = e->spelled[code];
        else took = 1;
        n++;
    }
    return n;
}
