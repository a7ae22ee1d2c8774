/* Games on words of 64 bits: chess moves counted with make and unmake, connect-four by alpha-beta
 * with a table of positions, othello by shifts, sliding tiles by a table of rows, noughts and crosses. */
#include "../common.h"

enum { STANDARD_ROUNDS = 140, ENTRIES = 1 << 12, NOWHERE = 64 };

typedef uint64_t Bits;

static int count(Bits bits) {
    return __builtin_popcountll(bits);
}

static int lowest(Bits bits) {
    return __builtin_ctzll(bits);
}

/* Chess. Square 0 is a1, 7 is h1, 63 is h8. */
enum { PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING, NONE };
enum { QUIET, DOUBLE, PASSING, CASTLE, PROMOTION };

typedef struct {
    Bits pieces[6], side[2];
    uint8_t at[64], turn, rights, passed;
} Board;

typedef struct {
    uint8_t taken, rights, passed, moved;
} Undo;

typedef struct {
    uint16_t moves[256];
    int len;
} Moves;

static Bits rays[8][64], leaps[2][64], pawn_takes[2][64];
static uint8_t kept_rights[64];

static void fill_tables(void) {
    /* The first four directions go up the board, where the nearest blocker is the lowest bit. */
    static const int8_t ways[8][2] = {{0, 1},  {1, 1},   {1, 0},  {-1, 1},
                                      {0, -1}, {-1, -1}, {-1, 0}, {1, -1}};
    for (int square = 0; square < 64; square++) {
        for (int way = 0; way < 8; way++) {
            int dx = ways[way][0], dy = ways[way][1], x = (square & 7) + dx, y = (square >> 3) + dy;
            for (int far = 0; ((x | y) & ~7) == 0; x += dx, y += dy, far++) {
                rays[way][square] |= (Bits)1 << (y * 8 + x);
                if (far == 0)
                    leaps[1][square] |= (Bits)1 << (y * 8 + x);
                if (far == 0 && dx != 0 && dy != 0)
                    pawn_takes[dy < 0][square] |= (Bits)1 << (y * 8 + x);
            }
        }
        for (int to = 0; to < 64; to++) {
            int dx = (to & 7) - (square & 7), dy = (to >> 3) - (square >> 3);
            if (dx * dx + dy * dy == 5)
                leaps[0][square] |= (Bits)1 << to;
        }
        kept_rights[square] = 15;
    }
    kept_rights[4] = 12, kept_rights[7] = 14, kept_rights[0] = 13;
    kept_rights[60] = 3, kept_rights[63] = 11, kept_rights[56] = 7;
}

static Bits slide(int square, Bits occupied, int first) {
    Bits all = 0;
    for (int way = first; way < 4; way += 2) {
        Bits up = rays[way][square], down = rays[way + 4][square];
        if (up & occupied)
            up ^= rays[way][lowest(up & occupied)];
        if (down & occupied)
            down ^= rays[way + 4][63 - __builtin_clzll(down & occupied)];
        all |= up | down;
    }
    return all;
}

static Bits attacks(int piece, int square, Bits occupied) {
    switch (piece) {
    case KNIGHT: return leaps[0][square];
    case BISHOP: return slide(square, occupied, 1);
    case ROOK: return slide(square, occupied, 0);
    case QUEEN: return slide(square, occupied, 0) | slide(square, occupied, 1);
    default: return leaps[1][square];
    }
}

static int attacked(const Board *board, int square, int by) {
    Bits occupied = board->side[0] | board->side[1], theirs = board->side[by];
    const Bits *p = board->pieces;
    if ((pawn_takes[!by][square] & p[PAWN] & theirs) || (leaps[0][square] & p[KNIGHT] & theirs)
        || (leaps[1][square] & p[KING] & theirs))
        return 1;
    return (slide(square, occupied, 0) & (p[ROOK] | p[QUEEN]) & theirs)
           || (slide(square, occupied, 1) & (p[BISHOP] | p[QUEEN]) & theirs);
}

static void toggle(Board *board, int side, int piece, int square) {
    board->pieces[piece] ^= (Bits)1 << square, board->side[side] ^= (Bits)1 << square;
    board->at[square] = (uint8_t)(board->at[square] == NONE ? piece : NONE);
}

/* A position in the usual notation: the ranks from the eighth, the side to move, who may castle. */
static void set_up(Board *board, const char *text) {
    static const char letters[] = "pnbrqk";
    *board = (Board){.passed = NOWHERE};
    memset(board->at, NONE, sizeof board->at);
    for (int x = 0, y = 7; *text != ' '; text++) {
        if (*text == '/')
            x = 0, y--;
        else if (*text >= '1' && *text <= '8')
            x += *text - '0';
        else
            for (int piece = 0; piece < 6; piece++)
                if (letters[piece] == (*text | 32))
                    toggle(board, *text >= 'a', piece, y * 8 + x++);
    }
    board->turn = *++text == 'b';
    while (*++text)
        board->rights |= *text == 'K' ? 1 : *text == 'Q' ? 2 : *text == 'k' ? 4 : *text == 'q' ? 8 : 0;
}

static void add(Moves *list, int from, int to, int kind) {
    list->moves[list->len++] = (uint16_t)(from | to << 6 | kind << 12);
}

static void add_pawns(Moves *list, Bits targets, int delta, int kind, int passed) {
    for (; targets; targets &= targets - 1) {
        int to = lowest(targets), from = to - delta;
        if (to >= 56 || to < 8)
            for (int piece = KNIGHT; piece <= QUEEN; piece++)
                add(list, from, to, PROMOTION + piece - KNIGHT);
        else
            add(list, from, to, to == passed ? PASSING : kind);
    }
}

static void generate(const Board *board, Moves *list) {
    const Bits file_a = 0x0101010101010101, file_h = file_a << 7;
    int me = board->turn, king = lowest(board->pieces[KING] & board->side[me]), home = 56 * me;
    Bits mine = board->side[me], theirs = board->side[!me], all = mine | theirs;
    Bits pawns = board->pieces[PAWN] & mine, targets = theirs;
    if (board->passed != NOWHERE)
        targets |= (Bits)1 << board->passed;
    list->len = 0;
    Bits west = pawns & ~file_a, east = pawns & ~file_h;
    if (me == 0) {
        Bits once = pawns << 8 & ~all;
        add_pawns(list, once, 8, QUIET, NOWHERE);
        add_pawns(list, (once & (Bits)255 << 16) << 8 & ~all, 16, DOUBLE, NOWHERE);
        add_pawns(list, west << 7 & targets, 7, QUIET, board->passed);
        add_pawns(list, east << 9 & targets, 9, QUIET, board->passed);
    } else {
        Bits once = pawns >> 8 & ~all;
        add_pawns(list, once, -8, QUIET, NOWHERE);
        add_pawns(list, (once & (Bits)255 << 40) >> 8 & ~all, -16, DOUBLE, NOWHERE);
        add_pawns(list, west >> 9 & targets, -9, QUIET, board->passed);
        add_pawns(list, east >> 7 & targets, -7, QUIET, board->passed);
    }
    for (Bits from = mine & ~pawns; from; from &= from - 1)
        for (Bits to = attacks(board->at[lowest(from)], lowest(from), all) & ~mine; to; to &= to - 1)
            add(list, lowest(from), lowest(to), QUIET);
    if ((board->rights >> (2 * me) & 3) == 0 || attacked(board, king, !me))
        return; /* Where the king arrives is looked at like after any other move. */
    if ((board->rights >> (2 * me) & 1) && !(all >> home & 0x60) && !attacked(board, king + 1, !me))
        add(list, king, king + 2, CASTLE);
    if ((board->rights >> (2 * me) & 2) && !(all >> home & 0x0e) && !attacked(board, king - 1, !me))
        add(list, king, king - 2, CASTLE);
}

/* What the move does besides to the piece itself; its own inverse. */
static void move_others(Board *board, int side, int from, int to, int kind) {
    if (kind == PASSING) {
        toggle(board, !side, PAWN, to ^ 8);
    } else if (kind == CASTLE) {
        toggle(board, side, ROOK, to > from ? to + 1 : to - 2);
        toggle(board, side, ROOK, (from + to) / 2);
    }
}

/* Whether the move leaves no king in check. It is made in any case. */
static int make(Board *board, uint16_t move, Undo *undo) {
    int from = move & 63, to = move >> 6 & 63, kind = move >> 12, me = board->turn;
    *undo = (Undo){board->at[to], board->rights, board->passed, board->at[from]};
    if (undo->taken != NONE)
        toggle(board, !me, undo->taken, to);
    toggle(board, me, undo->moved, from);
    toggle(board, me, kind < PROMOTION ? undo->moved : kind - PROMOTION + KNIGHT, to);
    move_others(board, me, from, to, kind);
    board->passed = (uint8_t)(kind == DOUBLE ? (from + to) / 2 : NOWHERE);
    board->rights &= kept_rights[from] & kept_rights[to];
    board->turn = (uint8_t)!me;
    return !attacked(board, lowest(board->pieces[KING] & board->side[me]), !me);
}

static void unmake(Board *board, uint16_t move, const Undo *undo) {
    int from = move & 63, to = move >> 6 & 63, me = !board->turn;
    move_others(board, me, from, to, move >> 12);
    toggle(board, me, board->at[to], to);
    toggle(board, me, undo->moved, from);
    if (undo->taken != NONE)
        toggle(board, !me, undo->taken, to);
    board->turn = (uint8_t)me, board->rights = undo->rights, board->passed = undo->passed;
}

static uint32_t perft(Board *board, int depth) {
    Moves list;
    Undo undo;
    uint32_t nodes = 0;
    generate(board, &list);
    for (int i = 0; i < list.len; i++) {
        if (make(board, list.moves[i], &undo))
            nodes += depth > 1 ? perft(board, depth - 1) : 1;
        unmake(board, list.moves[i], &undo);
    }
    return nodes;
}

static void chess(Board *board, Random *random, Digest *digest) {
    Moves list;
    Undo undo;
    for (int tries = 0; tries < 12; tries++) {
        generate(board, &list);
        uint16_t move = list.moves[random_below(random, (uint32_t)list.len)];
        if (!make(board, move, &undo))
            unmake(board, move, &undo);
    }
    Board before = *board;
    digest_u64(digest, (uint64_t)perft(board, 2) << 32 | perft(board, 1));
    require(memcmp(&before, board, offsetof(Board, turn)) == 0, "what was made was unmade");
    digest_u64(digest, board->side[0] ^ rotl64(board->side[1], 1));
}

/* Connect-four. Columns of seven bits, the uppermost of which stays empty. */
typedef struct {
    Bits key;
    int8_t low, high;
} Entry;

static const Bits board_full = 0xfdfbf7efdfbf, middle = (Bits)63 << 21;
static Entry entries[ENTRIES];
static uint32_t searched;

static int four(Bits stones) {
    for (int step = 1; step <= 8; step += step == 1 ? 5 : 1) {
        Bits pairs = stones & stones >> step;
        if (pairs & pairs >> 2 * step)
            return 1;
    }
    return 0;
}

static int search(Bits own, Bits mask, int alpha, int beta, int depth, int with_table) {
    searched++;
    if (depth == 0 || mask == board_full)
        return count(own & middle) - count((mask ^ own) & middle);
    Bits key = (own + mask) | (Bits)depth << 56;
    Entry *entry = &entries[mix64(key) & (ENTRIES - 1)];
    int low = -100, high = 100, best = -100;
    if (with_table && entry->key == key) {
        low = entry->low, high = entry->high;
        if (low >= beta || low == high)
            return low;
        if (high <= alpha)
            return high;
        alpha = low > alpha ? low : alpha, beta = high < beta ? high : beta;
    }
    int most = alpha;
    for (int i = 0; i < 7 && best < beta; i++) {
        int column = 3 + (i & 1 ? -(i + 1) / 2 : i / 2); /* From the middle outwards. */
        Bits move = (mask + ((Bits)1 << 7 * column)) & (Bits)63 << 7 * column;
        if (move == 0)
            continue;
        int value = four(own | move) ? 20 + depth
                                     : -search(mask ^ own, mask | move, -beta, -most, depth - 1, with_table);
        best = value > best ? value : best, most = value > most ? value : most;
    }
    if (with_table)
        *entry = (Entry){key, (int8_t)(best > alpha ? best : low), (int8_t)(best < beta ? best : high)};
    return best;
}

static void connect(Random *random, Digest *digest) {
    Bits own = 0, mask = 0;
    for (int stones = 0; stones < 14;) {
        uint32_t column = random_below(random, 7);
        Bits move = (mask + ((Bits)1 << 7 * column)) & (Bits)63 << 7 * column;
        if (move == 0 || four(own | move))
            stones++;
        else
            own ^= mask, mask |= move, stones++; /* What was not the mover's is the next one's. */
    }
    searched = 0;
    int value = search(own, mask, -100, 100, 6, 1), near = search(own, mask, -100, 100, 3, 1);
    require(near == search(own, mask, -100, 100, 3, 0), "the table changes no value");
    digest_u64(digest, (uint64_t)searched << 16 | (uint8_t)value << 8 | (uint8_t)near);
}

/* Othello: all stones of a side move at once, one direction after the other. */
static const struct {
    int8_t step;
    Bits mask; /* Where one can arrive without going around an edge. */
} ways[8] = {{1, 0xfefefefefefefefe},  {7, 0x7f7f7f7f7f7f7f00},  {8, ~(Bits)0},  {9, 0xfefefefefefefefe},
             {-1, 0x7f7f7f7f7f7f7f7f}, {-7, 0x00fefefefefefefe}, {-8, ~(Bits)0}, {-9, 0x7f7f7f7f7f7f7f7f}};

static Bits shifted(Bits bits, int way) {
    int step = ways[way].step;
    return (step > 0 ? bits << step : bits >> -step) & ways[way].mask;
}

static Bits run(Bits from, Bits through, int way) {
    Bits line = shifted(from, way) & through;
    for (int i = 0; i < 5; i++)
        line |= shifted(line, way) & through;
    return line;
}

static Bits placements(Bits own, Bits other) {
    Bits moves = 0;
    for (int way = 0; way < 8; way++)
        moves |= shifted(run(own, other, way), way);
    return moves & ~(own | other);
}

static Bits flips(Bits own, Bits other, Bits move) {
    Bits flipped = 0;
    for (int way = 0; way < 8; way++) {
        Bits line = run(move, other, way);
        if (shifted(line, way) & own)
            flipped |= line;
    }
    return flipped;
}

/* One side plays at random, the other so that the next move is between as few as possible. */
static void othello(Random *random, Digest *digest) {
    Bits sides[2] = {0x0000000810000000, 0x0000001008000000};
    int placed = 4;
    for (int turn = 0, passes = 0; passes < 2; turn ^= 1) {
        Bits own = sides[turn], other = sides[!turn], moves = placements(own, other), best = 0;
        int least = 100, skip = moves && turn ? (int)random_below(random, (uint32_t)count(moves)) : 0;
        passes = moves ? 0 : passes + 1;
        for (; moves; moves &= moves - 1) {
            Bits move = moves & -moves, flipped = flips(own, other, move);
            int choices = turn ? skip-- != 0 : count(placements(other ^ flipped, own | flipped | move));
            require(flipped != 0, "a move turns something");
            if (choices < least)
                least = choices, best = move;
        }
        if (best != 0) {
            Bits flipped = flips(own, other, best);
            sides[turn] |= best | flipped, sides[!turn] ^= flipped, placed++;
        }
    }
    require((sides[0] & sides[1]) == 0 && count(sides[0] | sides[1]) == placed, "stones");
    digest_u64(digest, sides[0]), digest_u64(digest, sides[1]);
}

/* Sliding tiles: a row is 16 bits, the position 64; a tile holds the exponent of its number. */
static uint16_t slid[1 << 16], gains[1 << 16];

static void fill_rows(void) {
    for (uint32_t row = 0; row < 1 << 16; row++) {
        uint32_t out = 0, gain = 0, last = 0, len = 0;
        for (int i = 0; i < 4; i++) {
            uint32_t tile = row >> 4 * i & 15;
            if (tile == 0)
                continue;
            if (tile == last && tile < 15)
                out += (uint32_t)1 << 4 * (len - 1), gain += tile + 1, last = 0;
            else
                out |= tile << 4 * len++, last = tile;
        }
        slid[row] = (uint16_t)out, gains[row] = (uint16_t)gain;
    }
}

static Bits mirrored(Bits tiles) {
    tiles = (tiles & 0x0f0f0f0f0f0f0f0f) << 4 | (tiles >> 4 & 0x0f0f0f0f0f0f0f0f);
    return (tiles & 0x00ff00ff00ff00ff) << 8 | (tiles >> 8 & 0x00ff00ff00ff00ff);
}

static Bits transposed(Bits tiles) {
    Bits swap = (tiles ^ tiles >> 12) & 0x0000f0f00000f0f0;
    tiles ^= swap ^ swap << 12;
    swap = (tiles ^ tiles >> 24) & 0x00000000ff00ff00;
    return tiles ^ swap ^ swap << 24;
}

static int free_tiles(Bits tiles) {
    tiles |= tiles >> 2, tiles |= tiles >> 1;
    return count(~tiles & 0x1111111111111111);
}

static void tiles_game(Random *random, Digest *digest) {
    Bits tiles = 0;
    uint32_t total = 0, sum = 0;
    for (int moves = 0; moves < 150; moves++) {
        int skip = (int)random_below(random, (uint32_t)free_tiles(tiles)), at = 0;
        uint32_t tile = 1 + (random_below(random, 10) == 0);
        for (; (tiles >> at & 15) != 0 || skip-- > 0; at += 4)
            ;
        tiles |= (Bits)tile << at, total += (uint32_t)1 << tile;
        Bits best = tiles;
        int most = -1;
        for (int way = 0; way < 4; way++) {
            Bits turned = way & 2 ? transposed(tiles) : tiles, out = 0;
            int value = 0;
            turned = way & 1 ? mirrored(turned) : turned;
            for (int row = 0; row < 64; row += 16) {
                uint32_t line = turned >> row & 0xffff;
                out |= (Bits)slid[line] << row, value += gains[line];
            }
            value += 4 * free_tiles(out);
            if (out == turned || value <= most)
                continue;
            out = way & 1 ? mirrored(out) : out;
            best = way & 2 ? transposed(out) : out, most = value;
        }
        if (most < 0)
            break;
        tiles = best;
    }
    for (Bits rest = tiles; rest; rest >>= 4)
        sum += rest & 15 ? (uint32_t)1 << (rest & 15) : 0;
    require(sum == total, "numbers are neither lost nor made");
    digest_u64(digest, tiles);
}

/* Noughts and crosses to the end, on nine bits a side. */
static int crosses(uint32_t own, uint32_t other, uint32_t *nodes) {
    static const uint16_t lines[8] = {0007, 0070, 0700, 0111, 0222, 0444, 0421, 0124};
    ++*nodes;
    for (int i = 0; i < 8; i++)
        if ((other & lines[i]) == lines[i])
            return -1;
    int best = -2;
    for (uint32_t rest = 0777 & ~(own | other); rest; rest &= rest - 1) {
        int value = -crosses(other, own | (rest & -rest), nodes);
        best = value > best ? value : best;
    }
    return best == -2 ? 0 : best;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    static const char *const starts[3] = {
        "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq",
        "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq",
        "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w -"};
    static const uint32_t known[3] = {8902, 2039, 2812};
    Random random = {64};
    Digest digest = {0};
    Board board;
    fill_tables(), fill_rows();
    for (int i = 0; i < 3; i++) {
        set_up(&board, starts[i]);
        require(perft(&board, i == 1 ? 2 : 3) == known[i], "moves counted as others counted them");
    }
    for (uint32_t round = 0; round < rounds; round++) {
        set_up(&board, starts[round % 3]);
        for (int i = 0; i < 3; i++)
            chess(&board, &random, &digest);
        connect(&random, &digest);
        othello(&random, &digest);
        tiles_game(&random, &digest);
        uint32_t nodes = 0, cross = 1u << random_below(&random, 9), nought = cross == 16 ? 1 : 16;
        int value = crosses(cross | 2 << (round & 1), nought | 64, &nodes);
        value += crosses(1 | 8, 16 | 64, &nodes);
        digest_u64(&digest, (uint64_t)nodes << 8 | (uint8_t)value);
    }
    return digest_print(&digest);
}
