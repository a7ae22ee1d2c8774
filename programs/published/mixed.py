# What scripts do all day: objects, dictionaries, text, JSON, patterns, sorting, recursion, a sieve, long numbers.
import re, json, random
class P:
    def __init__(s, x, y): s.x, s.y = x, y
    def norm(s): return s.x*s.x + s.y*s.y
def fib(n): return n if n < 2 else fib(n-1) + fib(n-2)
def sieve(n):
    a = bytearray([1])*(n+1)
    for i in range(2, int(n**.5)+1):
        if a[i]:
            for j in range(i*i, n+1, i): a[j] = 0
    return sum(a[2:])
random.seed(1)
t = 0
for k in range(3):
    pts = [P(random.random(), i) for i in range(4000)]
    t += sum(p.norm() for p in pts)
    d = {}
    for w in ("the quick brown fox jumps over the lazy dog %d " % k * 400).split(): d[w] = d.get(w, 0) + 1
    s = json.dumps({"a": [random.randrange(1000) for _ in range(3000)], "d": d})
    o = json.loads(s)
    t += len(re.findall(r"(\d+), (\d+)", s)) + sum(sorted(o["a"], key=lambda v: -v)[:10])
    t += fib(17) + sieve(20000)
    t += int(str(3**2000)[:9])
print("%.6f" % t)
