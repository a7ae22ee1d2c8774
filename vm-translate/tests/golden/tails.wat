;; Tail calls, and accesses by a memory's cell.
(module
  (import "" "done" (func $done (param i64) (result i64)))
  (memory 1)
  (memory $wide i64 1)
  (table 2 funcref)
  (type $step (func (param i64 i64) (result i64)))
  (func $sum (type $step)
    (if (i64.eqz (local.get 0)) (then (return_call $done (local.get 1))))
    (return_call $sum
      (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (local.get 0))))
  (func (export "through") (param i64 i32) (result i64)
    (return_call_indirect (type $step) (local.get 0) (i64.const 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64)
    (i64.store32 $wide offset=8 (local.get 0) (i64.const 5))
    (drop (memory.grow $wide (memory.size $wide)))
    (memory.copy 0 $wide (i32.const 0) (local.get 0) (i32.const 16))
    (i64.add (i64.load $wide (local.get 0)) (i64.load (i32.const 8)))))
