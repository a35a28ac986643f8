/* game.c: Connect Four on boards of up to 56 cells: rules, playouts by chance, and a solver.

   A set of cells is 64 bits: column x, row y is bit x * (rows + 1) + y. The bit above each column
   is never set, so that no line goes over an edge (John Tromp's Fhourstones). */

#include "shared.h"
#include "text.h"

typedef struct {
    uint64_t mine, all;              /* cells of the player whose turn it is, and of both */
    int n, columns, rows, line;      /* moves so far */
} Board;

static int cells(const Board *b) { return b->columns * b->rows; }

/* The cell into which a stone falls: 0 where the column is full, or there is none. */
static uint64_t cell(const Board *b, int column) {
    if (column < 0 || column >= b->columns)
        return 0;
    const uint64_t bottom = 1ull << column * (b->rows + 1);
    const uint64_t full = (bottom << b->rows) - bottom;
    return (b->all + bottom) & full;
}

static int has_line(const Board *b, uint64_t stones) {
    const int steps[] = {1, b->rows, b->rows + 1, b->rows + 2};
    for (int i = 0; i < 4; i++) {
        uint64_t begun = stones;
        for (int k = 1; k < b->line; k++)
            begun &= stones >> k * steps[i];
        if (begun)
            return 1;
    }
    return 0;
}

/* Puts a stone; returns whether that wins. The turn is the other player's then. */
static int put(Board *b, uint64_t stone) {
    const uint64_t mine = b->mine | stone, theirs = b->mine ^ b->all;
    b->all |= stone;
    b->mine = theirs;
    b->n++;
    return has_line(b, mine);
}

/* The board after some moves, and how the game stands. */
static int replay(Board *b, const Rules *rules, const uint8_t *moves, int n) {
    *b = (Board){0, 0, 0, rules->columns, rules->rows, rules->line};
    int result = GAME_OPEN;
    for (int i = 0; i < n; i++) {
        const uint64_t stone = cell(b, moves[i]);
        if (!stone || result != GAME_OPEN)
            return GAME_ILLEGAL;
        result = put(b, stone) ? GAME_WON : b->n == cells(b) ? GAME_DRAWN : GAME_OPEN;
    }
    return result;
}

/* The same for functions that go on from there: fails where the game is over. */
static int open_board(Board *b, const Rules *rules, const uint8_t *moves, int n) {
    const int size = rules->columns * (rules->rows + 1);
    if (rules->columns < 1 || rules->rows < 1 || rules->line < 2 || size > 56)
        return chat_fail("a board of %d columns and %d rows with lines of %d is none: at most 56 "
                         "cells, with one more row", rules->columns, rules->rows, rules->line);
    if (replay(b, rules, moves, n) != GAME_OPEN)
        return chat_fail("after these %d moves the game is over, or one of them was illegal", n);
    return 0;
}

int game_result(const Rules *rules, const uint8_t *moves, int n) {
    Board b;
    return replay(&b, rules, moves, n);
}

/* ---- Playouts -------------------------------------------------------------------------------- */

/* A number below n, by chance. */
static int below(uint64_t *state, int n) {
    *state += 0x9e3779b97f4a7c15u;
    return (int)((mix(*state) >> 32) * (uint64_t)n >> 32);
}

static uint64_t any_cell(const Board *b, uint64_t *state) {
    for (;;) {                                   /* some column has room */
        const uint64_t stone = cell(b, below(state, b->columns));
        if (stone)
            return stone;
    }
}

/* What a game by chance is worth to the player whose turn it is: 2 if won, 1 if it is drawn, or is
   not over after `depth` moves. */
static int playout(Board b, int depth, uint64_t *state) {
    const int turn = b.n & 1, end = depth < cells(&b) - b.n ? b.n + depth : cells(&b);
    while (b.n < end)
        if (put(&b, any_cell(&b, state)))
            return (b.n & 1) == turn ? 0 : 2;
    return 1;
}

static int choose(const Board *b, int playouts, int depth, uint64_t *state) {
    int best = -1, most = -1, ties = 0;
    for (int column = 0; column < b->columns; column++) {
        const uint64_t stone = cell(b, column);
        if (!stone)
            continue;
        Board next = *b;
        const int won = put(&next, stone);
        int sum = 0;
        for (int i = 0; i < playouts; i++)
            sum += won ? 2 : 2 - playout(next, depth, state);
        ties = sum > most ? 1 : ties + (sum == most);
        if (sum > most || (sum == most && !below(state, ties)))
            best = column;
        most = sum > most ? sum : most;
    }
    return best;
}

int game_play(uint8_t *moves, const Rules *rules, int n, int most, int playouts, int depth,
              uint64_t seed) {
    Board b;
    if (open_board(&b, rules, moves, n))
        return -1;
    for (int over = 0; !over && b.n < most && b.n < cells(&b);) {
        const int column = choose(&b, playouts, depth, &seed);
        moves[b.n] = (uint8_t)column;
        over = put(&b, cell(&b, column));
    }
    return b.n;
}

/* ---- The solver ------------------------------------------------------------------------------ */

enum { EXACT, AT_LEAST, AT_MOST };

typedef struct { uint64_t *at; uint64_t entries; } Table;

/* The score of a position, by alpha-beta with a table of positions: the cells that are empty when
   the player whose turn it is has won, and one more, halved; negative if he loses, 0: a draw. An
   entry is mine + all + the bottom row, which no other position has, a score and what it says. */
static int score(Board b, int low, int high, Table *table) {
    const int left = cells(&b) - b.n;
    if (!left)
        return 0;
    for (int column = 0; column < b.columns; column++) {
        const uint64_t stone = cell(&b, column);
        if (stone && has_line(&b, b.mine | stone))
            return (left + 1) / 2;
    }
    const uint64_t key = b.mine + b.all;
    uint64_t *entry = table->at + mix(key) % table->entries;
    if (*entry >> 8 == key + 1) {
        const int found = (int)(*entry >> 2 & 63) - 32, kind = *entry & 3;
        if (kind == EXACT || (kind == AT_LEAST && found >= high) ||
            (kind == AT_MOST && found <= low))
            return found;
    }
    int best = -(left / 2), floor = low;         /* he loses with the next move at the earliest */
    for (int i = 0; i < b.columns && best < high; i++) {
        const int column = b.columns / 2 + (i & 1 ? -(i + 1) / 2 : i / 2);   /* from the middle */
        const uint64_t stone = cell(&b, column);
        if (!stone)
            continue;
        Board next = b;
        put(&next, stone);
        const int value = -score(next, -high, -floor, table);
        best = value > best ? value : best;
        floor = best > floor ? best : floor;
    }
    const int kind = best >= high ? AT_LEAST : best <= low ? AT_MOST : EXACT;
    *entry = (key + 1) << 8 | (uint64_t)(best + 32) << 2 | (uint64_t)kind;
    return best;
}

int game_solve(int *scores, const Rules *rules, const uint8_t *moves, int n,
               uint64_t *table, size_t entries) {
    Board b;
    if (open_board(&b, rules, moves, n))
        return -1;
    for (int column = 0; column < b.columns; column++) {
        const uint64_t stone = cell(&b, column);
        Board next = b;
        scores[column] = !stone ? GAME_FULL : put(&next, stone) ? (cells(&b) - n + 1) / 2 :
            -score(next, GAME_FULL, -GAME_FULL, &(Table){table, entries});
    }
    return 0;
}
