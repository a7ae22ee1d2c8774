;; Where runs can stop, and where the operand stack is then.
(module
  (import "h" "f" (func $h (param i32) (result i32)))
  (memory 1)
  (table 1 funcref)
  (type $pair (func (param f64) (result i32 f64)))
  (func $pair (type $pair) (i32.const 5) (local.get 0))
  ;; What is below a call: trees go into slots, constants stay.
  (func (export "below") (param i32 f64) (result i32)
    (i32.mul (local.get 0) (local.get 0))
    (i32.const 7)
    (call $h (local.get 0))
    i32.add
    i32.add)
  ;; Several results, below an indirect call; vectors.
  (func (export "many") (param i32 v128) (result i32)
    (v128.not (local.get 1))
    (call $pair (f64.const 2))
    (call_indirect (type $pair) (local.get 0))
    drop drop drop
    (i32x4.extract_lane 0))
  ;; In a loop that is kept, and in one around it; with operands below.
  (func (export "loops") (param i32 i32) (result i32)
    (i32.const 3)
    (loop $out
      (drop (call $h (local.get 0)))
      (loop $in
        (block (br_if 0 (local.get 1)) (drop (call $h (local.get 1))))
        (br_if $in (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (br_if $out (local.get 1)))
    (i32.add (local.get 0)))
  ;; A block's result is no local as long as a run can stop.
  (func (export "result") (param i32) (result i32) (local i32)
    (local.set 1 (block (result i32) (br_if 0 (i32.const 1) (local.get 0))))
    (local.get 1))
  ;; Bulk operations stop before they have begun.
  (func (export "bulk") (param i32)
    (memory.fill (local.get 0) (i32.const 1) (i32.add (local.get 0) (i32.const 2)))
    (drop (memory.grow (local.get 0)))))
