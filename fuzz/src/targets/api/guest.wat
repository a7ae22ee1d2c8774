;; The functions of both guests of the target `api`; what stands before them says where memory, table and global are
;; from. `host` is (func $host (param i64) (result i64)).
  (type $unary (func (param i64) (result i64)))

  ;; Adds to the global.
  (func $add (export "add") (param i64) (result i64)
    (global.set $global (i64.add (global.get $global) (local.get 0)))
    (global.get $global))
  (func (export "load") (param i32) (result i32)
    (i32.load (local.get 0)))
  (func (export "store") (param i32 i32)
    (i32.store (local.get 0) (local.get 1)))
  (func (export "fill") (param i32 i32 i32)
    (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "grow") (param i32) (result i32)
    (memory.grow (local.get 0)))
  (func (export "grow_table") (param i32) (result i32)
    (table.grow $table (ref.func $add) (local.get 0)))
  ;; Calls an element of the table.
  (func (export "through") (param i32 i64) (result i64)
    (call_indirect $table (type $unary) (local.get 1) (local.get 0)))
  ;; Asks the host so many times from so many frames further in, and each time adds what it says to the global.
  (func $ask (export "ask") (param $frames i32) (param $number i64) (param $times i32) (result i64)
    (if (local.get $frames)
      (then
        (return
          (call $ask (i32.sub (local.get $frames) (i32.const 1)) (local.get $number) (local.get $times)))))
    (block $end
      (loop $next
        (br_if $end (i32.eqz (local.get $times)))
        (drop (call $add (call $host (local.get $number))))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br $next)))
    (global.get $global))
  ;; A loop: the sum of the numbers below the parameter.
  (func (export "spin") (param $turns i32) (result i64) (local $sum i64) (local $at i32)
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $at) (local.get $turns)))
        (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $sum))
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_s (local.get 0) (local.get 1)))
  (func (export "stop")
    (global.set $global (i64.const -1))
    (unreachable))
  ;; Needs more stack than there is, and leaves nothing behind.
  (func $dive (export "dive") (param i64) (result i64)
    (i64.add (call $dive (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
  (elem declare func $add)
