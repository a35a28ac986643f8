/* page.c: a web page as blocks of text and the elements around them: for crawl/extract.py. Reads
   the page once, as a browser's tokenizer does (html.spec.whatwg.org, 13.2.5); of a tree it makes
   what tells which blocks belong together. */
#define _GNU_SOURCE                  /* for memmem */
#include <string.h>
#include <strings.h>
#include "shared.h"
#include "text.h"

enum { DEEPEST = 512, LONGEST_WORD = 32 };
typedef unsigned char Byte;

typedef struct {
    const Byte *at, *end;            /* what is left of the page */
    const char *tags, *words;        /* (n,16) each, sorted; a tag's last byte is its kind */
    int n_tags, n_words, most;
    Byte *text, *first, *begin;      /* where the next character goes; of all text, of this block */
    int (*blocks)[BLOCK_FIELDS], *block, (*elements)[ELEMENT_FIELDS];
    int n_blocks, n_elements;
    int open[DEEPEST], depth;        /* elements */
    int link, bold, item, images;    /* whether the text is in one; images since the last block */
    int gap, line, stop;             /* a blank or a new line comes before the next character; the
                                        last one ended a sentence */
    int skipped, skips;              /* no text is read till so many such tags are closed */
    Byte unclosed[256];              /* tags that have no end in the rest of the page */
} Page;

typedef struct {
    int index, kind, closes, leads;  /* leads: a link, and not only the name of a place */
    const Byte *name;
    size_t length;
    int element[ELEMENT_FIELDS];
} Tag;

/* ---- Text ------------------------------------------------------------------------------------ */

static int is_blank(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static int is_letter(int c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static int is_digit(int c) { return c >= '0' && c <= '9'; }
static int is_upper(int c) { return c >= 'A' && c <= 'Z'; }
static int begins(const Byte *s, const Byte *end, const char *what) {
    size_t n = strlen(what);
    return (size_t)(end - s) >= n && memcmp(s, what, n) == 0;
}

/* The bytes of the character, or of the entity, at s. */
static int width(const Byte *s, const Byte *end) {
    int n = *s < 0x80 ? 1 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
    if (*s == '&') {
        while (s + n < end && n < 32 && (is_letter(s[n]) || is_digit(s[n]) || s[n] == '#')) n++;
        return s + n < end && s[n] == ';' ? n + 1 : 1;
    }
    return n <= end - s ? n : (int)(end - s);
}

/* What a character of n bytes says of its block. */
static void count(Page *p, const Byte *s, const Byte *end, int n) {
    int *block = p->block, c = *s;
    int wide_stop = n == 3 && (begins(s, end, "\u3002") || begins(s, end, "\uff01") ||
                               begins(s, end, "\uff1f") || begins(s, end, "\u0964"));
    if (!block[BLOCK_CHARS]++) block[BLOCK_LOWER] = c >= 'a' && c <= 'z';
    block[BLOCK_LINKED] += p->link;
    block[BLOCK_BOLD] += p->bold;
    block[BLOCK_DIGITS] += is_digit(c);
    block[BLOCK_UPPER] += is_upper(c) || (n == 2 && c == 0xc3 && s[1] < 0x9f);
    block[BLOCK_COMMAS] += c == ',' || (n == 2 && begins(s, end, "\u060c")) ||
        (n == 3 && (begins(s, end, "\u3001") || begins(s, end, "\uff0c")));
    block[BLOCK_BARS] += c == '|' || c == '/' ||
        (n == 2 && (begins(s, end, "\u00bb") || begins(s, end, "\u00b7"))) ||
        (c == '&' && begins(s, end, "&raquo;"));
    block[BLOCK_RIGHTS] |= (n == 2 && begins(s, end, "\u00a9")) ||
        (c == '&' && begins(s, end, "&copy;"));
    block[BLOCK_STOPS] += wide_stop;
    if (wide_stop || c == '.' || c == '!' || c == '?' || (n == 3 && begins(s, end, "\u2026")) ||
        (n == 2 && begins(s, end, "\u061f")))
        p->stop = 1 + wide_stop;
    else if (c != '"' && c != '\'' && c != ')' && c != ']' && !(n == 2 && begins(s, end, "\u00bb"))
             && !(n == 3 && (begins(s, end, "\u2019") || begins(s, end, "\u201d")))
             && !(n > 4 && (begins(s, end, "&quot;") || begins(s, end, "&rsquo;") ||
                            begins(s, end, "&rdquo;") || begins(s, end, "&raquo;"))))
        p->stop = 0;
}

/* Appends a piece of the page's text, each run of blanks as one, but for what is in a <pre>. */
static void add_text(Page *p, const Byte *s, const Byte *end, int pre) {
    for (int n; s < end && !p->skips; s += n) {
        n = width(s, end);
        if (pre && is_blank(*s)) {
            *p->text++ = *s;
            p->block[BLOCK_LINES] += *s == '\n';
            continue;
        }
        if (is_blank(*s) || (n == 2 && begins(s, end, "\u00a0")) ||
            (n == 6 && (begins(s, end, "&nbsp;") || begins(s, end, "&#160;")))) {
            p->gap = 1;
            continue;
        }
        if (p->text > p->begin && (p->gap || p->line)) {
            *p->text++ = p->line ? '\n' : ' ';
            p->block[BLOCK_CHARS]++;
            p->block[BLOCK_LINKED] += p->link;
            p->block[BLOCK_BOLD] += p->bold;
            p->block[BLOCK_WORDS]++;
            p->block[BLOCK_LINES] += p->line;
            p->block[BLOCK_STOPS] += p->stop == 1;
        }
        p->gap = p->line = 0;
        count(p, s, end, n);
        memcpy(p->text, s, (size_t)n);
        p->text += n;
    }
}

/* Ends the block, if there is one. */
static void end_block(Page *p) {
    p->gap = p->line = 0;
    if (p->block[BLOCK_CHARS] && p->n_blocks < p->most) {
        p->block[BLOCK_ENDS] = p->stop != 0;
        p->block[BLOCK_STOPS] += p->stop == 1;
        p->block[BLOCK_WORDS]++;
        p->block[BLOCK_COLON] = p->text[-1] == ':';
        p->block[BLOCK_ELEMENT] = p->open[p->depth - 1];
        p->block[BLOCK_ITEM] = p->item;
        p->block[BLOCK_IMAGES] = p->images;
        p->block[BLOCK_END] = (int)(p->text - p->first);
        p->begin = p->text;
        p->item = p->images = 0;
        if (++p->n_blocks < p->most) p->block += BLOCK_FIELDS;
    } else {
        p->text = p->begin;
    }
    memset(p->block, 0, p->n_blocks < p->most ? sizeof *p->blocks : 0);
    p->stop = 0;
}

/* ---- Tags ------------------------------------------------------------------------------------ */

/* Which of n sorted names of 16 bytes, of which `size` count, this one is; -1. */
static int look_up(const char *names, int n, size_t size, const char *name) {
    for (int low = 0, high = n; low < high;) {
        int middle = (low + high) / 2, order = memcmp(name, names + (size_t)16 * middle, size);
        if (order == 0) return middle;
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return -1;
}

/* Marks a word of a class or id, in small letters, or its plural, and adds it to the signature. */
static void mark_word(const Page *p, int *element, const char *word, size_t n) {
    static const char *const suffixes[] = {"", "s", "d", "es", "ed"};
    uint32_t hash = (uint32_t)element[ELEMENT_SIGNATURE];
    for (size_t i = 0; i < n; i++) hash = (hash ^ (Byte)word[i]) * 16777619u;
    element[ELEMENT_SIGNATURE] = (int)((hash ^ ' ') * 16777619u);
    for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++) {
        size_t cut = strlen(suffixes[k]);
        char name[16] = {0};
        if (n <= cut || n - cut > 15 || memcmp(word + n - cut, suffixes[k], cut)) continue;
        memcpy(name, word, n - cut);
        int i = look_up(p->words, p->n_words, 16, name);
        if (i < 0) continue;
        element[ELEMENT_WORDS + i / 32] |= (int)(1u << i % 32);
        return;
    }
}

/* The words of an attribute: of letters, and a capital after a small one begins another. */
static void mark_words(const Page *p, int *element, const Byte *s, const Byte *end) {
    char word[LONGEST_WORD];
    size_t n = 0;
    for (; s <= end; s++) {
        int letter = s < end && is_letter(*s);
        if (n && (!letter || (is_upper(*s) && !is_upper(s[-1])))) {
            mark_word(p, element, word, n);
            n = 0;
        }
        if (letter && n < sizeof word) word[n++] = (char)(*s | 32);
    }
}

static int is_name(const Byte *s, const Byte *end, const char *name) {
    return (size_t)(end - s) == strlen(name) && !strncasecmp((const char *)s, name, strlen(name));
}

/* Whether a class is of what is shown another time, a formula, or of the numbers of lines. */
static int is_class_skipped(const Byte *s, const Byte *end) {
    static const char *const classes[] = {"katex-html", "lineno", "line-num", "linenum"};
    for (size_t k = 0; k < sizeof classes / sizeof *classes; k++) {
        const Byte *found = memmem(s, (size_t)(end - s), classes[k], strlen(classes[k]));
        if (found && (found == s || !is_letter(found[-1]))) return 1;    /* none of "outline-num" */
    }
    return 0;
}

static void read_attribute(const Page *p, Tag *tag, const Byte *name, const Byte *name_end,
                           const Byte *s, const Byte *end) {
    if (tag->kind == TAG_LINK) {
        tag->leads |= is_name(name, name_end, "href");
    } else if (tag->kind == TAG_SPAN) {
        if (is_name(name, name_end, "class") && is_class_skipped(s, end)) tag->kind = TAG_SKIPPED;
    } else if (is_name(name, name_end, "class") || is_name(name, name_end, "id") ||
               is_name(name, name_end, "role") || is_name(name, name_end, "itemprop")) {
        mark_words(p, tag->element, s, end);
    } else if (is_name(name, name_end, "hidden") ||
               (is_name(name, name_end, "style") &&
                (memmem(s, (size_t)(end - s), "display:none", 12) ||
                 memmem(s, (size_t)(end - s), "display: none", 13)))) {
        tag->element[ELEMENT_HIDDEN] = 1;
    }
}

/* Reads the attributes of a tag, and goes behind it. */
static void read_attributes(Page *p, Tag *tag) {
    const Byte *s = p->at, *end = p->end;
    int read = !tag->closes && (tag->kind == TAG_SPAN || tag->kind == TAG_LINK ||
                                tag->kind >= TAG_BLOCK);
    while (s < end && *s != '>') {
        if (is_blank(*s) || *s == '/') {
            s++;
            continue;
        }
        const Byte *name = s++;
        while (s < end && *s != '>' && *s != '/' && *s != '=' && !is_blank(*s)) s++;
        const Byte *name_end = s, *value = s, *value_end = s;
        while (s < end && is_blank(*s)) s++;
        if (s < end && *s == '=') {
            for (s++; s < end && is_blank(*s);) s++;
            int quote = s < end && (*s == '"' || *s == '\'') ? *s++ : 0;
            value = s;
            if (quote) {
                s = memchr(s, quote, (size_t)(end - s));
                if (!s) s = end;
            } else {
                while (s < end && *s != '>' && !is_blank(*s)) s++;
            }
            value_end = s;
            s += quote && s < end;
        }
        if (read) read_attribute(p, tag, name, name_end, value, value_end);
    }
    p->at = s + (s < end);
}

/* Goes to the end tag of what is not shown, or returns 0. */
static int skip_to_end(Page *p, const Tag *tag) {
    for (const Byte *s = p->at; (s = memchr(s, '<', (size_t)(p->end - s))); s++) {
        const Byte *after = s + 2 + tag->length;
        if (after <= p->end && s[1] == '/' &&
            !strncasecmp((const char *)s + 2, (const char *)tag->name, tag->length) &&
            (after == p->end || !(is_letter(*after) || is_digit(*after) || *after == '-'))) {
            p->at = s;
            return 1;
        }
    }
    return 0;
}

/* ---- Elements -------------------------------------------------------------------------------- */

static int kind_of(const Page *p, int element) {
    return p->tags[16 * p->elements[element][ELEMENT_TAG] + 15];
}

static int in_pre(const Page *p) {
    for (int k = p->depth - 1; k > 0; k--)
        if (kind_of(p, p->open[k]) == TAG_PRE) return 1;
    return 0;
}

/* Closes the innermost open element of this tag or, for -1, of this kind, unless one of `limits` (a
   bit a kind) comes first. */
static void close(Page *p, int tag, int kind, unsigned limits) {
    for (int k = p->depth - 1; k > 0; k--) {
        int other = kind_of(p, p->open[k]);
        if (tag < 0 ? other == kind : p->elements[p->open[k]][ELEMENT_TAG] == tag) {
            p->depth = k;
            return;
        }
        if (limits >> other & 1) return;
    }
}

/* Closes what the beginning of such an element ends. */
static void close_implied(Page *p, int kind) {
    enum { TABLE = 1 << TAG_TABLE, CELL = 1 << TAG_CELL, LIST = 1 << TAG_LIST };
    int top = kind_of(p, p->open[p->depth - 1]);
    if (p->depth > 1 && (top == TAG_PARAGRAPH || (top == TAG_HEADING && kind == TAG_HEADING)))
        p->depth--;
    if (kind == TAG_ITEM || kind == TAG_TERM) close(p, -1, kind, TABLE | CELL | LIST);
    if (kind == TAG_CELL) close(p, -1, kind, TABLE | 1 << TAG_ROW);
    if (kind == TAG_ROW || kind == TAG_SECTION) close(p, -1, kind, TABLE);
}

static void open_element(Page *p, const Tag *tag) {
    close_implied(p, tag->kind);
    if (p->n_elements == p->most) return;
    int parent = p->open[p->depth - 1], *element = p->elements[p->n_elements];
    memcpy(element, tag->element, sizeof tag->element);
    element[ELEMENT_TAG] = tag->index;
    element[ELEMENT_LAST] = p->n_elements;
    element[ELEMENT_PARENT] = parent;
    element[ELEMENT_HIDDEN] |= p->elements[parent][ELEMENT_HIDDEN];
    element[ELEMENT_DEPTH] = p->elements[parent][ELEMENT_DEPTH] + 1;
    if (p->depth < DEEPEST) p->open[p->depth++] = p->n_elements;
    p->n_elements++;
}

/* A tag that begins or ends a block. */
static void read_block_tag(Page *p, const Tag *tag) {
    const int *block = p->block;
    int row = tag->kind == TAG_CELL && block[BLOCK_CHARS] < CELL_CHARS &&
        2 * block[BLOCK_LINKED] <= block[BLOCK_CHARS];
    if (row) p->gap = 1;
    else end_block(p);
    p->link = p->bold = p->skips = 0;
    if (tag->closes) {
        int in_table = tag->kind == TAG_CELL || tag->kind == TAG_ROW || tag->kind == TAG_SECTION;
        close(p, tag->index, 0, tag->kind == TAG_TABLE ? 0 :
              in_table ? 1u << TAG_TABLE : 1u << TAG_TABLE | 1u << TAG_CELL);
    } else {
        open_element(p, tag);
    }
    if (tag->kind == TAG_ITEM || tag->kind == TAG_TERM) p->item = !tag->closes;
}

/* A tag within a block, or of what is not shown. */
static void read_inline_tag(Page *p, const Tag *tag) {
    static const Byte new_line[] = "\n";
    if (p->skips && tag->index == p->skipped && tag->kind != TAG_SKIPPED)
        p->skips += tag->closes ? -1 : 1;
    switch (tag->kind) {
    case TAG_LINK:
        p->link = tag->leads;
        p->block[BLOCK_LINKS] += p->link;
        break;
    case TAG_BOLD: p->bold = !tag->closes; break;
    case TAG_IMAGE: p->images++; break;
    case TAG_RUBY: p->skips = 0; break;
    case TAG_SKIPPED:
        p->skipped = tag->index;
        p->skips = !tag->closes;
        break;
    case TAG_BREAK:
        if (in_pre(p)) add_text(p, new_line, new_line + 1, 1);
        else if (p->line) end_block(p);          /* two end a paragraph */
        else p->line = p->text > p->begin;
        break;
    case TAG_RAW: case TAG_HIDDEN:
        if (tag->closes || p->unclosed[tag->index]) break;
        if (!skip_to_end(p, tag)) {
            p->unclosed[tag->index] = 1;
            if (tag->kind == TAG_RAW) p->at = p->end;
        }
    }
}

/* Reads a tag, comment or declaration at "<"; returns 0 if it is none. */
static int read_tag(Page *p) {
    const Byte *s = p->at + 1, *end = p->end;
    Tag tag = {.index = -1, .kind = TAG_OTHER};
    if (begins(s, end, "!--")) {
        const Byte *found = memmem(s + 1, (size_t)(end - s - 1), "-->", 3);
        p->at = found ? found + 3 : end;
        return 1;
    }
    tag.closes = s < end && *s == '/';
    s += tag.closes;
    if (s == end || !is_letter(*s)) {
        if (s == end || !(tag.closes || *s == '!' || *s == '?')) return 0;
        const Byte *found = memchr(s, '>', (size_t)(end - s));
        p->at = found ? found + 1 : end;
        return 1;
    }
    char name[16] = {0};
    for (tag.name = s; s < end && *s != '>' && *s != '/' && !is_blank(*s); s++) {
        if (tag.length < 15) name[tag.length] = is_letter(*s) ? (char)(*s | 32) : (char)*s;
        tag.length++;
    }
    p->at = s;
    if (tag.length <= 15) tag.index = look_up(p->tags, p->n_tags, 15, name);
    if (tag.index >= 0) tag.kind = p->tags[16 * tag.index + 15];
    tag.element[ELEMENT_SIGNATURE] = tag.index;
    read_attributes(p, &tag);
    if (tag.kind >= TAG_BLOCK) read_block_tag(p, &tag);
    else read_inline_tag(p, &tag);
    return 1;
}

void page_blocks(int *counts, uint8_t *text, int *blocks, int *elements,
                 const uint8_t *html, size_t n, const char *tags, int n_tags,
                 const char *words, int n_words, int most) {
    Page page = {.at = html, .end = html + n, .tags = tags, .n_tags = n_tags, .words = words,
                 .n_words = n_words, .most = most, .text = text, .first = text, .begin = text,
                 .blocks = (int (*)[BLOCK_FIELDS])blocks, .block = blocks,
                 .elements = (int (*)[ELEMENT_FIELDS])elements, .n_elements = 1, .depth = 1};
    memset(elements, 0, sizeof *page.elements);              /* the root */
    memset(blocks, 0, sizeof *page.blocks);
    while (page.at < page.end && page.n_blocks < most) {
        const Byte *s = memchr(page.at + 1, '<', (size_t)(page.end - page.at - 1));
        if (*page.at == '<' && read_tag(&page)) continue;
        if (!s) s = page.end;
        add_text(&page, page.at, s, in_pre(&page));
        page.at = s;
    }
    if (page.n_blocks < most) end_block(&page);
    for (int i = page.n_elements - 1; i > 0; i--) {
        int *last = &page.elements[page.elements[i][ELEMENT_PARENT]][ELEMENT_LAST];
        if (*last < page.elements[i][ELEMENT_LAST]) *last = page.elements[i][ELEMENT_LAST];
    }
    counts[0] = page.n_blocks;
    counts[1] = page.n_elements;
}

/* ---- Trees ----------------------------------------------------------------------------------- */

void sum_trees(double *sums, const float *x, const double *trees,
               size_t n, int columns, int n_trees, int depth) {
    int nodes = (1 << depth) - 1;
    for (size_t i = 0; i < n; i++, x += columns) {
        const double *tree = trees;
        double sum = 0;
        for (int t = 0; t < n_trees; t++, tree += 3 * nodes + 1) {
            int node = 0;
            while (node < nodes)
                node = 2 * node + 1 + ((double)x[(int)tree[node]] > tree[nodes + node]);
            sum += tree[nodes + node];
        }
        sums[i] = sum;
    }
}
