// What scripts do all day: objects, maps, text, JSON, patterns, sorting, recursion, a sieve.
function P(x, y) { this.x = x; this.y = y; }
P.prototype.norm = function () { return this.x * this.x + this.y * this.y; };
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
function sieve(n) { const a = new Uint8Array(n + 1).fill(1); let c = 0;
  for (let i = 2; i <= n; i++) { if (a[i]) { c++; for (let j = i * i; j <= n; j += i) a[j] = 0; } } return c; }
let seed = 1; function rnd() { seed = (seed * 16807) % 2147483647; return seed / 2147483647; }
let t = 0;
for (let k = 0; k < 4; k++) {
  const pts = []; for (let i = 0; i < 6000; i++) pts.push(new P(rnd(), i));
  t += pts.map(p => p.norm()).reduce((a, b) => a + b, 0);
  const d = new Map(); for (const w of "the quick brown fox jumps over the lazy dog ".repeat(500).split(" ")) d.set(w, (d.get(w) || 0) + 1);
  const s = JSON.stringify({ a: Array.from({ length: 3000 }, () => Math.floor(rnd() * 1000)), d: [...d] });
  const o = JSON.parse(s);
  t += (s.match(/(\d+),(\d+)/g) || []).length + o.a.sort((x, y) => y - x).slice(0, 10).reduce((a, b) => a + b);
  t += fib(18) + sieve(40000);
}
console.log(t.toFixed(4));
