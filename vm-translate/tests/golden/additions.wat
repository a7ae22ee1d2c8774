;; With all that can be added: where fuel and epochs are looked at, and NaNs made canonical.
(module
  (import "h" "f" (func $h))
  (memory 1)
  (func (export "straight") (param i32) (result i32)
    (call $h)
    (i32.add (i32.load (local.get 0)) (i32.const 1)))
  (func (export "loops") (param i32 i32) (result i32)
    (loop $out
      (local.set 1 (i32.const 10))
      (loop $in
        (local.set 0 (i32.add (local.get 0) (local.get 1)))
        (br_if $in (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
      (br_if $out (i32.lt_u (local.get 0) (i32.const 1000))))
    (local.get 0))
  (func (export "ways") (param i32) (result i32)
    (block $b
      (if (local.get 0)
        (then (br_if $b (i32.eq (local.get 0) (i32.const 1))))
        (else (return (i32.const 7)))))
    (i32.mul (local.get 0) (local.get 0)))
  ;; What may trap comes before what is charged later.
  (func (export "order") (param i32 i32) (result i32)
    (i32.load (local.get 0))
    (block (br_if 0 (local.get 1)) (call $h))
    (i32.const 1)
    i32.add)
  ;; Nothing comes behind that costs anything.
  (func (export "free") (param i32)
    (block (block (br_if 0 (local.get 0)))))
  ;; What cannot be reached costs nothing.
  (func (export "never") (param i32)
    (block (br 0) (drop (i32.const 1)) (loop (br 0)))
    unreachable)
  ;; NaNs are canonical.
  (func (export "nans") (param f64 f32) (result f64)
    (f64.mul
      (f64.promote_f32 (f32.sqrt (f32.neg (local.get 1))))
      (f64.add (local.get 0) (f64.const 1)))))
