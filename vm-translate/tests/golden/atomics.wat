;; Atomic instructions take their operands in slots, and nothing that waits is moved behind them. Accesses of a shared memory that need
;; a check go by its cell.
(module
  (memory 1 2 shared)
  (memory $other 1)
  (func (param i32 i32) (result i32)
    (i32.add
      (i32.load (local.get 0))
      (i32.atomic.rmw.add offset=8 (local.get 0) (local.get 1))))
  (func (param i32) (result i32)
    (loop $again
      (br_if $again (i32.atomic.rmw.cmpxchg (local.get 0) (i32.const 0) (i32.const 1))))
    (atomic.fence)
    (i32.store offset=4 (local.get 0) (i32.const 7))
    (i32.atomic.store16 (local.get 0) (i32.const 2))
    (i32.load8_u offset=1 (local.get 0)))
  (func (param i32 i64) (result i32 i32)
    (memory.atomic.wait64 (local.get 0) (local.get 1) (i64.const -1))
    (memory.atomic.notify offset=16 (i32.const 8) (i32.const 1)))
  (func (param i32) (result i64)
    (i64.atomic.load32_u $other (local.get 0))))
