/* Two emulators of invented machines: one of 8 bits, with flags, addressing modes, a stack and a
 * memory map, and one of sixteen 32-bit registers with instructions of one width. State as bytes
 * and words behind a pointer, nested switches, masks and shifts. */
#include "../common.h"

enum { STANDARD_ROUNDS = 150, SUMMED = 200, SORTED = 32, PAIRS = 16, NOISE = 4000, WORDS = 56 };

enum { ZERO = 1, CARRY = 2, NEGATIVE = 4, OVERFLOW = 8 };
/* The high four bits of an opcode; then one bit for the register, three for the mode. */
enum { LD, ST, ADD, ADC, SUB, SBC, CMP, AND, OR, XOR, UNARY, BRANCH, STACK, WORD, FLOW, FLAGS };
enum { OTHER, IMMEDIATE, PAGE, ABSOLUTE, AT_X, AT_X_NEXT, AT_Y_NEXT, NEAR_Y };
enum { INC, DEC, SHL, SHR, ROL, ROR, NEG, NOT };
enum { SET_X, SET_Y, INC_X, DEC_X, INC_Y, DEC_Y, ADD_X, EXCHANGE };
enum { A, B };
enum { RAM = 0x4000, ROM = 0x8000, TEXT = 0x200, DATA = 0x300, OUT = 0x400, DEVICE = 0x8000 };

typedef struct {
    uint8_t reg[2], sp, flags, bank, halted, port;
    uint16_t pc, x, y;
    uint32_t cycles, faults, written;
    uint8_t *ram, *rom;
} Cpu;

/* Memory, a mirror of its first KiB, devices, then ROM in two windows of which the first moves. */
static uint8_t read_byte(Cpu *cpu, uint16_t address) {
    cpu->cycles++;
    switch (address >> 13) {
    case 0: case 1: return cpu->ram[address];
    case 2: case 3: return cpu->ram[address & 0x3ff];
    case 4: case 5:
        switch (address & 3) {
        case 0: return cpu->port;
        case 1: return (uint8_t)cpu->cycles;
        case 2: return cpu->bank;
        default: return (uint8_t)cpu->written;
        }
    case 6: return cpu->rom[cpu->bank << 13 | (address & 0x1fff)];
    default: return cpu->rom[3 << 13 | (address & 0x1fff)];
    }
}

static void write_byte(Cpu *cpu, uint16_t address, uint8_t value) {
    cpu->cycles++;
    if (address < RAM)
        cpu->ram[address] = value;
    else if (address < 2 * RAM)
        cpu->ram[address & 0x3ff] = value;
    else if (address >= 3 * RAM)
        cpu->faults++;
    else if ((address & 3) == 2)
        cpu->bank = value & 3;
    else
        cpu->port = value, cpu->written++;
}

static uint8_t fetch(Cpu *cpu) {
    return read_byte(cpu, cpu->pc++);
}

static uint16_t fetch_word(Cpu *cpu) {
    uint8_t low = fetch(cpu);
    return (uint16_t)(low | fetch(cpu) << 8);
}

static void push(Cpu *cpu, uint8_t value) {
    write_byte(cpu, 0x100 | cpu->sp--, value);
}

static uint8_t pop(Cpu *cpu) {
    return read_byte(cpu, 0x100 | ++cpu->sp);
}

static void push_word(Cpu *cpu, uint16_t value) {
    push(cpu, (uint8_t)(value >> 8));
    push(cpu, (uint8_t)value);
}

static uint16_t pop_word(Cpu *cpu) {
    uint8_t low = pop(cpu);
    return (uint16_t)(low | pop(cpu) << 8);
}

static uint16_t address_of(Cpu *cpu, unsigned mode) {
    switch (mode) {
    case PAGE: return fetch(cpu);
    case ABSOLUTE: return fetch_word(cpu);
    case AT_X: return cpu->x;
    case AT_X_NEXT: return cpu->x++;
    case AT_Y_NEXT: return cpu->y++;
    case NEAR_Y: return (uint16_t)(cpu->y + fetch(cpu));
    default: return cpu->pc++; /* IMMEDIATE: the operand lies in the code. */
    }
}

static uint8_t result(Cpu *cpu, uint8_t value) {
    cpu->flags &= (uint8_t)~(ZERO | NEGATIVE);
    cpu->flags |= (uint8_t)((value == 0) | (value >> 5 & NEGATIVE));
    return value;
}

/* Subtraction adds the complement, so that the carry then means that nothing was borrowed. */
static uint8_t sum(Cpu *cpu, uint8_t left, uint8_t right, unsigned carry) {
    unsigned total = left + right + carry;
    unsigned overflow = (~(left ^ right) & (left ^ total)) >> 7 & 1;
    cpu->flags &= (uint8_t)~(CARRY | OVERFLOW);
    cpu->flags |= (uint8_t)(total >> 8 << 1 | overflow << 3);
    return result(cpu, (uint8_t)total);
}

static uint8_t shifted(Cpu *cpu, unsigned value, unsigned carry) {
    cpu->flags = (uint8_t)((cpu->flags & ~CARRY) | (carry << 1 & CARRY));
    return result(cpu, (uint8_t)value);
}

static void run(Cpu *cpu, uint32_t limit) {
    for (cpu->halted = 0; !cpu->halted && limit > 0; limit--) {
        unsigned opcode = fetch(cpu), mode = opcode & 7, carry = cpu->flags >> 1 & 1, taken;
        uint8_t *reg = &cpu->reg[opcode >> 3 & 1], operand = 0;
        switch (opcode >> 4) {
        case ST:
            if (mode == OTHER)
                cpu->reg[~opcode >> 3 & 1] = *reg;
            else
                write_byte(cpu, address_of(cpu, mode), *reg);
            break;
        case UNARY:
            switch (mode) {
            case INC: *reg = result(cpu, (uint8_t)(*reg + 1)); break;
            case DEC: *reg = result(cpu, (uint8_t)(*reg - 1)); break;
            case SHL: *reg = shifted(cpu, *reg << 1u, *reg >> 7); break;
            case SHR: *reg = shifted(cpu, *reg >> 1, *reg & 1); break;
            case ROL: *reg = shifted(cpu, *reg << 1 | carry, *reg >> 7); break;
            case ROR: *reg = shifted(cpu, *reg >> 1 | carry << 7, *reg & 1); break;
            case NEG: *reg = sum(cpu, 0, (uint8_t)~*reg, 1); break;
            default: *reg = result(cpu, (uint8_t)~*reg); break;
            }
            break;
        case BRANCH: /* Four flags, a bit to negate, and an unconditional pair. */
            operand = fetch(cpu);
            taken = (mode < 4 ? cpu->flags >> mode : 1) & 1;
            if (taken ^ (opcode >> 3 & 1))
                cpu->pc = (uint16_t)(cpu->pc + (operand ^ 0x80) - 0x80);
            break;
        case STACK:
            switch (opcode & 15) {
            case 0: case 8: push(cpu, *reg); break;
            case 1: case 9: *reg = result(cpu, pop(cpu)); break;
            case 2: push(cpu, cpu->flags); break;
            case 3: cpu->flags = pop(cpu) & 15; break;
            case 4: push_word(cpu, cpu->x); break;
            case 5: cpu->x = pop_word(cpu); break;
            case 6: push_word(cpu, cpu->y); break;
            case 7: cpu->y = pop_word(cpu); break;
            default: cpu->sp = *reg; break;
            }
            break;
        case WORD:
            switch (mode) {
            case SET_X: cpu->x = fetch_word(cpu); break;
            case SET_Y: cpu->y = fetch_word(cpu); break;
            case INC_X: cpu->x++; break;
            case DEC_X: cpu->x--; break;
            case INC_Y: cpu->y++; break;
            case DEC_Y: cpu->y--; break;
            case ADD_X: cpu->x = (uint16_t)(cpu->x + *reg); break;
            default: {
                uint16_t x = cpu->x;
                cpu->x = cpu->y, cpu->y = x;
                break;
            }
            }
            break;
        case FLOW:
            switch (mode) {
            case 0: cpu->pc = fetch_word(cpu); break;
            case 1: { /* Call. */
                uint16_t target = fetch_word(cpu);
                push_word(cpu, cpu->pc), cpu->pc = target;
                break;
            }
            case 2: cpu->pc = pop_word(cpu); break;
            default: /* Decrement the register, jump back unless it is zero. */
                operand = fetch(cpu);
                if (--*reg != 0)
                    cpu->pc = (uint16_t)(cpu->pc - operand);
                break;
            }
            break;
        case FLAGS:
            switch (opcode & 15) {
            case 0: cpu->flags |= CARRY; break;
            case 1: cpu->flags &= (uint8_t)~CARRY; break;
            case 15: cpu->halted = 1; break;
            }
            break;
        default:
            operand = mode == OTHER ? cpu->reg[~opcode >> 3 & 1]
                                    : read_byte(cpu, address_of(cpu, mode));
            switch (opcode >> 4) {
            case LD: *reg = result(cpu, operand); break;
            case ADD: *reg = sum(cpu, *reg, operand, 0); break;
            case ADC: *reg = sum(cpu, *reg, operand, carry); break;
            case SUB: *reg = sum(cpu, *reg, (uint8_t)~operand, 1); break;
            case SBC: *reg = sum(cpu, *reg, (uint8_t)~operand, carry); break;
            case CMP: sum(cpu, *reg, (uint8_t)~operand, 1); break;
            case AND: *reg = result(cpu, *reg & operand); break;
            case OR: *reg = result(cpu, *reg | operand); break;
            default: *reg = result(cpu, *reg ^ operand); break;
            }
        }
    }
}

static uint8_t *rom;
static uint16_t here = 0xe000;

static uint16_t emit(unsigned op, unsigned reg, unsigned mode) {
    rom[here - 0x8000] = (uint8_t)(op << 4 | reg << 3 | mode);
    return here++;
}

static void byte(unsigned op, unsigned reg, unsigned mode, unsigned operand) {
    emit(op, reg, mode);
    rom[here++ - 0x8000] = (uint8_t)operand;
}

static void word(unsigned op, unsigned reg, unsigned mode, unsigned operand) {
    byte(op, reg, mode, operand & 255);
    rom[here++ - 0x8000] = (uint8_t)(operand >> 8);
}

/* Branches on a flag, or on its absence; the distance of a forward one is filled in by `land`. */
static uint16_t branch(unsigned flag, int absent, uint16_t target) {
    byte(BRANCH, absent ? 1 : 0, flag, target ? (unsigned)(target - here - 2) & 255 : 0);
    return here;
}

static void land(uint16_t from) {
    rom[from - 0x8001] = (uint8_t)(here - from);
}

static void again(uint16_t target) {
    byte(FLOW, B, 3, (unsigned)(here + 2 - target));
}

static uint16_t summing, sorting, multiplying, copying, stop;

static void generate(void) {
    uint16_t loop, outer, skip, keep;
    stop = emit(FLAGS, 1, 7);
    summing = here;
    word(WORD, 0, SET_X, DATA), byte(LD, B, IMMEDIATE, SUMMED), byte(LD, A, IMMEDIATE, 0);
    byte(ST, A, PAGE, 16), byte(ST, A, PAGE, 17);
    loop = emit(LD, A, AT_X_NEXT);
    byte(ADD, A, PAGE, 16), byte(ST, A, PAGE, 16);
    byte(LD, A, PAGE, 17), byte(ADC, A, IMMEDIATE, 0), byte(ST, A, PAGE, 17);
    again(loop), emit(FLOW, 0, 2);

    outer = sorting = here; /* Bubbles until a pass has nothing to exchange. */
    byte(LD, A, IMMEDIATE, 0), byte(ST, A, PAGE, 18);
    word(WORD, 0, SET_X, DATA), byte(LD, B, IMMEDIATE, SORTED - 1);
    loop = emit(LD, A, AT_X_NEXT);
    emit(CMP, A, AT_X);
    skip = branch(1, 1, 0), keep = branch(0, 0, 0);
    emit(STACK, 1, 0), emit(LD, B, AT_X), emit(ST, A, AT_X);
    emit(WORD, 0, DEC_X), emit(ST, B, AT_X_NEXT);
    byte(LD, A, IMMEDIATE, 1), byte(ST, A, PAGE, 18), emit(STACK, 1, 1);
    land(skip), land(keep), again(loop);
    byte(LD, A, PAGE, 18), branch(0, 1, outer), emit(FLOW, 0, 2);

    uint16_t product = here;
    byte(ST, A, PAGE, 16), byte(ST, B, PAGE, 18), byte(LD, A, IMMEDIATE, 0);
    byte(ST, A, PAGE, 17), byte(ST, A, PAGE, 20), byte(ST, A, PAGE, 21), byte(LD, B, IMMEDIATE, 8);
    loop = here;
    byte(LD, A, PAGE, 18), emit(UNARY, A, SHR), byte(ST, A, PAGE, 18);
    skip = branch(1, 1, 0);
    byte(LD, A, PAGE, 20), byte(ADD, A, PAGE, 16), byte(ST, A, PAGE, 20);
    byte(LD, A, PAGE, 21), byte(ADC, A, PAGE, 17), byte(ST, A, PAGE, 21);
    land(skip);
    byte(LD, A, PAGE, 16), emit(UNARY, A, SHL), byte(ST, A, PAGE, 16);
    byte(LD, A, PAGE, 17), emit(UNARY, A, ROL), byte(ST, A, PAGE, 17);
    again(loop), emit(FLOW, 0, 2);
    multiplying = here;
    word(WORD, 0, SET_X, DATA), word(WORD, 0, SET_Y, OUT);
    byte(LD, A, IMMEDIATE, PAIRS), byte(ST, A, PAGE, 22);
    loop = emit(LD, A, AT_X_NEXT);
    emit(LD, B, AT_X_NEXT), word(FLOW, 0, 1, product);
    byte(LD, A, PAGE, 20), emit(ST, A, AT_Y_NEXT), byte(LD, A, PAGE, 21), emit(ST, A, AT_Y_NEXT);
    byte(LD, A, PAGE, 22), emit(UNARY, A, DEC), byte(ST, A, PAGE, 22);
    branch(0, 1, loop), emit(FLOW, 0, 2);

    copying = here; /* In capitals, and to the port as well. */
    word(WORD, 0, SET_X, TEXT), word(WORD, 0, SET_Y, OUT);
    loop = emit(LD, A, AT_X_NEXT);
    byte(CMP, A, IMMEDIATE, 'a'), skip = branch(1, 1, 0);
    byte(CMP, A, IMMEDIATE, 'z' + 1), keep = branch(1, 0, 0);
    byte(XOR, A, IMMEDIATE, 0x20);
    land(skip), land(keep);
    emit(ST, A, AT_Y_NEXT), word(ST, A, ABSOLUTE, DEVICE), byte(OR, A, IMMEDIATE, 0);
    branch(0, 1, loop), emit(FLOW, 0, 2);
}

static void call(Cpu *cpu, uint16_t entry) {
    cpu->sp = 255, cpu->pc = entry;
    push_word(cpu, stop);
    run(cpu, 1000000);
    require(cpu->halted && cpu->sp == 255, "a routine returns");
}

static void small_machine(Cpu *cpu, Random *random, Digest *digest) {
    uint32_t total = 0;
    uint8_t before[2 * PAIRS];
    random_bytes(random, cpu->ram + DATA, SUMMED);
    for (int i = 0; i < SUMMED; i++)
        total += cpu->ram[DATA + i];
    call(cpu, summing);
    require((uint32_t)(cpu->ram[16] | cpu->ram[17] << 8) == total, "sum");
    memcpy(before, cpu->ram + DATA, sizeof before);
    call(cpu, multiplying);
    for (int i = 0; i < PAIRS; i++)
        require((cpu->ram[OUT + 2 * i] | cpu->ram[OUT + 2 * i + 1] << 8)
                    == before[2 * i] * before[2 * i + 1], "product");
    call(cpu, sorting);
    for (int i = 1; i < SORTED; i++)
        require(cpu->ram[DATA + i - 1] <= cpu->ram[DATA + i], "sorted");
    for (int i = 0; i < 100; i++)
        cpu->ram[TEXT + i] = (uint8_t)(' ' + random_below(random, 95));
    cpu->ram[TEXT + 100] = 0;
    call(cpu, copying);
    for (int i = 0; i <= 100; i++) {
        uint8_t c = cpu->ram[TEXT + i];
        require(cpu->ram[OUT + i] == (c >= 'a' && c <= 'z' ? c - 32 : c), "copied");
    }
    digest_u64(digest, (uint64_t)cpu->cycles << 32 | total << 8 | cpu->flags);
    /* Whatever the bytes say: every opcode, and the map's other regions. */
    random_bytes(random, cpu->ram, 1024);
    for (uint32_t end = cpu->cycles + NOISE; (int32_t)(end - cpu->cycles) > 0;) {
        cpu->pc = (uint16_t)random_u64(random);
        run(cpu, 100);
        digest_u64(digest, (uint64_t)cpu->x << 48 | (uint64_t)cpu->y << 32 | cpu->reg[A] << 16
                               | cpu->reg[B] << 8 | cpu->flags);
    }
    digest_u64(digest, (uint64_t)cpu->faults << 32 | cpu->pc);
    digest_bytes(digest, cpu->ram, 1536);
}

/* The large machine: an operation in the top six bits, then registers of four bits; the rest is a
 * third register and a function, or a signed number of 18 bits. Register 0 is always zero. */
enum { REGISTERS, ADDI, ANDI, LOAD, LOAD_BYTE, STORE, STORE_BYTE, BEQ, BNE, BLT, JUMP, RETURN,
       END };
enum { PLUS, MINUS, BOTH, EITHER, ODD, LEFT, RIGHT, LESS, TIMES, REST };
enum { LINK = 15, TOP = 14, MEMORY = 0x10000, LIST = 0x4000 };

typedef struct {
    uint32_t reg[16], pc, steps;
    uint8_t *memory;
} Large;

static uint32_t compute(uint32_t function, uint32_t a, uint32_t b) {
    switch (function) {
    case PLUS: return a + b;
    case MINUS: return a - b;
    case BOTH: return a & b;
    case EITHER: return a | b;
    case ODD: return a ^ b;
    case LEFT: return a << (b & 31);
    case RIGHT: return a >> (b & 31);
    case LESS: return a < b;
    case TIMES: return a * b;
    case REST: return b ? a % b : a;
    default: return 0;
    }
}

static uint32_t run_large(Large *m, uint32_t pc) {
    m->pc = pc, m->reg[TOP] = MEMORY - 4;
    for (;; m->steps++) {
        uint32_t code = load_le32(m->memory + (m->pc & 0xfffc)), number = code & 0x3ffff;
        uint32_t *d = &m->reg[code >> 22 & 15], a = m->reg[code >> 18 & 15];
        number = (number ^ 0x20000) - 0x20000;
        uint32_t at = (a + number) & 0xffff, target = m->pc + 4 * number;
        m->pc += 4;
        switch (code >> 26) {
        case REGISTERS: *d = compute(code & 63, a, m->reg[code >> 14 & 15]); break;
        case ADDI: *d = a + number; break;
        case ANDI: *d = a & number; break;
        case LOAD: *d = load_le32(m->memory + (at & 0xfffc)); break;
        case LOAD_BYTE: *d = m->memory[at]; break;
        case STORE: store_le32(m->memory + (at & 0xfffc), *d); break;
        case STORE_BYTE: m->memory[at] = (uint8_t)*d; break;
        case BEQ: if (*d == a) m->pc = target; break;
        case BNE: if (*d != a) m->pc = target; break;
        case BLT: if (*d < a) m->pc = target; break;
        case JUMP: *d = m->pc, m->pc = target; break;
        case RETURN: m->pc = a; break;
        default: return m->reg[1];
        }
        m->reg[0] = 0;
    }
}

static uint32_t place;

static uint32_t put(Large *m, uint32_t op, uint32_t d, uint32_t a, uint32_t number) {
    store_le32(m->memory + place, op << 26 | d << 22 | a << 18 | (number & 0x3ffff));
    return place += 4, place - 4;
}

static void put3(Large *m, uint32_t function, uint32_t d, uint32_t a, uint32_t b) {
    put(m, REGISTERS, d, a, b << 14 | function);
}

/* A branch or jump; `fix` sets the target of one that was written as a forward one. */
static uint32_t go(Large *m, uint32_t op, uint32_t d, uint32_t a, uint32_t target) {
    return put(m, op, d, a, (target - place) >> 2);
}

static void fix(Large *m, uint32_t at) {
    uint32_t code = load_le32(m->memory + at) & ~(uint32_t)0x3ffff;
    store_le32(m->memory + at, code | ((place - at) >> 2 & 0x3ffff));
}

static uint32_t dividing, checking, recursing, ordering;

static void generate_large(Large *m) {
    uint32_t loop, outer, done, even;
    dividing = place; /* The greatest common divisor of registers 1 and 2. */
    loop = done = go(m, BEQ, 2, 0, place);
    put3(m, REST, 3, 1, 2), put3(m, PLUS, 1, 2, 0), put3(m, PLUS, 2, 3, 0);
    go(m, JUMP, 0, 0, loop), fix(m, done), put(m, END, 0, 0, 0);

    checking = place; /* A redundancy check, bit by bit, from the address in register 4;
                      * the length is in register 2, the polynomial in register 5. */
    put(m, ADDI, 1, 0, 0x3ffff);
    outer = put(m, LOAD_BYTE, 6, 4, 0);
    put3(m, ODD, 1, 1, 6), put(m, ADDI, 7, 0, 8), put(m, ADDI, 9, 0, 1);
    loop = put(m, ANDI, 8, 1, 1);
    put3(m, RIGHT, 1, 1, 9), even = go(m, BEQ, 8, 0, place);
    put3(m, ODD, 1, 1, 5), fix(m, even);
    put(m, ADDI, 7, 7, 0x3ffff), go(m, BNE, 7, 0, loop);
    put(m, ADDI, 4, 4, 1), put(m, ADDI, 2, 2, 0x3ffff), go(m, BNE, 2, 0, outer);
    put(m, END, 0, 0, 0);

    recursing = place; /* Fibonacci numbers, with a stack. */
    put(m, ADDI, 2, 0, 2), outer = go(m, JUMP, LINK, 0, place), put(m, END, 0, 0, 0);
    fix(m, outer), loop = done = go(m, BLT, 1, 2, place);
    put(m, ADDI, TOP, TOP, (uint32_t)-8), put(m, STORE, LINK, TOP, 0), put(m, STORE, 1, TOP, 4);
    put(m, ADDI, 1, 1, 0x3ffff), go(m, JUMP, LINK, 0, loop);
    put(m, LOAD, 3, TOP, 4), put(m, STORE, 1, TOP, 4);
    put(m, ADDI, 1, 3, (uint32_t)-2), go(m, JUMP, LINK, 0, loop);
    put(m, LOAD, 3, TOP, 4), put3(m, PLUS, 1, 1, 3), put(m, LOAD, LINK, TOP, 0);
    put(m, ADDI, TOP, TOP, 8), fix(m, done), put(m, RETURN, 0, LINK, 0);

    ordering = place; /* Insertion sort of words, from 4 to 5. */
    put(m, ADDI, 6, 4, 4);
    outer = put(m, LOAD, 7, 6, 0);
    put3(m, PLUS, 8, 6, 0);
    loop = done = go(m, BEQ, 8, 4, place);
    put(m, LOAD, 9, 8, (uint32_t)-4), even = go(m, BLT, 9, 7, place);
    put(m, STORE, 9, 8, 0), put(m, ADDI, 8, 8, (uint32_t)-4), go(m, JUMP, 0, 0, loop);
    fix(m, done), fix(m, even), put(m, STORE, 7, 8, 0), put(m, ADDI, 6, 6, 4);
    go(m, BLT, 6, 5, outer), put(m, END, 0, 0, 0);
}

static void large_machine(Large *m, Random *random, Digest *digest) {
    uint8_t *list = m->memory + LIST;
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t factor = 1 + random_below(random, 5000);
        m->reg[1] = factor * (1 + random_below(random, 9000));
        m->reg[2] = factor * (1 + random_below(random, 9000));
        uint32_t divisor = run_large(m, dividing);
        require(divisor % factor == 0, "common divisor");
        digest_u64(digest, divisor);
    }
    memcpy(list, "123456789", 9);
    m->reg[2] = 9, m->reg[4] = LIST, m->reg[5] = 0xedb88320;
    require(~run_large(m, checking) == 0xcbf43926, "redundancy check");
    m->reg[1] = 13;
    require(run_large(m, recursing) == 233, "the 13th Fibonacci number");
    for (uint32_t i = 0; i < WORDS; i++)
        store_le32(list + 4 * i, (uint32_t)random_u64(random));
    m->reg[2] = 4 * WORDS, m->reg[4] = LIST, m->reg[5] = 0xedb88320;
    digest_u64(digest, run_large(m, checking));
    m->reg[4] = LIST, m->reg[5] = LIST + 4 * WORDS;
    run_large(m, ordering);
    for (uint32_t i = 1; i < WORDS; i++)
        require(load_le32(list + 4 * i - 4) <= load_le32(list + 4 * i), "words sorted");
    digest_bytes(digest, list, 4 * WORDS);
    for (int i = 0; i < 16; i++)
        digest_u64(digest, (uint64_t)m->steps << 32 | m->reg[i]);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {23};
    Digest digest = {0};
    Cpu cpu = {.ram = allocate(RAM), .rom = rom = allocate(ROM)};
    Large large = {.memory = allocate(MEMORY)};
    random_bytes(&random, cpu.rom, ROM);
    memset(cpu.ram, 0, RAM), memset(large.memory, 0, MEMORY);
    generate(), generate_large(&large);
    while (rounds--) {
        small_machine(&cpu, &random, &digest);
        large_machine(&large, &random, &digest);
    }
    free(cpu.ram), free(cpu.rom), free(large.memory);
    return digest_print(&digest);
}
