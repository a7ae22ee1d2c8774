/* Exceptions in C++: thrown and caught by type, through frames with destructors, loops, virtual calls, constructors
 * and other clauses, thrown on and thrown anew. Nearly everything that the language allows with them is somewhere here. */
#include <memory>
#include <stdexcept>
#include <vector>

#include "../common.h"

static constexpr uint32_t STANDARD_ROUNDS = 400;

namespace {

Digest digest;
Random random_numbers;

void note(uint64_t value) { digest_u64(&digest, value); }
uint32_t below(uint32_t bound) { return random_below(&random_numbers, bound); }

/* What is thrown. */

struct Failure {
    uint32_t where;
    explicit Failure(uint32_t where) : where(where) {}
    Failure(const Failure &other) : where(other.where) { note(1); }
    virtual ~Failure() { note(where); }
    virtual uint32_t code() const { return 1; }
};

struct Syntax : Failure {
    uint32_t token;
    Syntax(uint32_t where, uint32_t token) : Failure(where), token(token) {}
    uint32_t code() const override { return 100 + token; }
};

/* One whose clauses find it behind other bases. */
struct Named {
    uint64_t name = 0x6e616d65;
    virtual ~Named() = default;
};
struct Range : virtual Named, Failure {
    int64_t value;
    Range(uint32_t where, int64_t value) : Failure(where), value(value) {}
    uint32_t code() const override { return 200; }
};
struct Overflow : Range, virtual Named {
    using Range::Range;
    uint32_t code() const override { return 300; }
};
/* Not of the family. */
struct alignas(16) Wide {
    double numbers[4];
};
enum class Signal : uint8_t { Stop = 3, Pause = 7 };

/* Says when it comes and goes, so that the digest knows which frames were left and when. */
class Guard {
    uint32_t number_;

  public:
    explicit Guard(uint32_t number) : number_(number) { note(2 * number); }
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;
    ~Guard() { note(2 * number_ + 1); }
};

/* Many numbers live while calls are made that may throw: they have to be there in the clause. */
[[noreturn]] void throw_one(uint32_t kind, uint32_t where) {
    static const Range kept(77, -5);
    static const char *const text = "kept";
    Guard guard(where);
    switch (kind) {
    case 0: throw static_cast<int>(where);
    case 1: throw static_cast<int64_t>(where) << 33;
    case 2: throw Failure(where);
    case 3: throw Syntax(where, where % 9);
    case 4: throw Range(where, -static_cast<int64_t>(where));
    case 5: throw Overflow(where, INT64_MAX - where);
    case 6: throw text;
    case 7: throw &kept;
    case 8: throw Wide{{0.5 * where, 1.5, -2.25, 1e300}};
    case 9: throw where % 2 == 0 ? Signal::Stop : Signal::Pause;
    case 10: throw std::out_of_range("ten");
    case 11: throw std::vector<uint32_t>{where, where + 1, 5};
    default: throw 0.125 * where;
    }
}
constexpr uint32_t KINDS = 13;

/* Calls that go down some frames, of several shapes, and throw at the end or come back. */
struct Step {
    virtual ~Step() = default;
    virtual uint64_t take(uint32_t depth, uint32_t kind) = 0;
};
uint64_t down(uint32_t depth, uint32_t kind);

struct Plain : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override { return down(depth, kind) + 1; }
};
struct Guarded : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override {
        Guard guard(depth);
        uint64_t sum = down(depth, kind);
        Guard after(depth + 1000);
        return sum * 3;
    }
};
struct Looping : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override {
        uint64_t a = depth, b = kind, c = 3, d = 5;
        double x = 0.5;
        for (uint32_t turn = 0; turn < 3 + depth % 3; turn++) {
            try {
                Guard guard(turn);
                a = a * 31 + b;
                b ^= c + turn;
                x = x * 1.25 + static_cast<double>(turn);
                if (turn == 2)
                    c += down(depth, kind);
                else if ((turn + depth) % 2 == 0)
                    throw_one(2, turn);
                d += c * a;
            } catch (const Syntax &failure) {
                note(failure.token + a + b + c + d);
                throw;
            } catch (Failure &failure) {
                failure.where += 10;
                d = d * 7 + failure.where + failure.code();
                if (turn == 2)
                    throw;
            }
        }
        digest_f64(&digest, x);
        return a ^ b ^ c ^ d;
    }
};
/* Catches one thing and throws another, from inside of the clause. */
struct Changing : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override {
        try {
            return down(depth, kind) - 1;
        } catch (int number) {
            Guard guard(depth);
            throw Syntax(depth, static_cast<uint32_t>(number) % 7);
        } catch (const std::vector<uint32_t> &list) {
            note(list.at(0) + list.size());
            /* What is caught inside of a clause goes, what the clause has caught stays. */
            try {
                note(list.at(list.size()));
            } catch (const std::exception &error) {
                note(strlen(error.what()) > 0);
            }
            note(list.at(2));
            throw;
        } catch (double number) {
            digest_f64(&digest, number);
            return depth;
        }
    }
};
struct Owning : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override {
        auto own = std::make_unique<Guard>(depth + 50);
        std::unique_ptr<Guard> several[3];
        for (uint32_t i = 0; i < 3; i++) {
            several[i] = std::make_unique<Guard>(i);
            if (i == 1)
                note(down(depth, kind));
        }
        return several[2] != nullptr;
    }
};

/* An object whose members come one after the other, until one throws: those before it go. */
struct Part {
    uint32_t number;
    Part(uint32_t number, uint32_t failing) : number(number) {
        if (number == failing)
            throw_one(failing % KINDS, number);
        note(number);
    }
    ~Part() { note(number + 500); }
};
struct Whole {
    Part first, second;
    Guard guard;
    Part third;
    explicit Whole(uint32_t failing) try
        : first(1, failing), second(2, failing), guard(9), third(3, failing) {
        note(44);
    } catch (const Failure &failure) {
        /* It is thrown on at the end, as always from here. */
        note(failure.code());
    }
};
struct Building : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override {
        try {
            auto whole = std::make_unique<Whole>(below(6));
            note(whole->third.number);
        } catch (...) {
            note(45);
            if (depth % 2 == 0)
                throw;
        }
        Part parts[2] = {{depth, 0}, {depth + 1, 0}};
        return down(depth, kind) + parts[1].number;
    }
};

/* A destructor that catches what it has thrown itself, on the way of another exception too. */
struct Careful {
    uint32_t number;
    ~Careful() {
        try {
            Guard guard(number);
            if (number % 2 == 1)
                throw_one(number % KINDS, number);
            throw Signal::Pause;
        } catch (const Failure &failure) {
            note(failure.code());
        } catch (...) {
            note(46);
        }
    }
};
struct Careless : Step {
    uint64_t take(uint32_t depth, uint32_t kind) override {
        Careful careful{depth};
        return down(depth, kind) ^ careful.number;
    }
};

Plain plain;
Guarded guarded;
Looping looping;
Changing changing;
Owning owning;
Building building;
Careless careless;
Step *const STEPS[] = {&plain, &guarded, &looping, &changing, &owning, &building, &careless, &plain};

uint64_t down(uint32_t depth, uint32_t kind) {
    if (depth == 0) {
        if (kind >= KINDS)
            return kind;
        throw_one(kind, below(100));
    }
    return STEPS[below(8)]->take(depth - 1, kind);
}

/* Every type has a clause somewhere. */
void attempt(uint32_t depth, uint32_t kind) {
    Guard guard(kind);
    try {
        try {
            note(down(depth, kind));
        } catch (const Overflow &failure) {
            note(failure.code() + static_cast<uint64_t>(failure.value) + failure.name);
        } catch (Named &named) {
            named.name += depth;
            note(named.name);
            throw;
        } catch (const int64_t &number) {
            note(static_cast<uint64_t>(number));
        } catch (const Failure *failure) {
            note(failure->code() + failure->where);
        } catch (Signal signal) {
            note(static_cast<uint64_t>(signal));
        }
    } catch (Failure failure) {
        /* A copy, which knows no more than its base. */
        note(failure.code() + failure.where);
    } catch (const char *text) {
        digest_bytes(&digest, reinterpret_cast<const uint8_t *>(text), strlen(text));
    } catch (const Wide &wide) {
        for (double number : wide.numbers)
            digest_f64(&digest, number);
    } catch (const std::exception &error) {
        note(dynamic_cast<const std::out_of_range *>(&error) != nullptr);
    } catch (...) {
        note(47);
    }
}

/* Far down, many times: each frame has something to do on the way back. */
uint32_t deep(uint32_t depth, uint32_t &left) {
    struct Count {
        uint32_t &left;
        ~Count() { left++; }
    } count{left};
    if (depth == 0)
        throw Syntax(depth, 8);
    uint32_t below = deep(depth - 1, left) + 1;
    return below * 2;
}

} // namespace

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    random_numbers.state = 2026;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            uint32_t frames = below(12);
            attempt(frames, below(KINDS + 3));
        }
        uint32_t left = 0, depth = 10 + below(200);
        try {
            note(deep(depth, left));
        } catch (const Failure &failure) {
            note(failure.code());
        }
        require(left == depth + 1, "a frame was left without its destructor");
        note(left);
    }
    return digest_print(&digest);
}
